// TopicService: see topic_service.h.
#include "control/catalog/topic_service.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "control/metrics/liveness.h"

namespace millrace::control {

using base::Error;
using base::ErrorCode;
using base::Result;
using std::chrono::steady_clock;

TopicService::TopicService(Catalog catalog, link::Region& region,
                           std::chrono::milliseconds apply_wait)
    : catalog_(std::move(catalog)), sync_(region), region_(region), apply_wait_(apply_wait) {}

// act: changes the catalog and announces it; the topic and the ticket.
template <typename Act>
Result<TopicService::Change> TopicService::change(Act act) {
  std::uint64_t ticket = 0;
  Change change;
  {
    const std::lock_guard lock(mutex_);
    auto topic = act(ticket);
    if (!topic) return topic.error();
    change.topic = std::move(*topic);
  }
  change.is_applied = wait_applied(ticket);
  return change;
}

Result<TopicService::Change> TopicService::create_topic(const TopicRequest& request) {
  return change([&](std::uint64_t& ticket) {
    auto topic = catalog_.create_topic(request);
    if (topic) ticket = sync_.announce_created(*topic);
    return topic;
  });
}

Result<TopicService::Change> TopicService::alter_topic(std::string_view name,
                                                       const TopicChanges& changes) {
  return change([&](std::uint64_t& ticket) {
    auto topic = catalog_.alter_topic(name, changes);
    if (topic) ticket = sync_.announce_created(*topic);
    return topic;
  });
}

Result<TopicService::Change> TopicService::delete_topic(std::string_view name) {
  return change([&](std::uint64_t& ticket) {
    auto topic = catalog_.delete_topic(name);
    if (topic) ticket = sync_.announce_deleted(*topic);
    return topic;
  });
}

Result<Topic> TopicService::delete_records(std::string_view name, std::uint32_t partition_index,
                                           base::Offset before) {
  std::uint64_t sync_count = 0;
  auto changed = change([&](std::uint64_t& ticket) -> Result<Topic> {
    auto topic = catalog_.find(name);
    if (!topic) return topic.error();
    if (!topic->has_value()) return Error(ErrorCode::not_found, "there is no topic {}", name);
    if (partition_index >= (*topic)->partition_count) {
      return Error(ErrorCode::invalid_argument, "topic {} has {} partitions, the last is {}", name,
                   (*topic)->partition_count, (*topic)->partition_count - 1);
    }
    const base::PartitionId partition{base::raw((*topic)->first_partition) + partition_index};
    ticket = sync_.delete_records(partition, before);
    sync_count = sync_.sync_count();
    return **topic;
  });
  if (!changed) return changed.error();
  if (!changed->is_applied || has_synced_since(sync_count)) {
    return Error(ErrorCode::unavailable,
                 "the data plane has not taken it up; try again when the node is ready");
  }
  return std::move(changed->topic);
}

Result<void> TopicService::ensure_topic(const TopicRequest& request) {
  const std::lock_guard lock(mutex_);
  const auto topic = catalog_.create_topic(request);
  if (!topic) {
    if (topic.error().code() == ErrorCode::already_exists) return {};
    return topic.error();
  }
  sync_.announce_created(*topic);
  return {};
}

Result<std::vector<Topic>> TopicService::topics() {
  const std::lock_guard lock(mutex_);
  return catalog_.topics();
}

Result<std::optional<Topic>> TopicService::find(std::string_view name) {
  const std::lock_guard lock(mutex_);
  return catalog_.find(name);
}

bool TopicService::has_synced_since(std::uint64_t sync_count) {
  const std::lock_guard lock(mutex_);
  return sync_.sync_count() != sync_count;
}

bool TopicService::is_synced() {
  const std::lock_guard lock(mutex_);
  return sync_.is_synced();
}

Result<void> TopicService::pump() {
  const auto now = steady_clock::now().time_since_epoch();
  const std::lock_guard lock(mutex_);
  return sync_.pump(catalog_,
                    static_cast<std::uint64_t>(
                        std::chrono::duration_cast<std::chrono::nanoseconds>(now).count()));
}

// Looks often at first, since a data plane that is awake answers within microseconds.
bool TopicService::wait_applied(std::uint64_t ticket) {
  const auto deadline = steady_clock::now() + apply_wait_;
  auto pause = std::chrono::microseconds(50);
  while (true) {
    // An error here is the catalog's, about a tombstone; the pump of the main loop reports it.
    static_cast<void>(pump());
    {
      const std::lock_guard lock(mutex_);
      if (sync_.is_applied(ticket)) return true;
    }
    if (steady_clock::now() >= deadline || !is_data_plane_alive(region_)) return false;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::microseconds(10'000));
  }
}

}  // namespace millrace::control

// TopicService: see topic_service.h.
#include "control/catalog/topic_service.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "control/metrics/liveness.h"

namespace millrace::control {

using base::ErrorCode;
using base::Result;
using std::chrono::steady_clock;

TopicService::TopicService(Catalog catalog, link::Region& region,
                           std::chrono::milliseconds apply_wait)
    : catalog_(std::move(catalog)), sync_(region), region_(region), apply_wait_(apply_wait) {}

Result<TopicService::Change> TopicService::create_topic(const TopicRequest& request) {
  std::uint64_t ticket = 0;
  Change change;
  {
    const std::lock_guard lock(mutex_);
    auto topic = catalog_.create_topic(request);
    if (!topic) return topic.error();
    change.topic = std::move(*topic);
    ticket = sync_.announce_created(change.topic);
  }
  change.is_applied = wait_applied(ticket);
  return change;
}

Result<TopicService::Change> TopicService::delete_topic(std::string_view name) {
  std::uint64_t ticket = 0;
  Change change;
  {
    const std::lock_guard lock(mutex_);
    auto topic = catalog_.delete_topic(name);
    if (!topic) return topic.error();
    change.topic = std::move(*topic);
    ticket = sync_.announce_deleted(change.topic);
  }
  change.is_applied = wait_applied(ticket);
  return change;
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

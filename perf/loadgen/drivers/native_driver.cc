#include "perf/loadgen/drivers/native_driver.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "dataplane/base/clock.h"
#include "dataplane/base/units.h"
#include "perf/bench/interrupt.h"
#include "perf/loadgen/drivers/bytes.h"

namespace millrace::loadgen {

using base::Error;
using base::ErrorCode;
using base::Result;
using bench::status_error;

namespace {

constexpr std::uint64_t buffer_bytes = 64 * base::mib;  // of all connections together
constexpr std::uint64_t buffer_bytes_min = 256 * base::kib;
constexpr std::uint32_t packet_buffers_all = 1U << 17;
constexpr std::uint32_t records_per_poll = 1024;
constexpr std::uint64_t subscribe_wait_ns = 10 * base::second_ns;

bool is_there(const Subscription& subscription) { return subscription.status() == MR_OK; }

}  // namespace

NativeDriver::~NativeDriver() {
  producer_.reset();
  subscriptions_.clear();
  client_.reset();
  if (made_topic_) static_cast<void>(bench::delete_topic(topic_));
}

Result<void> NativeDriver::prepare(const Workload& workload) {
  const std::uint32_t buffers = packet_buffers_all / (workload.connections + workload.subscribers);
  auto client = bench::connect(options_.address, std::clamp(std::bit_floor(buffers), 16U, 1024U));
  if (!client) return client.error();
  client_ = std::move(*client);
  topic_ = {.name = workload.topic,
            .partitions = workload.partitions,
            .ack = options_.ack,
            .port_offset = options_.port_offset};
  if (workload.makes_topic) {
    if (auto created = bench::create_topic(topic_); !created) return created;
    made_topic_ = true;
  }
  if (workload.publishes) {
    if (auto opened = open_producer(buffer_bytes / workload.connections); !opened) return opened;
  }
  if (!workload.consumes) return {};
  return subscribe();
}

Result<void> NativeDriver::open_producer(std::uint64_t bytes) {
  auto producer = bench::open_producer(*client_, topic_, options_.batch_bytes,
                                       std::max(bytes, buffer_bytes_min));
  if (!producer) return producer.error();
  producer_.emplace(std::move(*producer));
  first_sequence_ = acknowledged_ = producer_->next_sequence();
  return {};
}

Result<void> NativeDriver::subscribe() {
  for (std::uint32_t i = 0; i < topic_.partitions; ++i) {
    mr_subscription_options wanted;
    mr_subscription_options_init(&wanted);
    wanted.topic = topic_.name.c_str();
    wanted.partition = i;
    wanted.start = MR_FROM_EARLIEST;
    wanted.context = reinterpret_cast<void*>(static_cast<std::uintptr_t>(i));
    auto subscription = client_->subscribe(wanted);
    if (!subscription) return status_error(topic_.name, subscription.status());
    subscriptions_.push_back(std::move(*subscription));
  }
  base::SystemClock clock;
  const std::uint64_t give_up_ns = clock.monotonic_ns() + subscribe_wait_ns;
  while (!std::ranges::all_of(subscriptions_, is_there)) {
    if (bench::interrupted()) return bench::interrupted_error();
    if (clock.monotonic_ns() >= give_up_ns) return status_error(topic_.name, MR_TIMED_OUT);
    client_->poll();
  }
  return {};
}

bool NativeDriver::offer(std::uint64_t number, std::span<const std::byte> payload) {
  const std::int64_t sequence = producer_->offer(text_of(payload));
  if (sequence >= 0) {
    // Events tell numbers by the distance from the first.
    CHECK(sequence - first_sequence_ == static_cast<std::int64_t>(number));
    return true;
  }
  if (!bench::is_passing(sequence)) refused_ = sequence;
  return false;
}

Result<void> NativeDriver::poll(Events& events) {
  if (refused_ != MR_OK) return status_error(topic_.name, refused_);
  client_->poll(
      [&events](const RecordView& record) {
        const auto partition = static_cast<std::uint32_t>(
            reinterpret_cast<std::uintptr_t>(mr_subscription_context(record.raw().subscription)));
        events.delivered(partition, bytes_of(record.value()));
      },
      records_per_poll);
  if (!producer_) return {};
  mr_acks acks{};
  if (const int moved = producer_->poll_acks(acks); moved < 0) {
    return status_error(topic_.name, moved);
  }
  const std::int64_t level = bench::level(options_.ack, acks);
  for (; acknowledged_ < level; ++acknowledged_) {
    events.acknowledged(static_cast<std::uint64_t>(acknowledged_ - first_sequence_));
  }
  return {};
}

}  // namespace millrace::loadgen

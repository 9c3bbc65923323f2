#include "perf/loadgen/drivers/native_driver.h"

#include <algorithm>
#include <utility>

#include "dataplane/base/clock.h"
#include "dataplane/base/units.h"
#include "perf/bench/interrupt.h"

namespace millrace::loadgen {

using base::Error;
using base::ErrorCode;
using base::Result;
using bench::status_error;

namespace {

constexpr std::uint64_t buffer_bytes = 64 * base::mib;
constexpr std::uint32_t records_per_poll = 1024;
constexpr std::uint64_t subscribe_wait_ns = 10 * base::second_ns;

bool is_there(const Subscription& subscription) { return subscription.status() == MR_OK; }

}  // namespace

NativeDriver::~NativeDriver() {
  producer_.reset();
  subscriptions_.clear();
  client_.reset();
  if (!topic_.name.empty()) static_cast<void>(bench::delete_topic(topic_));
}

Result<void> NativeDriver::prepare(const Workload& workload) {
  auto client = bench::connect(options_.address);
  if (!client) return client.error();
  client_ = std::move(*client);
  const bench::TopicOptions topic{.name = workload.topic,
                                  .partitions = workload.partitions,
                                  .ack = options_.ack,
                                  .port_offset = options_.port_offset};
  if (auto created = bench::create_topic(topic); !created) return created;
  topic_ = topic;
  if (auto opened = open_producer(); !opened || !workload.consumes) return opened;
  return subscribe();
}

Result<void> NativeDriver::open_producer() {
  mr_producer_options wanted;
  mr_producer_options_init(&wanted);
  wanted.topic = topic_.name.c_str();
  wanted.partition = topic_.partitions == 1 ? 0 : MR_ALL_PARTITIONS;
  wanted.ack = options_.ack == bench::Ack::memory ? MR_ACK_MEMORY : MR_ACK_DURABLE;
  wanted.batch_bytes = options_.batch_bytes;
  wanted.buffer_bytes = buffer_bytes;
  auto producer = bench::open_producer(*client_, wanted);
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
  const std::int64_t sequence =
      producer_->offer({reinterpret_cast<const char*>(payload.data()), payload.size()});
  if (sequence >= 0) {
    // Events tell numbers by the distance from the first.
    CHECK(sequence - first_sequence_ == static_cast<std::int64_t>(number));
    return true;
  }
  const bool is_passing =
      sequence == MR_BACK_PRESSURED || sequence == MR_NOT_CONNECTED || sequence == MR_NOT_READY;
  if (!is_passing) refused_ = sequence;
  return false;
}

Result<void> NativeDriver::poll(Events& events) {
  if (refused_ != MR_OK) return status_error(topic_.name, refused_);
  client_->poll(
      [&events](const RecordView& record) {
        const auto partition = static_cast<std::uint32_t>(
            reinterpret_cast<std::uintptr_t>(mr_subscription_context(record.raw().subscription)));
        const std::string_view value = record.value();
        events.delivered(partition, std::as_bytes(std::span(value.data(), value.size())));
      },
      records_per_poll);
  mr_acks acks{};
  if (const int moved = producer_->poll_acks(acks); moved < 0) {
    return status_error(topic_.name, moved);
  }
  const std::int64_t level = options_.ack == bench::Ack::memory ? acks.memory : acks.durable;
  for (; acknowledged_ < level; ++acknowledged_) {
    events.acknowledged(static_cast<std::uint64_t>(acknowledged_ - first_sequence_));
  }
  return {};
}

}  // namespace millrace::loadgen

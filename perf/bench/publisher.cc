// Publisher: see publisher.h.
#include "perf/bench/publisher.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "perf/bench/interrupt.h"
#include "perf/bench/past_readers.h"

namespace millrace::bench {

namespace {

constexpr std::uint64_t warm_up_memory = 2'000;
constexpr std::uint64_t warm_up_durable = 50;
constexpr std::uint64_t warm_up_bulk_share = 10;  // a tenth
constexpr std::uint64_t buffer_bytes = 64 * base::mib;
constexpr std::uint64_t offers_per_poll = 512;
constexpr std::int64_t timed_every = 1024;

}  // namespace

Publisher::Publisher(const PublisherOptions& options, Client& client, OwnNode* node)
    : options_(options), client_(client), node_(node), value_(options.size_bytes, 'r') {}

void Publisher::wake() {
  if (node_ != nullptr) node_->resume();
}

void Publisher::rest() {
  if (node_ != nullptr) node_->pause();
}

base::Result<void> Publisher::create_topic() {
  topic_ = {.name = fmt::format("{}-{}-{}-{}", options_.topics, getpid(), name(options_.ack),
                                topic_number_++),
            .partitions = options_.partitions,
            .ack = options_.ack,
            .port_offset = options_.port_offset};
  return bench::create_topic(topic_);
}

base::Result<void> Publisher::open_producer() {
  auto producer = bench::open_producer(client_, topic_, options_.batch_bytes,
                                       options_.in_bulk ? buffer_bytes : 0);
  if (!producer) return producer.error();
  producer_ = std::make_unique<Producer>(std::move(*producer));
  return {};
}

base::Result<void> Publisher::measure(std::uint64_t count, Measured& into) {
  if (auto created = create_topic(); !created) return created;
  auto result = open_producer();
  Measured unused;
  const std::uint64_t warm_up =
      options_.in_bulk
          ? count / warm_up_bulk_share
          : std::min(count, options_.ack == Ack::memory ? warm_up_memory : warm_up_durable);
  if (result) result = publish(warm_up, unused);
  if (result) result = publish(count, into);
  producer_.reset();
  poll();
  auto deleted = delete_topic(topic_);
  return result ? deleted : result;
}

base::Result<std::string> Publisher::fill(std::uint64_t count) {
  Measured unused;
  if (auto created = create_topic(); !created) return created.error();
  auto result = open_producer();
  if (result) result = publish(count, unused);
  producer_.reset();
  poll();
  if (!result) return result.error();
  return topic_.name;
}

void Publisher::poll() {
  client_.poll();
  if (readers_ != nullptr) readers_->poll();
}

base::Result<void> Publisher::publish(std::uint64_t count, Measured& into) {
  const std::uint64_t start_ns = clock_.monotonic_ns();
  const auto done = options_.in_bulk ? in_bulk(count, into) : one_by_one(count, into);
  if (!done) return done;
  into.count += count;
  into.bytes += count * options_.size_bytes;
  into.elapsed_ns += clock_.monotonic_ns() - start_ns;
  return {};
}

base::Result<void> Publisher::one_by_one(std::uint64_t count, Measured& into) {
  const std::string_view value(value_.data(), value_.size());
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t offered_ns = clock_.monotonic_ns();
    const std::int64_t sequence = producer_->offer(value);
    if (sequence < 0) return status_error(topic_.name, sequence);
    producer_->flush();
    mr_acks acks{};
    do {
      poll();
      const int moved = producer_->poll_acks(acks);
      if (moved < 0) return status_error(topic_.name, moved);
      if (interrupted()) return interrupted_error();
    } while (level(options_.ack, acks) <= sequence);
    into.latency_ns.record(clock_.monotonic_ns() - offered_ns);
  }
  return {};
}

base::Result<void> Publisher::in_bulk(std::uint64_t count, Measured& into) {
  timed_.clear();
  timed_head_ = 0;
  const std::int64_t first = producer_->next_sequence();
  const auto target = first + static_cast<std::int64_t>(count);
  start_ns_ = clock_.monotonic_ns();
  std::uint64_t offered = 0;
  std::int64_t acked = first;
  while (acked < target) {
    if (offered < count) {
      if (auto took = offer_some(count, offered); !took) return took;
      if (offered == count) producer_->flush();
    }
    poll();
    take_acks(acked, into);
    if (const int status = producer_->status(); status < 0)
      return status_error(topic_.name, status);
    if (interrupted()) return interrupted_error();
  }
  return {};
}

base::Result<void> Publisher::offer_some(std::uint64_t count, std::uint64_t& offered) {
  const std::string_view value(value_.data(), value_.size());
  std::uint64_t until = std::min(count, offered + offers_per_poll);
  if (options_.rate != 0) until = std::min(until, due(clock_.monotonic_ns()));
  for (; offered < until; ++offered) {
    const std::int64_t sequence = producer_->offer(value);
    if (sequence < 0) {
      if (is_passing(sequence)) return {};
      return status_error(topic_.name, sequence);
    }
    if (sequence % timed_every == 0)
      timed_.push_back({sequence, options_.rate == 0 ? clock_.monotonic_ns() : due_ns(offered)});
  }
  return {};
}

void Publisher::take_acks(std::int64_t& acked, Measured& into) {
  mr_acks acks{};
  producer_->poll_acks(acks);
  acked = level(options_.ack, acks);
  if (timed_head_ == timed_.size() || timed_[timed_head_].sequence >= acked) return;
  const std::uint64_t now_ns = clock_.monotonic_ns();
  while (timed_head_ < timed_.size() && timed_[timed_head_].sequence < acked) {
    into.latency_ns.record(now_ns - timed_[timed_head_++].offered_ns);
  }
}

}  // namespace millrace::bench

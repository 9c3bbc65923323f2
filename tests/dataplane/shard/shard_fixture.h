// ShardFixture: a Shard bound to a real Log on a FaultyDisk, and to an outbox that a test reads.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/shard/shard.h"
#include "tests/storage/log_fixture.h"

namespace millrace::shard {

using Bytes = std::vector<std::byte>;

// `records` records of `value_bytes` each.
inline Bytes make_batch(base::ProducerId producer, std::int16_t epoch, std::int32_t sequence,
                        std::uint32_t records = 1, std::uint32_t value_bytes = 50,
                        std::int64_t timestamp_ms = 1000) {
  Bytes buffer(200 + static_cast<std::size_t>(records) * (value_bytes + 20));
  storage::BatchBuilder builder(buffer);
  for (std::uint32_t i = 0; i < records; ++i) {
    const char fill = static_cast<char>('a' + (sequence + static_cast<std::int32_t>(i)) % 26);
    EXPECT_TRUE(builder.add(std::nullopt, std::string(value_bytes, fill), timestamp_ms));
  }
  const auto batch = builder.finish(producer, epoch, sequence);
  return {batch.begin(), batch.end()};
}

class TestOutbox {
 public:
  static constexpr std::uint32_t cores = 2;

  bool has_room(base::CoreId to) const { return events[base::raw(to)].size() < capacity; }
  void push(base::CoreId to, const Event& event) {
    ASSERT_TRUE(has_room(to));
    events[base::raw(to)].push_back(event);
    ++pushed[base::raw(to)];
  }
  std::uint64_t mark(base::CoreId to) const { return pushed[base::raw(to)]; }
  // The oldest event of the kind, which alone is taken.
  std::optional<Event> take(EventKind kind, std::uint32_t core = 0) {
    auto& from = events[core];
    for (auto at = from.begin(); at != from.end(); ++at) {
      if (at->kind != kind) continue;
      const Event event = *at;
      from.erase(at);
      return event;
    }
    return std::nullopt;
  }

  std::array<std::deque<Event>, cores> events;
  std::array<std::uint64_t, cores> pushed{};
  std::size_t capacity = 100'000;
};

using TestShard = Shard<storage::Log, TestOutbox>;

class ShardFixture : private storage::RecoveryVisitor {
 public:
  static constexpr std::uint32_t topic = 7;

  explicit ShardFixture(std::uint32_t producers = 16, std::uint32_t subscriptions = 16,
                        const storage::LogOptions& log_options = storage::small_log_options())
      : disk_log(log_options), producers_max(producers), subscriptions_max(subscriptions) {
    disk_log.observer = this;
    start();
    change(TopicChange::created);
  }

  void start() {
    const ShardOptions options{.id = base::ShardId{3},
                               .core_count = TestOutbox::cores,
                               .partitions_max = disk_log.options.partitions_max,
                               .subscriptions_max = subscriptions_max};
    shard.emplace(options, *arena, *disk_log.log, *producers, outbox);
  }
  void crash_and_start() {
    producers.emplace(*arena, producers_max);
    disk_log.crash_and_open();
    producers->finish_recovery(now_ns);
    outbox = TestOutbox();
    start();
    change(TopicChange::created);
    change(TopicChange::catalog_complete);
  }

  bool apply(const Command& command) { return shard->apply_command(command, now_ns); }
  void change(TopicChange change, std::uint32_t partition = topic) {
    Command command{.kind = CommandKind::topic_change, .change = change};
    command.partition = base::PartitionId{partition};
    EXPECT_TRUE(apply(command));
  }
  Command append_command(const Bytes& batch, std::uint32_t partition = topic) const {
    Command command{.kind = CommandKind::append, .wants_durable = true};
    command.partition = base::PartitionId{partition};
    command.bytes = batch.data();
    command.byte_count = static_cast<std::uint32_t>(batch.size());
    return command;
  }
  Event append(const Bytes& batch, std::uint32_t partition = topic) {
    EXPECT_TRUE(apply(append_command(batch, partition)));
    return outbox.take(EventKind::appended).value();
  }
  Event append_next(std::uint32_t records = 1, std::uint32_t value_bytes = 50,
                    std::int64_t timestamp_ms = 1000) {
    const Bytes batch =
        make_batch(base::no_producer_id, -1, -1, records, value_bytes, timestamp_ms);
    written.push_back(batch);
    const Event event = append(batch);
    storage::stamp_batch(written.back().data(), event.offset, 0);
    return event;
  }
  Event open(base::ProducerId producer, std::int16_t epoch, std::uint32_t partition = topic) {
    Command command{.kind = CommandKind::open};
    command.partition = base::PartitionId{partition};
    command.producer_id = producer;
    command.producer_epoch = epoch;
    command.partition_count = 4;
    EXPECT_TRUE(apply(command));
    return outbox.take(EventKind::opened).value();
  }
  Event subscribe(StartAt start_at, base::Offset offset = 0, std::uint32_t session = 5,
                  std::uint32_t partition = topic) {
    Command command{.kind = CommandKind::subscribe, .start_at = start_at};
    command.partition = base::PartitionId{partition};
    command.offset = offset;
    command.session = session;
    command.stream = 6;
    command.protocol = 1;
    EXPECT_TRUE(apply(command));
    return outbox.take(EventKind::subscribed).value();
  }
  void credit(std::uint32_t subscription, std::uint32_t bytes, base::Offset offset,
              std::uint32_t skip_bytes = 0, std::uint32_t session = 5) {
    Command command{.kind = CommandKind::credit};
    command.partition = base::PartitionId{topic};
    command.session = session;
    command.subscription = subscription;
    command.byte_count = bytes;
    command.offset = offset;
    command.skip_bytes = skip_bytes;
    EXPECT_TRUE(apply(command));
  }
  void close(std::uint32_t subscription, std::uint32_t session = 5) {
    Command command{.kind = CommandKind::close};
    command.partition = base::PartitionId{topic};
    command.session = session;
    command.subscription = subscription;
    EXPECT_TRUE(apply(command));
  }
  // One turn of the core's loop.
  void turn() {
    disk_log.turn();
    shard->push_events();
  }
  void settle() {
    disk_log.settle();
    shard->push_events();
  }
  // Everything a subscription is pushed within some turns, put together batch by batch.
  std::vector<Bytes> receive(std::uint32_t subscription, int turns = 20) {
    std::vector<Bytes> batches;
    for (int i = 0; i < turns; ++i) {
      turn();
      while (const auto event = outbox.take(EventKind::batch)) {
        EXPECT_EQ(event->subscription, subscription);
        if (event->skip_bytes == 0) batches.emplace_back();
        EXPECT_EQ(event->skip_bytes, batches.back().size());
        batches.back().insert(batches.back().end(), event->bytes, event->bytes + event->byte_count);
        received_bytes += event->byte_count;
        next_offset = event->offset;
        next_skip_bytes = event->skip_bytes + event->byte_count;
        if (next_skip_bytes == event->batch_bytes) {
          next_offset += event->offset_count;
          next_skip_bytes = 0;
        }
      }
      disk_log.log->set_consumed(0, outbox.mark(base::CoreId{0}));
    }
    return batches;
  }

  storage::LogFixture disk_log;
  std::uint32_t producers_max;
  std::uint32_t subscriptions_max;
  std::optional<base::Arena> arena = make_arena();
  std::optional<ProducerTable> producers{std::in_place, *arena, producers_max};
  TestOutbox outbox;
  std::optional<TestShard> shard;
  std::vector<Bytes> written;
  std::uint64_t received_bytes = 0;
  base::Offset next_offset = 0;  // where the last received slice ended
  std::uint32_t next_skip_bytes = 0;
  std::uint64_t now_ns = 1000;

 private:
  static base::Arena make_arena() {
    return std::move(base::Arena::create({.bytes = 8ULL << 20, .huge_pages = false}).value());
  }
  // What the core's own recovery does with what it sees.
  void on_batch(base::PartitionId partition, base::Position,
                const storage::BatchView& batch) override {
    producers->recover(partition, batch.producer_id(), batch.producer_epoch(),
                       batch.base_sequence(), batch.last_sequence(), batch.base_offset());
  }
  void on_damage(const base::PartitionId*, base::Position, base::Position) override {}
  void on_progress(std::uint64_t, std::uint64_t) override {}
};

}  // namespace millrace::shard

// FakeShard: applies commands to logs in memory and answers with events, as a shard does.
//
// Follows shard/command.h to the letter, in one thread and without a disk: a batch becomes durable
// when make_durable() says so. Knobs make it refuse, lose a log's beginning, or cut ranges short.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/shard/command.h"

namespace millrace::testing {

class FakeShard {
 public:
  explicit FakeShard(base::ShardId id = base::ShardId{0}) : id_(id) {}

  void add_topic(std::string_view name, std::uint16_t partition_count);

  // Events it brings about are queued.
  void apply(const shard::Command& command);
  // Pushes to subscriptions as far as they have credit; call after appends and credits.
  void push_batches();
  // All appended so far is on the device; queues the durable event.
  void make_durable();
  bool next_event(shard::Event& event);
  std::size_t event_count() const { return events_.size(); }

  std::uint32_t starts = 0;  // of nodes before it

  struct StoredBatch {
    base::Offset base_offset = 0;
    std::uint32_t record_count = 0;
    std::vector<std::byte> bytes;
  };
  const std::deque<StoredBatch>& log(std::uint16_t partition_index,
                                     std::string_view topic = "t") const;
  // Forgets everything below: readers of it are told offset_out_of_range.
  void trim(std::uint16_t partition_index, base::Offset log_start, std::string_view topic = "t");
  // What compaction makes of the batch at the offset: another one of as many offsets, or none.
  void compact(std::uint16_t partition_index, base::Offset base_offset,
               std::vector<std::byte> bytes);
  // The batch there cannot be read.
  void damage(std::uint16_t partition_index, base::Offset offset, std::string_view topic = "t");
  void delete_topic(std::string_view name);

  // The next append is refused with this, whatever is in it.
  void refuse_next(shard::Status status) { refuse_next_ = status; }
  // Biggest range in one batch event.
  void set_range_bytes_max(std::uint32_t bytes) { range_bytes_max_ = bytes; }

  std::uint64_t appends() const { return appends_; }
  std::uint64_t duplicates() const { return duplicates_; }
  // To subscriptions, again or not.
  std::uint64_t pushed_bytes() const { return pushed_bytes_; }
  std::uint32_t subscription_count() const {
    return static_cast<std::uint32_t>(subscriptions_.size());
  }

 private:
  struct Producer {
    std::int16_t epoch = 0;
    std::int32_t last_sequence = -1;
  };
  struct Partition {
    std::deque<StoredBatch> log;
    base::Offset log_start = 0;
    base::Offset log_end = 0;
    std::map<base::ProducerId, Producer> producers;
    base::Offset damaged_at = -1;  // base offset of a batch; -1: none
    bool deleted = false;
  };
  struct Subscription {
    shard::Command asked;
    base::Offset offset = 0;
    std::uint32_t skip_bytes = 0;
    std::uint32_t credit_bytes = 0;
  };

  shard::Event event_for(const shard::Command& command, shard::EventKind kind) const;
  void open(const shard::Command& command);
  void append(const shard::Command& command);
  shard::Status store(Partition& partition, const shard::Command& command, shard::Event& event);
  void read(const shard::Command& command);
  void subscribe(const shard::Command& command);
  void push(std::uint32_t id, Subscription& subscription);
  static const StoredBatch* find(const Partition& partition, base::Offset offset);
  Partition& at(base::PartitionId partition) { return partitions_[base::raw(partition)]; }

  base::ShardId id_;
  struct Topic {
    std::uint32_t first_partition = 0;
    std::uint16_t partition_count = 0;
  };
  std::map<std::string, Topic, std::less<>> topics_;
  std::deque<Partition> partitions_;
  std::map<std::uint32_t, Subscription> subscriptions_;
  std::deque<shard::Event> events_;
  std::uint32_t next_subscription_ = 1;
  std::uint32_t range_bytes_max_ = ~0U;
  std::vector<std::vector<std::byte>> replaced_;  // events on their way may point at them
  base::Position position_ = 0;
  base::Position durable_ = 0;
  shard::Status refuse_next_ = shard::Status::ok;
  std::uint64_t appends_ = 0;
  std::uint64_t duplicates_ = 0;
  std::uint64_t pushed_bytes_ = 0;
};

}  // namespace millrace::testing

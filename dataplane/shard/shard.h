// Shard: the single-threaded owner of a set of partitions: applies commands, answers with events.
// Core:  the one it lives on; nothing of it is shared and nothing in it is locked.
// Step:  6 of the walk (apply_command).
//
// Pure but for its two seams, which are type parameters so that a test binds its own:
//   LogT     storage::Log: append_batch, read, cursors, and what of it is durable
//   OutboxT  events to cores: has_room(core), push(core, event), mark(core) = events ever pushed to
//   it
// A command that cannot be taken now (no journal room, no room for its answer) is left where it is
// and offered again.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/base/arena.h"
#include "dataplane/base/counter.h"
#include "dataplane/base/ids.h"
#include "dataplane/shard/command.h"
#include "dataplane/shard/producer_table.h"
#include "dataplane/shard/subscriptions.h"

namespace millrace::shard {

struct ShardOptions {
  base::ShardId id{};
  std::uint16_t core_count = 1;
  std::uint32_t partitions_max = 32768;
  std::uint32_t subscriptions_max = 32768;
};

struct ShardCounters {
  base::Counter batches_appended, records_appended, bytes_appended;
  base::Counter batches_duplicate, batches_refused, refused_full;
  base::Counter batches_delivered, bytes_delivered;
};

template <class LogT, class OutboxT>
class Shard {
 public:
  Shard(const ShardOptions& options, base::Arena& arena, LogT& log, ProducerTable& producers,
        OutboxT& outbox);
  static std::uint64_t arena_bytes(const ShardOptions& options);

  // False: not now, and nothing has happened; the caller offers the same command again.
  bool apply_command(const Command& command, std::uint64_t now_ns);

  // From the mailbox, as topic_change.
  void set_retention(base::PartitionId partition, const typename LogT::Retention& retention);
  void delete_records(base::PartitionId partition, base::Offset before);

  // Once a turn, after the commands: announces what became durable and pushes to subscriptions.
  // True when it did something.
  bool push_events();

  // Bytes of batches that are sure to be taken now; without limit when every append is refused
  // anyway.
  std::uint64_t append_room_bytes() const;

  ShardCounters& counters() { return counters_; }
  std::uint32_t subscription_count() const { return subscriptions_.size(); }

 private:
  static constexpr std::uint32_t reads_waiting_max = 256;
  static constexpr std::uint32_t slices_per_visit = 8;  // then the next subscription has its turn
  static constexpr std::uint32_t slices_per_turn = 128;
  static constexpr std::uint32_t push_bytes_max = 256 * 1024;

  using Cursor = typename LogT::Cursor;
  using Slice = typename LogT::Slice;
  using ReadStatus = typename LogT::ReadStatus;
  using Pool = Subscriptions<Cursor>;

  void handle_open(const Command& command, std::uint64_t now_ns);
  bool handle_append(const Command& command, std::uint64_t now_ns);
  bool handle_read(const Command& command);
  void handle_subscribe(const Command& command);
  void handle_credit(const Command& command);
  void handle_close(const Command& command);
  void handle_topic_change(const Command& command);
  Status append_obstacle(std::uint32_t slot) const;
  Event answer(const Command& command, EventKind kind, Status status) const;
  Event describe(const Slice& slice, std::uint32_t slot) const;
  void tell_end(std::uint32_t index, Status status);
  void end_subscription(std::uint32_t index, Status status);
  Event end_of(std::uint32_t index, Status status);
  bool announce_durable();
  void forget_removed();
  std::uint32_t push_to(std::uint32_t index, std::uint32_t slices_left);
  void wake_cold();

  ShardOptions options_;
  LogT& log_;
  ProducerTable& producers_;
  OutboxT& outbox_;
  Pool subscriptions_;
  std::array<Command, reads_waiting_max> reads_waiting_;
  std::uint32_t reads_waiting_count_ = 0;
  std::array<base::Position, LogT::readers_max> announced_{};
  std::uint64_t reads_seen_ = 0;
  bool partitions_removed_ = false;
  ShardCounters counters_;
};

}  // namespace millrace::shard

// PendingAcks: batches that are in a shard's memory and not yet on its device, in journal order.
// Core:  the sessions'; one queue per shard, fed by appended events, emptied by durable events.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/base/arena.h"
#include "dataplane/base/check.h"
#include "dataplane/base/ids.h"

namespace millrace::native {

struct PendingAck {
  base::Position position = 0;  // durable once the shard's durable position is at or past it
  std::uint64_t sequence = 0;   // the stream's durable watermark then
  std::uint32_t stream = 0;
};

class PendingAcks {
 public:
  // capacity per shard: a power of two.
  PendingAcks(base::Arena& arena, std::uint32_t shard_count, std::uint32_t capacity)
      : queues_(arena.allocate<Queue>(shard_count)), mask_(capacity - 1) {
    CHECK(capacity != 0 && (capacity & mask_) == 0);
    for (Queue& queue : queues_) queue.slots = arena.allocate<PendingAck>(capacity);
  }
  static std::uint64_t arena_bytes(std::uint32_t shard_count, std::uint32_t capacity) {
    return shard_count * (sizeof(Queue) + std::uint64_t{capacity} * sizeof(PendingAck) + 64) + 64;
  }

  // Room for one more append on its way to the shard? If not the batch is held.
  bool has_room(base::ShardId shard) const {
    const Queue& queue = queues_[base::raw(shard)];
    return queue.tail - queue.head + queue.reserved <= mask_;
  }
  void reserve(base::ShardId shard) {
    DCHECK(has_room(shard));
    ++queues_[base::raw(shard)].reserved;
  }
  // The append was answered; unless it is durable already or was refused, push() follows.
  void unreserve(base::ShardId shard) {
    Queue& queue = queues_[base::raw(shard)];
    DCHECK(queue.reserved > 0);
    --queue.reserved;
  }
  // False when it is durable already.
  bool push(base::ShardId shard, const PendingAck& pending) {
    Queue& queue = queues_[base::raw(shard)];
    if (pending.position <= queue.durable) return false;
    CHECK(queue.tail - queue.head <= mask_);
    queue.slots[queue.tail++ & mask_] = pending;
    return true;
  }
  void set_durable(base::ShardId shard, base::Position position) {
    Queue& queue = queues_[base::raw(shard)];
    if (position > queue.durable) queue.durable = position;
  }
  // The next that has become durable.
  bool pop(base::ShardId shard, PendingAck& pending) {
    Queue& queue = queues_[base::raw(shard)];
    if (queue.head == queue.tail) return false;
    pending = queue.slots[queue.head & mask_];
    if (pending.position > queue.durable) return false;
    ++queue.head;
    return true;
  }
  std::uint32_t shard_count() const { return static_cast<std::uint32_t>(queues_.size()); }

 private:
  struct Queue {
    std::span<PendingAck> slots;
    std::uint64_t head = 0;
    std::uint64_t tail = 0;
    std::uint64_t reserved = 0;
    base::Position durable = 0;
  };

  std::span<Queue> queues_;
  std::uint64_t mask_;
};

}  // namespace millrace::native

// Subscriptions: the cursors of one shard, who waits on which partition, and who is to be served
// next. Core:  the shard's. Owns:  a fixed pool in the arena; each subscription is in the list of
// its partition and in at most one queue.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/base/arena.h"
#include "dataplane/base/ids.h"

namespace millrace::shard {

template <class Cursor>
class Subscriptions {
 public:
  static constexpr std::uint32_t none = 0xffff'ffffU;

  enum class Queue : std::uint8_t { idle, ready, cold };  // idle: at the end or without credit

  struct Subscription {
    bool used = false;
    Queue queue = Queue::idle;
    base::CoreId core{};
    std::uint16_t generation = 0;
    std::uint8_t protocol = 0;
    std::uint32_t session = 0;
    std::uint32_t stream = 0;
    std::uint32_t slot = 0;  // of the partition in the log
    std::uint64_t credit_bytes = 0;
    Cursor cursor;
    std::uint32_t next_in_partition = none, previous_in_partition = none;
    std::uint32_t next_in_queue = none, previous_in_queue = none;
  };

  Subscriptions(base::Arena& arena, std::uint32_t subscriptions_max, std::uint32_t partitions_max)
      : pool_(arena.allocate<Subscription>(subscriptions_max)),
        heads_(arena.allocate<std::uint32_t>(partitions_max)),
        woken_flags_(arena.allocate<bool>(partitions_max)),
        woken_(arena.allocate<std::uint32_t>(partitions_max)) {
    for (auto& head : heads_) head = none;
  }
  static std::uint64_t arena_bytes(std::uint32_t subscriptions_max, std::uint32_t partitions_max) {
    return subscriptions_max * sizeof(Subscription) + partitions_max * 9ULL + 512;
  }

  // Names a subscription to the outside: index + 1 below, generation above, so an old name is not
  // mistaken.
  std::uint32_t id_of(std::uint32_t index) const {
    return (index + 1) | (static_cast<std::uint32_t>(pool_[index].generation & 0xfff) << 20);
  }
  // none when there is no such subscription any more.
  std::uint32_t index_of(std::uint32_t id) const {
    const std::uint32_t index = (id & 0xf'ffffU) - 1;
    if (index >= pool_.size() || !pool_[index].used || id_of(index) != id) return none;
    return index;
  }
  Subscription& operator[](std::uint32_t index) { return pool_[index]; }
  std::uint32_t capacity() const { return static_cast<std::uint32_t>(pool_.size()); }
  std::uint32_t size() const { return size_; }

  std::uint32_t add(std::uint32_t slot) {
    std::uint32_t index = free_;
    if (index != none) {
      free_ = pool_[index].next_in_queue;
    } else if (unused_ < pool_.size()) {
      index = unused_++;
    } else {
      return none;
    }
    const auto generation = static_cast<std::uint16_t>(pool_[index].generation + 1);
    pool_[index] = Subscription();
    pool_[index].generation = generation;
    pool_[index].used = true;
    pool_[index].slot = slot;
    pool_[index].next_in_partition = heads_[slot];
    if (heads_[slot] != none) pool_[heads_[slot]].previous_in_partition = index;
    heads_[slot] = index;
    ++size_;
    return index;
  }

  void remove(std::uint32_t index) {
    move_to(index, Queue::idle);
    Subscription& gone = pool_[index];
    if (gone.previous_in_partition != none) {
      pool_[gone.previous_in_partition].next_in_partition = gone.next_in_partition;
    } else {
      heads_[gone.slot] = gone.next_in_partition;
    }
    if (gone.next_in_partition != none) {
      pool_[gone.next_in_partition].previous_in_partition = gone.previous_in_partition;
    }
    gone.used = false;
    gone.next_in_queue = free_;
    free_ = index;
    --size_;
  }

  std::uint32_t first_of_partition(std::uint32_t slot) const { return heads_[slot]; }

  // The partition grew: its waiting subscriptions are made ready by the next take_woken().
  void wake(std::uint32_t slot) {
    if (heads_[slot] == none || woken_flags_[slot]) return;
    woken_flags_[slot] = true;
    woken_[woken_count_++] = slot;
  }
  void take_woken() {
    for (std::uint32_t i = 0; i < woken_count_; ++i) {
      woken_flags_[woken_[i]] = false;
      for (std::uint32_t at = heads_[woken_[i]]; at != none; at = pool_[at].next_in_partition) {
        if (pool_[at].queue == Queue::idle && pool_[at].credit_bytes > 0) move_to(at, Queue::ready);
      }
    }
    woken_count_ = 0;
  }

  void move_to(std::uint32_t index, Queue queue) {
    Subscription& moved = pool_[index];
    if (moved.queue == queue) return;
    if (moved.queue != Queue::idle) unlink(index);
    moved.queue = queue;
    if (queue != Queue::idle) link_last(index);
  }
  // The one in front goes to the back.
  void rotate(Queue queue) {
    const std::uint32_t index = front(queue);
    unlink(index);
    link_last(index);
  }
  std::uint32_t front(Queue queue) const { return ends_[at(queue)].first; }

 private:
  struct Ends {
    std::uint32_t first = none, last = none;
  };
  static std::uint32_t at(Queue queue) { return static_cast<std::uint32_t>(queue); }

  void unlink(std::uint32_t index) {
    Subscription& gone = pool_[index];
    Ends& ends = ends_[at(gone.queue)];
    (gone.previous_in_queue != none ? pool_[gone.previous_in_queue].next_in_queue : ends.first) =
        gone.next_in_queue;
    (gone.next_in_queue != none ? pool_[gone.next_in_queue].previous_in_queue : ends.last) =
        gone.previous_in_queue;
    gone.next_in_queue = gone.previous_in_queue = none;
  }
  void link_last(std::uint32_t index) {
    Ends& ends = ends_[at(pool_[index].queue)];
    pool_[index].previous_in_queue = ends.last;
    (ends.last != none ? pool_[ends.last].next_in_queue : ends.first) = index;
    ends.last = index;
  }

  std::span<Subscription> pool_;
  std::span<std::uint32_t> heads_;  // by partition slot
  std::span<bool> woken_flags_;
  std::span<std::uint32_t> woken_;
  std::uint32_t woken_count_ = 0;
  std::uint32_t unused_ = 0;
  std::uint32_t free_ = none;
  std::uint32_t size_ = 0;
  Ends ends_[3];
};

}  // namespace millrace::shard

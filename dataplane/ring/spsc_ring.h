// SpscRing: one producer, one consumer, no lock, storage inline (so it also lives in shared
// memory).
//
// Each side keeps a cached copy of the other's index and touches the other's cache line only when
// the cache says full or empty. The consumer looks at slots in place and frees them with release(),
// so until then the producer knows (consumed_count) that what a slot points at is still being read.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <span>
#include <type_traits>

#include "dataplane/base/check.h"

namespace millrace::ring {

template <typename T, std::uint32_t capacity_slots>
class SpscRing {
  static_assert((capacity_slots & (capacity_slots - 1)) == 0, "a power of two");
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  static constexpr std::uint32_t capacity() { return capacity_slots; }

  // --- producer ---
  std::uint32_t free_slots() {
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    std::uint64_t used = tail - cached_head_;
    if (used >= capacity_slots / 2) {
      cached_head_ = head_.load(std::memory_order_acquire);
      used = tail - cached_head_;
    }
    return capacity_slots - static_cast<std::uint32_t>(used);
  }

  bool push(const T& value) {
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - cached_head_ == capacity_slots) {
      cached_head_ = head_.load(std::memory_order_acquire);
      if (tail - cached_head_ == capacity_slots) return false;
    }
    slots_[tail & mask] = value;
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  // As many as fit, in order; visible to the consumer together.
  std::uint32_t push(std::span<const T> values) {
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    auto room = capacity_slots - static_cast<std::uint32_t>(tail - cached_head_);
    if (room < values.size()) {
      cached_head_ = head_.load(std::memory_order_acquire);
      room = capacity_slots - static_cast<std::uint32_t>(tail - cached_head_);
    }
    const auto count = values.size() < room ? static_cast<std::uint32_t>(values.size()) : room;
    const auto at = static_cast<std::uint32_t>(tail & mask);
    const std::uint32_t before_wrap = std::min(count, capacity_slots - at);
    copy(values.data(), before_wrap, slots_ + at);
    copy(values.data() + before_wrap, count - before_wrap, slots_);
    tail_.store(tail + count, std::memory_order_release);
    return count;
  }

  // How many were ever pushed, and how many of them the consumer has released.
  std::uint64_t pushed_count() const { return tail_.load(std::memory_order_relaxed); }
  std::uint64_t consumed_count() const { return head_.load(std::memory_order_acquire); }

  // --- consumer ---
  // The next `index`-th slot not yet released, or null. Stable until released.
  const T* peek(std::uint32_t index = 0) {
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    if (cached_tail_ - head <= index) {
      cached_tail_ = tail_.load(std::memory_order_acquire);
      if (cached_tail_ - head <= index) return nullptr;
    }
    return &slots_[(head + index) & mask];
  }

  void release(std::uint32_t count) {
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    DCHECK(cached_tail_ - head >= count);
    head_.store(head + count, std::memory_order_release);
  }

  std::uint32_t pop(std::span<T> values) {
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    if (cached_tail_ - head < values.size()) cached_tail_ = tail_.load(std::memory_order_acquire);
    const std::uint64_t there = cached_tail_ - head;
    const auto count = static_cast<std::uint32_t>(values.size() < there ? values.size() : there);
    const auto at = static_cast<std::uint32_t>(head & mask);
    const std::uint32_t before_wrap = std::min(count, capacity_slots - at);
    copy(slots_ + at, before_wrap, values.data());
    copy(slots_, count - before_wrap, values.data() + before_wrap);
    head_.store(head + count, std::memory_order_release);
    return count;
  }

  // A consumer that starts anew on a ring in shared memory: what an earlier one left is not for it.
  void skip_all() {
    cached_tail_ = tail_.load(std::memory_order_acquire);
    head_.store(cached_tail_, std::memory_order_release);
  }
  // A producer that starts anew on such a ring.
  void adopt_as_producer() { cached_head_ = head_.load(std::memory_order_acquire); }

 private:
  static constexpr std::uint64_t mask = capacity_slots - 1;

  // The compiler makes a call to memcpy of the loop, which does not pay for one slot.
  static void copy(const T* from, std::uint32_t count, T* to) {
    if (count == 1) {
      *to = *from;
      return;
    }
    if (count == 0) return;
    for (std::uint32_t i = 0; i < count; ++i) to[i] = from[i];
  }

  // 128 bytes apart: the adjacent-line prefetcher pulls lines in pairs.
  alignas(128) std::atomic<std::uint64_t> tail_{0};  // written by the producer
  std::uint64_t cached_head_ = 0;
  alignas(128) std::atomic<std::uint64_t> head_{0};  // written by the consumer
  std::uint64_t cached_tail_ = 0;
  alignas(128) T slots_[capacity_slots];
};

}  // namespace millrace::ring

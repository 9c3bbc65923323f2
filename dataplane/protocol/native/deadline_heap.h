// DeadlineHeap: which of N things is due first. Looking costs one comparison when nothing is.
// Core:  the sessions'.
//
// A thing whose deadline moved later is left where it is; it comes up early and its owner sets it
// again. So the hot path touches the heap only when a deadline moves nearer.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/base/arena.h"

namespace millrace::native {

class DeadlineHeap {
 public:
  DeadlineHeap(base::Arena& arena, std::uint32_t things_max);
  static std::uint64_t arena_bytes(std::uint32_t things_max) {
    return things_max * (sizeof(Entry) + sizeof(std::uint32_t)) + 256;
  }

  // Due at deadline_ns or before: enters the thing, or moves it nearer; never later.
  void set(std::uint32_t thing, std::uint64_t deadline_ns) {
    const std::uint32_t place = places_[thing];
    if (place != absent && entries_[place].deadline_ns <= deadline_ns) return;
    enter(thing, deadline_ns);
  }
  void erase(std::uint32_t thing);

  std::uint64_t next_ns() const { return count_ == 0 ? ~0ULL : entries_[0].deadline_ns; }
  // The first thing, if due; it leaves the heap.
  bool take_due(std::uint64_t now_ns, std::uint32_t& thing);

 private:
  static constexpr std::uint32_t absent = ~0U;
  struct Entry {
    std::uint64_t deadline_ns = 0;
    std::uint32_t thing = 0;
  };

  void enter(std::uint32_t thing, std::uint64_t deadline_ns);
  void put(std::uint32_t place, const Entry& entry) {
    entries_[place] = entry;
    places_[entry.thing] = place;
  }
  void sift_up(std::uint32_t place, const Entry& entry);
  void sift_down(std::uint32_t place, const Entry& entry);

  std::span<Entry> entries_;
  std::span<std::uint32_t> places_;
  std::uint32_t count_ = 0;
};

}  // namespace millrace::native

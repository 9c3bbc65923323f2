#include "dataplane/protocol/native/deadline_heap.h"

#include "dataplane/base/check.h"

namespace millrace::native {

DeadlineHeap::DeadlineHeap(base::Arena& arena, std::uint32_t things_max)
    : entries_(arena.allocate<Entry>(things_max)),
      places_(arena.allocate<std::uint32_t>(things_max)) {
  for (std::uint32_t& place : places_) place = absent;
}

void DeadlineHeap::enter(std::uint32_t thing, std::uint64_t deadline_ns) {
  std::uint32_t place = places_[thing];
  if (place == absent) {
    CHECK(count_ < entries_.size());
    place = count_++;
  }
  sift_up(place, {deadline_ns, thing});
}

void DeadlineHeap::erase(std::uint32_t thing) {
  const std::uint32_t place = places_[thing];
  if (place == absent) return;
  places_[thing] = absent;
  const Entry last = entries_[--count_];
  if (place == count_) return;
  if (place > 0 && last.deadline_ns < entries_[(place - 1) / 2].deadline_ns) {
    sift_up(place, last);
  } else {
    sift_down(place, last);
  }
}

bool DeadlineHeap::take_due(std::uint64_t now_ns, std::uint32_t& thing) {
  if (count_ == 0 || entries_[0].deadline_ns > now_ns) return false;
  thing = entries_[0].thing;
  erase(thing);
  return true;
}

void DeadlineHeap::sift_up(std::uint32_t place, const Entry& entry) {
  while (place > 0) {
    const std::uint32_t parent = (place - 1) / 2;
    if (entries_[parent].deadline_ns <= entry.deadline_ns) break;
    put(place, entries_[parent]);
    place = parent;
  }
  put(place, entry);
}

void DeadlineHeap::sift_down(std::uint32_t place, const Entry& entry) {
  for (;;) {
    std::uint32_t child = 2 * place + 1;
    if (child >= count_) break;
    if (child + 1 < count_ && entries_[child + 1].deadline_ns < entries_[child].deadline_ns) {
      ++child;
    }
    if (entries_[child].deadline_ns >= entry.deadline_ns) break;
    put(place, entries_[child]);
    place = child;
  }
  put(place, entry);
}

}  // namespace millrace::native

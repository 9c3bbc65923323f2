#include "dataplane/protocol/native/deadline_heap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace millrace::native {
namespace {

TEST(NativeDeadlineHeap, gives_things_in_order_and_moves_them_only_nearer) {
  auto arena = base::Arena::create({.bytes = 1 << 20, .huge_pages = false});
  ASSERT_TRUE(arena.has_value());
  constexpr std::uint32_t things = 64;
  DeadlineHeap heap(*arena, things);
  std::vector<std::uint64_t> expected(things, ~0ULL);
  std::mt19937_64 random(5);
  for (int i = 0; i < 20'000; ++i) {
    const auto thing = static_cast<std::uint32_t>(random() % things);
    const std::uint64_t deadline_ns = random() % 1000;
    switch (random() % 4) {
      case 0:
        heap.erase(thing);
        expected[thing] = ~0ULL;
        break;
      case 1: {
        const auto first = std::min_element(expected.begin(), expected.end());
        ASSERT_EQ(heap.next_ns(), *first);
        std::uint32_t due = 0;
        ASSERT_EQ(heap.take_due(deadline_ns, due), *first <= deadline_ns);
        if (*first > deadline_ns) break;
        ASSERT_EQ(expected[due], *first);
        expected[due] = ~0ULL;
        break;
      }
      default:
        heap.set(thing, deadline_ns);
        expected[thing] = std::min(expected[thing], deadline_ns);
    }
  }
}

}  // namespace
}  // namespace millrace::native

#include "dataplane/ring/spsc_ring.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <random>
#include <span>
#include <thread>
#include <vector>

namespace millrace::ring {
namespace {

using SmallRing = SpscRing<std::uint64_t, 8>;

std::vector<std::uint64_t> pop_all(SmallRing& ring) {
  std::array<std::uint64_t, 8> values{};
  const std::uint32_t count = ring.pop(values);
  return {values.begin(), values.begin() + count};
}

TEST(SpscRing, gives_back_what_was_pushed_in_order) {
  SmallRing ring;
  EXPECT_TRUE(ring.push(1));
  EXPECT_TRUE(ring.push(2));
  EXPECT_TRUE(ring.push(3));
  EXPECT_EQ(pop_all(ring), (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_EQ(pop_all(ring), std::vector<std::uint64_t>{});
}

TEST(SpscRing, holds_its_full_capacity_and_refuses_the_next) {
  SmallRing ring;
  for (std::uint64_t i = 0; i < 8; ++i) EXPECT_TRUE(ring.push(i));
  EXPECT_FALSE(ring.push(8));
  EXPECT_EQ(ring.free_slots(), 0U);
  EXPECT_EQ(pop_all(ring), (std::vector<std::uint64_t>{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(ring.free_slots(), 8U);
}

TEST(SpscRing, a_batch_that_does_not_fit_is_taken_up_to_what_does) {
  SmallRing ring;
  const std::array<std::uint64_t, 5> values = {1, 2, 3, 4, 5};
  EXPECT_EQ(ring.push(values), 5U);
  EXPECT_EQ(ring.push(values), 3U);
  EXPECT_EQ(ring.push(values), 0U);
  EXPECT_EQ(pop_all(ring), (std::vector<std::uint64_t>{1, 2, 3, 4, 5, 1, 2, 3}));
}

TEST(SpscRing, free_slots_never_promises_more_than_there_are) {
  SmallRing ring;
  std::mt19937_64 random(4);
  std::uint64_t used = 0;
  for (int i = 0; i < 10'000; ++i) {
    if (random() % 2 == 0) {
      const std::uint32_t promised = ring.free_slots();
      ASSERT_LE(promised, 8 - used);
      for (std::uint32_t j = 0; j < promised; ++j) ASSERT_TRUE(ring.push(j));
      used += promised;
    } else {
      used -= pop_all(ring).size();
    }
  }
}

TEST(SpscRing, peeked_slots_stay_until_released) {
  SmallRing ring;
  EXPECT_EQ(ring.peek(), nullptr);
  for (std::uint64_t i = 10; i < 13; ++i) ring.push(i);
  ASSERT_NE(ring.peek(2), nullptr);
  EXPECT_EQ(*ring.peek(0), 10U);
  EXPECT_EQ(*ring.peek(2), 12U);
  EXPECT_EQ(ring.peek(3), nullptr);
  EXPECT_EQ(*ring.peek(0), 10U);
  ring.release(2);
  EXPECT_EQ(*ring.peek(), 12U);
  EXPECT_EQ(ring.peek(1), nullptr);
}

TEST(SpscRing, the_producer_sees_how_far_the_consumer_released_not_how_far_it_looked) {
  SmallRing ring;
  for (std::uint64_t i = 0; i < 4; ++i) ring.push(i);
  EXPECT_EQ(ring.pushed_count(), 4U);
  EXPECT_EQ(ring.consumed_count(), 0U);
  ASSERT_NE(ring.peek(3), nullptr);
  EXPECT_EQ(ring.consumed_count(), 0U);
  ring.release(3);
  EXPECT_EQ(ring.consumed_count(), 3U);
  EXPECT_EQ(pop_all(ring).size(), 1U);
  EXPECT_EQ(ring.consumed_count(), ring.pushed_count());
}

TEST(SpscRing, a_new_consumer_can_pass_over_what_an_earlier_one_left) {
  SmallRing ring;
  for (std::uint64_t i = 0; i < 5; ++i) ring.push(i);
  ring.skip_all();
  EXPECT_EQ(ring.peek(), nullptr);
  EXPECT_EQ(ring.consumed_count(), 5U);
  ring.push(99);
  EXPECT_EQ(pop_all(ring), (std::vector<std::uint64_t>{99}));
}

TEST(SpscRing, a_new_producer_goes_on_where_the_last_one_stopped) {
  SmallRing ring;
  for (std::uint64_t i = 0; i < 8; ++i) ring.push(i);
  std::array<std::uint64_t, 3> first{};
  ring.pop(first);
  ring.adopt_as_producer();
  const std::array<std::uint64_t, 8> more = {8, 9, 10, 11, 12, 13, 14, 15};
  EXPECT_EQ(ring.push(more), 3U);
  EXPECT_EQ(pop_all(ring), (std::vector<std::uint64_t>{3, 4, 5, 6, 7, 8, 9, 10}));
}

TEST(SpscRing, behaves_like_a_bounded_queue_over_any_mix_of_calls) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    SmallRing ring;
    std::deque<std::uint64_t> model;
    std::uint64_t next = 0;
    for (int i = 0; i < 2000; ++i) {
      std::array<std::uint64_t, 12> values{};
      const std::span<std::uint64_t> some = std::span(values).first(random() % values.size());
      switch (random() % 3) {
        case 0: {
          for (auto& value : some) value = next++;
          const std::uint32_t taken = ring.push(std::span<const std::uint64_t>(some));
          ASSERT_EQ(taken, std::min(some.size(), 8 - model.size()));
          model.insert(model.end(), some.begin(), some.begin() + taken);
          break;
        }
        case 1: {
          const std::uint32_t count = ring.pop(some);
          ASSERT_EQ(count, std::min(some.size(), model.size()));
          for (std::uint32_t j = 0; j < count; ++j) {
            ASSERT_EQ(some[j], model.front());
            model.pop_front();
          }
          break;
        }
        default: {
          std::uint32_t seen = 0;
          for (; seen < some.size() && ring.peek(seen) != nullptr; ++seen) {
            ASSERT_EQ(*ring.peek(seen), model[seen]);
          }
          ASSERT_EQ(seen, std::min(some.size(), model.size()));
          ring.release(seen);
          model.erase(model.begin(), model.begin() + seen);
        }
      }
    }
  }
}

// Two threads, every value accounted for: nothing lost, doubled or reordered across many wraps.
TEST(SpscRing, two_threads_lose_nothing_and_keep_the_order) {
  constexpr std::uint64_t total = 200'000;
  SpscRing<std::uint64_t, 16> ring;
  std::thread producer([&] {
    std::mt19937_64 random(5);
    std::array<std::uint64_t, 24> values{};
    std::uint64_t next = 0;
    while (next < total) {
      const std::uint64_t want = std::min<std::uint64_t>(1 + random() % 24, total - next);
      for (std::uint64_t i = 0; i < want; ++i) values[i] = next + i;
      const std::uint32_t pushed = ring.push(std::span<const std::uint64_t>(values).first(want));
      if (pushed == 0) std::this_thread::yield();
      next += pushed;
    }
  });
  std::mt19937_64 random(6);
  std::array<std::uint64_t, 24> values{};
  std::uint64_t next = 0;
  std::uint64_t wrong = 0;
  while (next < total) {
    const std::uint32_t count = ring.pop(std::span(values).first(1 + random() % 24));
    if (count == 0) std::this_thread::yield();
    for (std::uint32_t i = 0; i < count; ++i) {
      if (values[i] != next++) ++wrong;
    }
  }
  producer.join();
  EXPECT_EQ(wrong, 0U);
  EXPECT_EQ(ring.peek(), nullptr);
}

// The promise that zero-copy rests on: what a slot points at may be reused once consumed_count()
// has passed the slot, and not before. Under ThreadSanitizer an early reuse is a reported race.
TEST(SpscRing, memory_behind_a_slot_can_be_reused_once_it_was_released) {
  constexpr std::uint64_t total = 50'000;
  constexpr std::uint64_t buffer_count = 4;
  std::array<std::uint64_t, buffer_count> buffers{};
  SpscRing<const std::uint64_t*, 8> ring;
  std::thread producer([&] {
    for (std::uint64_t i = 0; i < total; ++i) {
      while (i - ring.consumed_count() >= buffer_count) std::this_thread::yield();
      buffers[i % buffer_count] = i;
      CHECK(ring.push(&buffers[i % buffer_count]));
    }
  });
  std::uint64_t wrong = 0;
  for (std::uint64_t i = 0; i < total; ++i) {
    while (ring.peek() == nullptr) std::this_thread::yield();
    if (**ring.peek() != i) ++wrong;
    ring.release(1);
  }
  producer.join();
  EXPECT_EQ(wrong, 0U);
}

TEST(SpscRing, the_two_sides_do_not_share_cache_lines) {
  EXPECT_EQ(alignof(SmallRing), 128U);
  EXPECT_EQ(sizeof(SmallRing), 3 * 128U);
}

}  // namespace
}  // namespace millrace::ring

#include "storage/segment_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <vector>

namespace millrace::storage {
namespace {

class SegmentTableTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t nodes_max = 500;
  static Segment segment(base::Offset first, base::Offset end) {
    return {.file = FileId{static_cast<std::uint32_t>(end)},
            .first_offset = first,
            .end_offset = end,
            .bytes = static_cast<std::uint64_t>(end - first),
            .max_timestamp_ms = end};
  }

  base::Arena arena_ = std::move(
      *base::Arena::create({.bytes = SegmentTable::arena_bytes(nodes_max), .huge_pages = false}));
  SegmentTable table_{arena_, nodes_max};
  SegmentTable::List list_;
};

TEST_F(SegmentTableTest, finds_the_segment_of_an_offset_and_of_a_time) {
  for (base::Offset at = 0; at < 1000; at += 10)
    ASSERT_TRUE(table_.put(list_, segment(at, at + 10)));
  for (base::Offset at = 0; at < 1000; ++at) {
    ASSERT_EQ(table_.find_offset(list_, at)->first_offset, at / 10 * 10);
    ASSERT_EQ(table_.find_time(list_, at + 1)->first_offset, at / 10 * 10);
  }
  EXPECT_FALSE(table_.find_offset(list_, 1000));
  EXPECT_FALSE(table_.find_offset(list_, -1));
  EXPECT_FALSE(table_.find_time(list_, 1001));
}

TEST_F(SegmentTableTest, an_offset_between_two_segments_is_in_none) {
  ASSERT_TRUE(table_.put(list_, segment(0, 10)));
  ASSERT_TRUE(table_.put(list_, segment(20, 30)));
  EXPECT_FALSE(table_.find_offset(list_, 10));
  EXPECT_EQ(table_.find_offset(list_, 20)->end_offset, 30);
}

// Against a map that does the same: appended, rewritten and dropped from the front at random.
TEST_F(SegmentTableTest, is_what_was_put_and_not_replaced_or_dropped) {
  std::mt19937 random(3);
  std::map<base::Offset, base::Offset> expected;
  base::Offset next = 0;
  for (int i = 0; i < 20'000; ++i) {
    const auto chance = random() % 10;
    if (chance < 6 || expected.size() < 3) {
      const base::Offset end = next + 1 + random() % 20;
      ASSERT_TRUE(table_.put(list_, segment(next, end)));
      expected[next] = end;
      next = end;
    } else if (chance < 8) {
      auto from = expected.begin();
      std::advance(from, random() % expected.size());
      auto to = from;
      for (std::uint32_t more = random() % 20; more > 0 && std::next(to) != expected.end(); --more)
        ++to;
      const base::Offset first = from->first;
      const base::Offset end = to->second;
      ASSERT_EQ(table_.put(list_, segment(first, end)), static_cast<std::uint64_t>(end - first));
      expected.erase(from, std::next(to));
      expected[first] = end;
    } else if (random() % 4 == 0) {
      const base::Offset offset = expected.begin()->first + random() % 200;
      std::uint64_t bytes = 0;
      while (!expected.empty() && expected.begin()->second <= offset) {
        bytes += static_cast<std::uint64_t>(expected.begin()->second - expected.begin()->first);
        expected.erase(expected.begin());
      }
      ASSERT_EQ(table_.drop_before(list_, offset), bytes);
    }
    if (expected.empty()) {
      ASSERT_TRUE(list_.empty());
      continue;
    }
    ASSERT_EQ(table_.first(list_)->first_offset, expected.begin()->first);
    ASSERT_EQ(table_.last(list_)->end_offset, expected.rbegin()->second);
    auto one = expected.begin();
    std::advance(one, random() % expected.size());
    const auto found = table_.find_offset(list_, one->second - 1);
    ASSERT_TRUE(found);
    ASSERT_EQ(found->first_offset, one->first);
    ASSERT_EQ(found->end_offset, one->second);
  }
  table_.clear(list_);
  EXPECT_EQ(table_.free_nodes(), nodes_max);
}

TEST_F(SegmentTableTest, any_order_will_do) {
  std::mt19937 random(9);
  for (int round = 0; round < 50; ++round) {
    std::vector<base::Offset> order(100);
    std::iota(order.begin(), order.end(), 0);
    std::ranges::shuffle(order, random);
    for (const base::Offset at : order) ASSERT_TRUE(table_.put(list_, segment(at, at + 1)));
    for (base::Offset at = 0; at < 100; ++at) {
      const auto found = table_.find_offset(list_, at);
      ASSERT_TRUE(found) << at;
      ASSERT_EQ(found->first_offset, at);
    }
    EXPECT_EQ(table_.clear(list_), 100U);
  }
  EXPECT_EQ(table_.free_nodes(), nodes_max);
}

TEST_F(SegmentTableTest, a_full_pool_takes_no_more_and_keeps_what_it_has) {
  base::Offset at = 0;
  while (table_.put(list_, segment(at, at + 1))) ++at;
  EXPECT_GE(at, nodes_max);
  EXPECT_EQ(table_.last(list_)->end_offset, at);
  EXPECT_EQ(table_.find_offset(list_, 0)->end_offset, 1);
  // But what takes another's place always has room.
  std::mt19937 random(5);
  for (int i = 0; i < 2000; ++i) {
    const Segment old = *table_.find_offset(list_, static_cast<base::Offset>(random()) % at);
    const auto next = table_.find_offset(list_, old.end_offset);
    const base::Offset end = next && i % 40 == 0 ? next->end_offset : old.end_offset;
    ASSERT_EQ(table_.put(list_, segment(old.first_offset, end)),
              static_cast<std::uint64_t>(end - old.first_offset));
  }
  for (base::Offset offset = 0; offset < at; ++offset)
    ASSERT_TRUE(table_.find_offset(list_, offset));
}

}  // namespace
}  // namespace millrace::storage

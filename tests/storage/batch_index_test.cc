#include "storage/batch_index.h"

#include <gtest/gtest.h>

#include <random>

namespace millrace::storage {
namespace {

class BatchIndexTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t chunks_max = 2000;
  base::Arena arena_ = std::move(
      *base::Arena::create({.bytes = BatchIndex::arena_bytes(chunks_max), .huge_pages = false}));
  BatchIndex index_{arena_, chunks_max};
  BatchIndex::List list_;
};

TEST_F(BatchIndexTest, finds_the_batch_that_holds_an_offset_among_many) {
  std::mt19937 random(1);
  std::vector<base::Offset> bases;
  base::Offset next = 0;
  for (int i = 0; i < 20000; ++i) {
    index_.add(list_, next, {.position = static_cast<base::Position>(i) * 100, .bytes = 90});
    bases.push_back(next);
    next += 1 + random() % 50;
  }
  for (int i = 0; i < 5000; ++i) {
    const auto offset = static_cast<base::Offset>(random() % static_cast<std::uint64_t>(next));
    const auto expected = std::upper_bound(bases.begin(), bases.end(), offset) - bases.begin() - 1;
    const auto place = index_.find_offset(list_, offset);
    ASSERT_TRUE(place.valid());
    EXPECT_EQ(index_.offset_at(place), bases[static_cast<std::size_t>(expected)]);
    EXPECT_EQ(index_.entry(place).position, static_cast<base::Position>(expected) * 100);
  }
}

TEST_F(BatchIndexTest, finds_the_first_batch_at_or_past_a_time_even_when_producers_clocks_go_back) {
  for (int i = 0; i < 1000; ++i) {
    const std::int64_t stamp = i % 10 == 9 ? i - 500 : i;  // now and then one from the past
    index_.add(list_, i,
               {.position = static_cast<base::Position>(i), .max_timestamp_ms = stamp, .bytes = 1});
  }
  EXPECT_EQ(index_.offset_at(index_.find_time(list_, -1000)), 0);
  EXPECT_EQ(index_.offset_at(index_.find_time(list_, 500)), 500);
  EXPECT_EQ(index_.offset_at(index_.find_time(list_, 509)), 510);  // 509 itself carries an old time
  EXPECT_FALSE(index_.find_time(list_, 2000).valid());
}

TEST_F(BatchIndexTest, walks_from_the_first_batch_to_the_last) {
  for (int i = 0; i < 100; ++i) index_.add(list_, i * 10, {.bytes = 1});
  int seen = 0;
  for (auto place = index_.first(list_); place.valid(); place = index_.next(place)) {
    EXPECT_EQ(index_.offset_at(place), seen * 10);
    ++seen;
  }
  EXPECT_EQ(seen, 100);
}

TEST_F(BatchIndexTest, what_is_dropped_from_the_front_is_gone_and_the_rest_is_found_as_before) {
  std::mt19937 random(2);
  std::vector<base::Offset> bases;
  base::Offset next = 0;
  std::size_t first = 0;  // of bases that is still there
  BatchIndex::List other;
  for (int i = 0; i < 60000; ++i) {
    const auto stamp = static_cast<std::int64_t>(next);
    index_.add(
        list_, next,
        {.position = static_cast<base::Position>(next), .max_timestamp_ms = stamp, .bytes = 1});
    // Chunks that were given back are taken by others, so links into them would show.
    if (i % 3 == 0) index_.add(other, i, {.position = 1, .max_timestamp_ms = 1, .bytes = 1});
    if (i % 9000 == 0) index_.clear(other);
    bases.push_back(next);
    next += 1 + random() % 50;
    if (random() % 500 == 0) {
      const std::size_t to = first + random() % (bases.size() - first);
      ASSERT_EQ(index_.drop_before(list_, bases[to]), to - first);
      first = to;
    }
    if (i % 50 != 0) continue;
    ASSERT_EQ(index_.offset_at(index_.first(list_)), bases[first]);
    const std::size_t wanted = first + random() % (bases.size() - first);
    const auto place = index_.find_offset(list_, bases[wanted]);
    ASSERT_EQ(index_.offset_at(place), bases[wanted]);
    ASSERT_EQ(index_.entry(place).position, static_cast<base::Position>(bases[wanted]));
    ASSERT_EQ(index_.offset_at(index_.find_time(list_, bases[wanted])), bases[wanted]);
  }
  EXPECT_EQ(index_.offset_at(index_.find_offset(list_, 0)), bases[first]);
  EXPECT_EQ(index_.drop_before(list_, next), bases.size() - first);
  EXPECT_FALSE(index_.first(list_).valid());
  EXPECT_FALSE(index_.find_offset(list_, 0).valid());
}

TEST_F(BatchIndexTest, gives_chunks_back_for_other_partitions) {
  BatchIndex::List other;
  for (std::uint32_t i = 0; i < chunks_max * BatchIndex::entries_per_chunk; ++i) {
    ASSERT_TRUE(index_.has_room() || i % BatchIndex::entries_per_chunk != 0);
    index_.add(list_, i, {.bytes = 1});
  }
  EXPECT_FALSE(index_.has_room());
  index_.clear(list_);
  ASSERT_TRUE(index_.has_room());
  index_.add(other, 5, {.position = 77, .bytes = 1});
  EXPECT_EQ(index_.entry(index_.find_offset(other, 5)).position, 77U);
  EXPECT_FALSE(index_.find_offset(list_, 5).valid());
}

TEST_F(BatchIndexTest, starts_a_new_chunk_where_offsets_are_too_far_apart_for_one) {
  index_.add(list_, 0, {.position = 1, .bytes = 1});
  index_.add(list_, 10'000'000'000, {.position = 2, .bytes = 1});
  EXPECT_EQ(index_.entry(index_.find_offset(list_, 10'000'000'000)).position, 2U);
  EXPECT_EQ(index_.entry(index_.find_offset(list_, 9'999'999'999)).position, 1U);
}

}  // namespace
}  // namespace millrace::storage

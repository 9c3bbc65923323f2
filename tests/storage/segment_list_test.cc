#include "storage/segment_list.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

namespace millrace::storage {
namespace {

std::vector<SegmentEntry> unpacked(const SegmentList& list) {
  std::vector<SegmentEntry> entries;
  for (const SegmentEntry& entry : list) entries.push_back(entry);
  return entries;
}

// What one file holds: most partitions once, some of them twice.
std::vector<SegmentEntry> usual_entries() {
  std::mt19937_64 random(7);
  std::vector<SegmentEntry> entries;
  SegmentEntry entry{.first_offset = 1'000'000, .position = segment_data_at};
  for (int i = 0; i < 1000; ++i) {
    const bool goes_on = random() % 8 == 0;
    if (!goes_on) entry.partition += 1 + static_cast<std::uint32_t>(random() % 3);
    entry.first_offset = goes_on ? entry.end_offset : static_cast<base::Offset>(random() % 10'000);
    entry.end_offset = entry.first_offset + 1 + static_cast<base::Offset>(random() % 1000);
    entry.position += entry.bytes;
    entry.bytes = 100 + random() % 100'000;
    entry.max_timestamp_ms = 1'700'000'000'000 + static_cast<std::int64_t>(random() % 60'000);
    entry.index_first += entry.index_count;
    entry.index_count = static_cast<std::uint16_t>(random() % 4);
    entry.flags = random() % 8 == 0 ? SegmentEntry::compacted : std::uint16_t{0};
    entries.push_back(entry);
  }
  return entries;
}

TEST(SegmentList, gives_back_what_was_put) {
  const std::vector<SegmentEntry> entries = usual_entries();
  const SegmentList list(entries);
  EXPECT_EQ(list.size(), entries.size());
  EXPECT_EQ(unpacked(list), entries);
  EXPECT_EQ(list.at(0), entries[0]);
  EXPECT_EQ(list.at(999), entries[999]);
  EXPECT_EQ(std::ranges::count(list, entries[5].partition, &SegmentEntry::partition),
            std::ranges::count(entries, entries[5].partition, &SegmentEntry::partition));
}

TEST(SegmentList, takes_a_third_of_the_memory) {
  const std::vector<SegmentEntry> entries = usual_entries();
  EXPECT_LT(SegmentList(entries).packed_bytes(), entries.size() * sizeof(SegmentEntry) / 3);
}

TEST(SegmentList, gives_back_the_unlikely_too) {
  constexpr auto offset_max = std::numeric_limits<base::Offset>::max();
  constexpr auto time_min = std::numeric_limits<std::int64_t>::min();
  const std::vector<SegmentEntry> entries = {
      {.partition = ~0U,
       .last_epoch = -1,
       .first_offset = offset_max - 1,
       .end_offset = offset_max,
       .position = ~0ULL,
       .bytes = ~0ULL,
       .max_timestamp_ms = time_min,
       .index_first = ~0U,
       .index_count = 0xffff,
       .flags = 0xffff},
      {.partition = 0, .end_offset = 1, .max_timestamp_ms = -(time_min + 1)},
      {.partition = 0, .last_epoch = std::numeric_limits<std::int32_t>::min(), .end_offset = 2}};
  EXPECT_EQ(unpacked(SegmentList(entries)), entries);
}

TEST(SegmentList, of_nothing_is_empty) {
  const SegmentList list;
  EXPECT_TRUE(list.empty());
  EXPECT_TRUE(list.begin() == list.end());
  EXPECT_TRUE(unpacked(SegmentList(std::vector<SegmentEntry>())).empty());
}

}  // namespace
}  // namespace millrace::storage

#include "storage/segment.h"

#include <gtest/gtest.h>

#include <random>

namespace millrace::storage {
namespace {

constexpr std::uint32_t seed = 77;

SegmentFileHeader identity() {
  return {.cluster_id = 5, .shard = 2, .number = 42, .from = 4096, .to = 1 << 20};
}

SegmentMeta make_meta() {
  SegmentMeta meta;
  meta.segments.push_back({.partition = 3,
                           .first_offset = 10,
                           .end_offset = 20,
                           .position = segment_data_at,
                           .bytes = 5000,
                           .max_timestamp_ms = 99,
                           .index_first = 0,
                           .index_count = 2});
  meta.segments.push_back({.partition = 4,
                           .first_offset = 0,
                           .end_offset = 7,
                           .position = segment_data_at + 5000,
                           .bytes = 3000,
                           .max_timestamp_ms = 98,
                           .index_first = 2,
                           .index_count = 0});
  meta.partitions.push_back({.partition = 3, .log_start = 10, .log_end = 20});
  meta.producers.push_back({.producer_id = 8, .partition = 3, .epoch = 1, .batch_count = 1});
  meta.index.push_back({.position = segment_data_at + 100, .first_offset = 12});
  meta.index.push_back({.position = segment_data_at + 200, .first_offset = 15});
  meta.block_crcs.push_back(0x1234);
  return meta;
}

struct Written {
  SegmentFileHeader header = identity();
  std::vector<std::byte> meta;
  std::vector<std::byte> block = std::vector<std::byte>(block_bytes);

  explicit Written(const SegmentMeta& from) : meta(from.bytes()) {
    header.data_bytes = 2 * block_bytes;
    write_segment_meta(from, seed, meta, header);
    write_segment_header(header, seed, block);
  }
};

TEST(Segment, a_file_is_named_by_its_number_and_nothing_else_is) {
  EXPECT_EQ(segment_file_name(42), "segment-0000000000000042");
  EXPECT_EQ(segment_file_number(segment_file_name(42)), 42U);
  for (const char* other : {"segment.new", "segment-", "segment-42", "journal-0000000000000042",
                            "segment-00000000000000x2", "segment-00000000000000042"})
    EXPECT_FALSE(segment_file_number(other)) << other;
}

TEST(Segment, header_and_meta_are_read_as_written) {
  const SegmentMeta meta = make_meta();
  const Written written(meta);
  const auto header = read_segment_header(written.block, seed);
  ASSERT_TRUE(header);
  EXPECT_EQ(*header, written.header);
  EXPECT_EQ(header->file_bytes(), (1 + 2 + 1 + 1 + 1) * block_bytes);
  EXPECT_EQ(read_segment_meta(*header, seed, written.meta), meta);
  // Where a reader looks for a segment's index.
  const std::uint64_t at = index_at(*header, meta.segments[0]) - header->meta_at(0);
  IndexEntry entry;
  std::memcpy(&entry, written.meta.data() + at, sizeof entry);
  EXPECT_EQ(entry, meta.index[0]);
}

TEST(Segment, no_bit_may_change_and_no_other_node_may_have_written_it) {
  const Written written(make_meta());
  EXPECT_FALSE(read_segment_header(written.block, seed + 1));
  EXPECT_FALSE(read_segment_meta(written.header, seed + 1, written.meta));
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    auto block = written.block;
    block[random() % 96] ^= std::byte{1};
    EXPECT_FALSE(read_segment_header(block, seed));
    auto meta = written.meta;
    meta[random() % meta.size()] ^= std::byte{4};
    EXPECT_FALSE(read_segment_meta(written.header, seed, meta));
  }
}

TEST(Segment, what_points_out_of_the_file_is_not_believed_though_its_crc_is_right) {
  const auto refused = [](auto change) {
    SegmentMeta meta = make_meta();
    change(meta);
    const Written written(meta);
    return !read_segment_meta(written.header, seed, written.meta);
  };
  EXPECT_FALSE(refused([](SegmentMeta&) {}));
  EXPECT_TRUE(refused([](SegmentMeta& meta) { meta.segments[0].position = 0; }));
  EXPECT_TRUE(refused([](SegmentMeta& meta) { meta.segments[0].bytes = 3 * block_bytes; }));
  EXPECT_TRUE(refused([](SegmentMeta& meta) { meta.segments[0].bytes = ~0ULL; }));
  EXPECT_TRUE(refused([](SegmentMeta& meta) { meta.segments[1].end_offset = 0; }));
  EXPECT_TRUE(refused([](SegmentMeta& meta) { meta.segments[1].first_offset = -1; }));
  EXPECT_FALSE(refused([](SegmentMeta& meta) { meta.segments[0].flags = 3; }));
  EXPECT_TRUE(refused([](SegmentMeta& meta) { meta.segments[0].flags = 4; }));
  EXPECT_TRUE(refused([](SegmentMeta& meta) { meta.segments[0].index_count = 3; }));
  EXPECT_TRUE(refused([](SegmentMeta& meta) { meta.segments[0].index_first = ~0U; }));
  EXPECT_TRUE(refused([](SegmentMeta& meta) { meta.producers[0].batch_count = 6; }));
}

TEST(Segment, a_block_has_another_crc_at_another_place) {
  const std::vector<std::byte> bytes(crc_block_bytes);
  const auto crc = data_block_crc(seed, 1, 2, bytes);
  EXPECT_NE(crc, data_block_crc(seed, 1, 3, bytes));
  EXPECT_NE(crc, data_block_crc(seed, 2, 2, bytes));
  EXPECT_NE(crc, data_block_crc(seed + 1, 1, 2, bytes));
}

}  // namespace
}  // namespace millrace::storage

#include "storage/frame.h"

#include <gtest/gtest.h>

#include <cstring>

#include "storage/crc32c.h"
#include "tests/storage/journal_fixture.h"

namespace millrace::storage {
namespace {

constexpr std::uint64_t boundary = 1 << 20;
constexpr base::ShardId shard{3};
constexpr base::Position place = 5 * boundary + 3 * block_bytes;

struct Built {
  std::vector<std::byte> bytes;
  FrameHeader header;
  std::uint32_t seed = journal_seed(77, shard);
};

Built build(std::size_t entry_count) {
  Built built;
  built.bytes.resize(64 * 1024);
  const std::uint32_t body_seed = frame_seed(built.seed, place, 4);
  std::uint32_t at = frame_header_bytes;
  for (std::size_t i = 0; i < entry_count; ++i) {
    const auto batch = make_batch(i, 100 + i * 3);
    const EntryHeader entry{.bytes = static_cast<std::uint32_t>(batch.size()),
                            .partition = 9,
                            .base_offset = static_cast<std::int64_t>(1000 + i),
                            .leader_epoch = 6};
    write_entry(built.bytes.data() + at, entry, batch, at, body_seed);
    at += static_cast<std::uint32_t>(entry_bytes(batch.size()));
  }
  const auto body =
      std::span<const std::byte>(built.bytes).subspan(frame_header_bytes, at - frame_header_bytes);
  built.header = {.lsn = place,
                  .generation = 4,
                  .durable_lsn = place - block_bytes,
                  .body_bytes = at - frame_header_bytes,
                  .body_crc = crc32c(body, body_seed),
                  .previous_header_crc = 1,
                  .entry_count = static_cast<std::uint32_t>(entry_count),
                  .shard = base::raw(shard)};
  built.header.header_crc = header_crc(built.header, built.seed);
  std::memcpy(built.bytes.data(), &built.header, sizeof built.header);
  return built;
}

TEST(Frame, what_is_written_is_what_is_read) {
  const Built built = build(3);
  const auto header = read_frame_header(built.bytes, built.seed, shard, place, boundary);
  ASSERT_TRUE(header);
  EXPECT_EQ(std::memcmp(&*header, &built.header, sizeof *header), 0);
  EXPECT_EQ(frame_end(*header), place + block_bytes);
  const std::span<const std::byte> all(built.bytes);
  const std::uint32_t seed = frame_seed(built.seed, place, 4);
  EXPECT_EQ(crc32c(all.subspan(frame_header_bytes, header->body_bytes), seed), header->body_crc);
  std::uint32_t at = frame_header_bytes;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto entry = read_entry_header(all.subspan(at), at, seed);
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->partition, 9U);
    EXPECT_EQ(entry->base_offset, static_cast<std::int64_t>(1000 + i));
    EXPECT_TRUE(matches_entry(*entry, built.bytes.data() + at + entry_header_bytes));
    EXPECT_EQ(check_batch(all.subspan(at + entry_header_bytes, entry->bytes)), BatchFault::none);
    at += static_cast<std::uint32_t>(entry_bytes(entry->bytes));
  }
  EXPECT_EQ(at, frame_header_bytes + header->body_bytes);
}

// The layout of README.md, read by hand.
TEST(Frame, fields_lie_where_the_format_says) {
  const Built built = build(1);
  const std::byte* at = built.bytes.data();
  EXPECT_EQ(std::memcmp(at, "MLRF", 4), 0);
  EXPECT_EQ(base::load_le<std::uint64_t>(at + 8), place);
  EXPECT_EQ(base::load_le<std::uint64_t>(at + 16), 4U);
  EXPECT_EQ(base::load_le<std::uint64_t>(at + 24), place - block_bytes);
  EXPECT_EQ(base::load_le<std::uint32_t>(at + 40), 1U);
  EXPECT_EQ(base::load_le<std::uint32_t>(at + 44), 1U);
  EXPECT_EQ(base::load_le<std::uint32_t>(at + 56), 3U);
  EXPECT_EQ(base::load_le<std::uint32_t>(at + 60), 1U);
  const std::byte* entry = at + 64;
  EXPECT_EQ(base::load_le<std::uint32_t>(entry), make_batch(0, 100).size());
  EXPECT_EQ(base::load_le<std::uint16_t>(entry + 4), 1U);
  EXPECT_EQ(base::load_le<std::uint32_t>(entry + 8), 9U);
  EXPECT_EQ(base::load_le<std::int64_t>(entry + 16), 1000);
  EXPECT_EQ(base::load_le<std::int32_t>(entry + 24), 6);
  EXPECT_EQ(base::load_be<std::int64_t>(entry + 32), 1000);  // stamped into the batch too
  EXPECT_EQ(base::load_be<std::int32_t>(entry + 32 + 12), 6);
}

TEST(Frame, no_changed_header_byte_passes) {
  Built built = build(1);
  for (std::size_t i = 0; i < frame_header_bytes; ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      built.bytes[i] ^= static_cast<std::byte>(1 << bit);
      EXPECT_FALSE(read_frame_header(built.bytes, built.seed, shard, place, boundary)) << i;
      built.bytes[i] ^= static_cast<std::byte>(1 << bit);
    }
  }
  EXPECT_TRUE(read_frame_header(built.bytes, built.seed, shard, place, boundary));
}

TEST(Frame, of_another_node_shard_or_place_never_passes) {
  const Built built = build(1);
  EXPECT_FALSE(read_frame_header(built.bytes, journal_seed(78, shard), shard, place, boundary));
  const base::ShardId other{4};
  EXPECT_FALSE(read_frame_header(built.bytes, journal_seed(77, other), other, place, boundary));
  EXPECT_FALSE(read_frame_header(built.bytes, built.seed, shard, place + 16 * boundary, boundary));
}

TEST(Frame, sound_crc_with_impossible_fields_never_passes) {
  const auto passes = [](auto change) {
    Built built = build(1);
    change(built.header);
    built.header.header_crc = header_crc(built.header, built.seed);
    std::memcpy(built.bytes.data(), &built.header, sizeof built.header);
    return read_frame_header(built.bytes, built.seed, shard, place, boundary).has_value();
  };
  EXPECT_TRUE(passes([](FrameHeader&) {}));
  EXPECT_FALSE(passes([](FrameHeader& header) { header.body_bytes = boundary; }));
  EXPECT_FALSE(passes([](FrameHeader& header) { header.body_bytes = 0xffff'ffff; }));
  EXPECT_FALSE(passes([](FrameHeader& header) { header.entry_count = 0; }));
  EXPECT_FALSE(passes([](FrameHeader& header) { header.durable_lsn = place + 1; }));
  EXPECT_FALSE(passes([](FrameHeader& header) { header.flags = 3; }));
  EXPECT_FALSE(passes([](FrameHeader& header) { header.flags = frame_flag_pad; }));
  EXPECT_TRUE(passes([](FrameHeader& header) {
    header.flags = frame_flag_pad;
    header.entry_count = 0;
    header.body_bytes = boundary - 3 * block_bytes - frame_header_bytes;
  }));
}

TEST(Frame, no_changed_entry_header_byte_passes) {
  Built built = build(2);
  const std::uint32_t seed = frame_seed(built.seed, place, 4);
  const std::span<const std::byte> rest = std::span<const std::byte>(built.bytes).subspan(64);
  for (std::size_t i = 0; i < entry_header_bytes; ++i) {
    built.bytes[64 + i] ^= std::byte{0x40};
    EXPECT_FALSE(read_entry_header(rest, 64, seed)) << i;
    built.bytes[64 + i] ^= std::byte{0x40};
  }
  EXPECT_TRUE(read_entry_header(rest, 64, seed));
  EXPECT_FALSE(read_entry_header(rest, 72, seed));                                  // moved
  EXPECT_FALSE(read_entry_header(rest, 64, frame_seed(built.seed, place, 5)));      // another life
  EXPECT_FALSE(read_entry_header(rest.first(entry_header_bytes + 100), 64, seed));  // cut short
  EXPECT_FALSE(read_entry_header(rest.first(31), 64, seed));
}

}  // namespace
}  // namespace millrace::storage

#include "storage/scrubber.h"

#include <gtest/gtest.h>

#include <string>

#include "storage/memory_disk.h"
#include "tests/storage/log_fixture.h"

namespace millrace::storage {
namespace {

constexpr std::uint32_t seed = 77;
constexpr std::uint64_t second_ns = 1'000'000'000;
constexpr std::uint64_t mib = 1ULL << 20;

Checkpoint reached(base::Position to) {
  return {.sorted_to = to, .partitions = {}, .producers = {}};
}

// A store with files of its own making, and the scrubber on it.
template <typename DiskT>
struct Scrubbed {
  DiskT disk;
  SegmentStore store{disk, seed};
  SorterLink link;
  Scrubber scrubber;
  std::uint64_t now_ns = second_ns;

  explicit Scrubbed(ScrubberOptions options = {.bytes_per_s = 1ULL << 40, .pass_ns = 0})
      : scrubber(options, disk, store, link) {}

  // Batches of partitions 1 and 2, about `bytes` of each.
  const SegmentFile& add_file(std::uint64_t bytes) {
    SegmentWriter writer(disk, seed, inline_background);
    const base::Position from = store.checkpoint().sorted_to;
    EXPECT_TRUE(writer.start(unfinished_segment_name,
                             {.number = store.take_number(), .from = from, .to = from + 4096},
                             2 * bytes + mib));
    for (std::uint32_t partition = 1; partition <= 2; ++partition) {
      const std::uint64_t count = bytes / 1000;
      for (std::uint64_t i = 0; i < count; ++i) {
        auto batch = make_batch(i, 900);
        stamp_batch(batch.data(), static_cast<base::Offset>(i), 0);
        EXPECT_TRUE(writer.add(base::PartitionId{partition}, batch));
      }
    }
    store.add(std::move(*writer.finish({}, {})), reached(from + 4096));
    return store.files().back();
  }
  // Steps until a pass more is done; the findings' texts.
  std::vector<std::string> pass() {
    const std::uint64_t passes = link.scrub_passes.get();
    for (int i = 0; i < 10'000 && link.scrub_passes.get() == passes; ++i) {
      now_ns += 1'000'000;
      scrubber.step(now_ns);
      take();
    }
    EXPECT_EQ(link.scrub_passes.get(), passes + 1);
    return std::exchange(texts, {});
  }
  void take() {
    while (const ScrubFinding* found = link.findings.peek()) {
      last = *found;
      texts.emplace_back(found->text.data(), found->text_bytes);
      link.findings.release(1);
    }
  }
  void flip(const SegmentFile& file, std::uint64_t at) {
    const auto name = segment_file_name(file.header.number);
    if constexpr (requires { disk.flip_bit(name, at, 1); }) {
      disk.flip_bit(name, at, 1);
    } else {
      BlockBuffer block(block_bytes);
      const std::uint64_t block_at = base::align_down(at, block_bytes);
      ASSERT_TRUE(disk.read_now(file.file, block_at, block.span()));
      block.data()[at - block_at] ^= std::byte{2};
      ASSERT_TRUE(disk.write_now(file.file, block_at, block.span()));
    }
  }

  std::vector<std::string> texts;
  ScrubFinding last;
};

using InMemory = Scrubbed<MemoryDisk>;
using OnFaulty = Scrubbed<testing::FaultyDisk>;

TEST(Scrubber, sound_files_are_read_whole_and_nothing_is_said) {
  InMemory at;
  const std::uint64_t bytes =
      at.add_file(3 * mib).header.file_bytes() + at.add_file(10'000).header.file_bytes();
  EXPECT_TRUE(at.pass().empty());
  EXPECT_EQ(at.link.scrub_bytes.get(), bytes);
  EXPECT_EQ(at.link.scrub_bad_blocks.get(), 0U);
}

TEST(Scrubber, a_flipped_bit_is_named_with_what_it_touches_and_only_once) {
  InMemory at;
  at.add_file(10'000);
  const SegmentFile& file = at.add_file(3 * mib);
  const SegmentEntry& segment = file.segments.at(1);
  const std::uint64_t flipped = segment.position + segment.bytes / 2;
  at.flip(file, flipped);
  const auto said = at.pass();
  ASSERT_EQ(said.size(), 1U);
  EXPECT_TRUE(said[0].starts_with("segment-0000000000000002, bytes ")) << said[0];
  EXPECT_NE(said[0].find("not what was written; partition 2 within"), std::string::npos) << said[0];
  EXPECT_EQ(at.last.partition, base::PartitionId{2});
  // The index is coarse, and the flipped batch is among these.
  const auto batch =
      static_cast<base::Offset>((flipped - segment.position) * 3 * mib / 1000 / segment.bytes);
  EXPECT_LE(at.last.first_offset, batch);
  EXPECT_GE(at.last.last_offset, batch);
  EXPECT_LE(at.last.last_offset - at.last.first_offset, 200);
  EXPECT_TRUE(at.pass().empty());
  EXPECT_EQ(at.link.scrub_bad_blocks.get(), 1U);
}

TEST(Scrubber, a_place_of_many_partitions_names_those_that_fit) {
  InMemory at;
  SegmentWriter writer(at.disk, seed, inline_background);
  ASSERT_TRUE(
      writer.start(unfinished_segment_name, {.number = at.store.take_number(), .to = 4096}, mib));
  for (std::uint32_t partition = 1; partition <= 30; ++partition) {
    ASSERT_TRUE(writer.add(base::PartitionId{partition}, make_batch(partition, 100)));
  }
  at.store.add(std::move(*writer.finish({}, {})), reached(4096));
  at.flip(at.store.files()[0], segment_data_at + 50);
  const auto said = at.pass();
  ASSERT_EQ(said.size(), 1U);
  EXPECT_NE(said[0].find("; partition 1 within offsets 0 to 0; partition 2 "), std::string::npos);
  EXPECT_TRUE(said[0].ends_with(" more")) << said[0];
}

TEST(Scrubber, what_reads_well_the_second_time_is_not_damaged) {
  OnFaulty at;
  const SegmentFileHeader header = at.add_file(10'000).header;
  for (const std::uint64_t place :
       {std::uint64_t{50}, header.meta_at(0) + 50, header.meta_at(1) + 50, segment_data_at + 50}) {
    at.disk.misread_once(segment_file_name(header.number), place);
    EXPECT_TRUE(at.pass().empty()) << place;
  }
  EXPECT_EQ(at.link.scrub_bad_blocks.get(), 0U);
}

TEST(Scrubber, an_unreadable_block_is_named_and_its_neighbours_are_checked) {
  OnFaulty at;
  const SegmentFile& file = at.add_file(mib);
  at.disk.make_unreadable(segment_file_name(1), segment_data_at + crc_block_bytes);
  at.flip(file, segment_data_at + 3 * crc_block_bytes + 5);
  const auto said = at.pass();
  ASSERT_EQ(said.size(), 2U);
  EXPECT_NE(said[0].find("bytes 69632 to 135167: data cannot be read"), std::string::npos)
      << said[0];
  EXPECT_NE(said[1].find("bytes 200704 to 266239: data is not what was written"), std::string::npos)
      << said[1];
}

TEST(Scrubber, one_bad_copy_of_header_or_meta_is_named_and_the_data_is_read_on) {
  for (const std::uint32_t copy : {0U, 1U}) {
    OnFaulty at;
    const SegmentFile& file = at.add_file(2 * mib);
    at.flip(file, copy == 0 ? 100 : file.header.meta_at(2) + 100);
    at.flip(file, file.header.meta_at(copy) + 10);
    at.flip(file, segment_data_at + mib + 1);
    const auto said = at.pass();
    ASSERT_EQ(said.size(), 3U);
    EXPECT_NE(said[0].find("a header is damaged"), std::string::npos) << said[0];
    EXPECT_NE(said[1].find("a copy of the meta is damaged"), std::string::npos) << said[1];
    EXPECT_NE(said[2].find("data is not what was written"), std::string::npos) << said[2];
    EXPECT_EQ(at.link.scrub_bad_blocks.get(), 3U);
  }
}

TEST(Scrubber, files_come_and_go_between_steps) {
  InMemory at;
  at.add_file(3 * mib);
  const SegmentFile& second = at.add_file(3 * mib);
  at.flip(second, segment_data_at + 5);
  for (int i = 0; i < 3; ++i) at.scrubber.step(at.now_ns += 1'000'000);  // in the first one's data
  ASSERT_TRUE(at.store.remove(1));
  at.add_file(10'000);  // not of this pass
  EXPECT_EQ(at.pass().size(), 1U);
  const std::uint64_t bytes = at.link.scrub_bytes.get();
  at.pass();
  EXPECT_GT(at.link.scrub_bytes.get(), bytes + 3 * mib);
  ASSERT_TRUE(at.store.remove(2));
  ASSERT_TRUE(at.store.remove(3));
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(at.scrubber.step(at.now_ns += second_ns));
}

TEST(Scrubber, it_keeps_to_its_rate_and_rests_between_passes) {
  InMemory at({.bytes_per_s = 4 * mib, .pass_ns = 100 * second_ns});
  at.add_file(15 * mib);
  std::uint64_t before = 0;
  for (std::uint64_t second = 0; second < 6; ++second) {
    for (int i = 0; i < 200; ++i) {
      const std::uint64_t bytes = at.link.scrub_bytes.get();
      at.scrubber.step(at.now_ns += 5'000'000);
      EXPECT_LE(at.link.scrub_bytes.get() - bytes, mib);
    }
    EXPECT_NEAR(static_cast<double>(at.link.scrub_bytes.get() - before), 4.0 * mib, 1.2 * mib);
    before = at.link.scrub_bytes.get();
  }
  for (int i = 0; i < 60; ++i) at.scrubber.step(at.now_ns += second_ns);
  EXPECT_EQ(at.link.scrub_passes.get(), 1U);
  before = at.link.scrub_bytes.get();
  for (int i = 0; i < 60; ++i) at.scrubber.step(at.now_ns += second_ns);
  EXPECT_GT(at.link.scrub_bytes.get(), before);
}

TEST(Scrubber, what_nobody_takes_is_kept_and_holds_the_scrub) {
  InMemory at;
  const SegmentFile& file = at.add_file(3 * mib);
  const std::uint64_t blocks = file.header.block_count;
  for (std::uint64_t i = 0; i < blocks; ++i) at.flip(file, segment_data_at + i * crc_block_bytes);
  for (int i = 0; i < 1000; ++i) at.scrubber.step(at.now_ns += 1'000'000);
  EXPECT_LT(at.link.scrub_bad_blocks.get(), blocks);
  EXPECT_EQ(at.pass().size(), blocks);
  EXPECT_EQ(at.link.scrub_bad_blocks.get(), blocks);
}

TEST(Scrubber, places_beyond_what_it_remembers_are_counted_and_not_named) {
  InMemory at({.bytes_per_s = 1ULL << 40, .pass_ns = 0, .places_max = 2});
  const SegmentFile& file = at.add_file(mib);
  for (std::uint64_t i = 0; i < 5; ++i) at.flip(file, segment_data_at + i * crc_block_bytes);
  EXPECT_EQ(at.pass().size(), 2U);
  EXPECT_EQ(at.link.scrub_bad_blocks.get(), 5U);
}

TEST(Scrubber, a_log_scrubs_when_it_has_nothing_to_sort) {
  LogOptions options = sorting_log_options();
  options.scrubber = {.bytes_per_s = 50 * mib, .pass_ns = 0};
  LogFixture at(options);
  at.fill(1, 20'000, 2 * mib);
  at.sort();
  at.disk.flip_bit(segment_file_name(1), segment_data_at + mib, 3);
  for (int i = 0; i < 50; ++i) {
    at.now_ns += 20'000'000;
    at.keep_house();
  }
  const ScrubFinding* found = at.log->scrub_finding();
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->partition, base::PartitionId{1});
  at.log->release_scrub_finding();
  EXPECT_EQ(at.log->scrub_finding(), nullptr);
  EXPECT_EQ(at.log->sorter_link().scrub_bad_blocks.get(), 1U);
  EXPECT_FALSE(at.log->partition(at.slot(1)).damaged);
}

}  // namespace
}  // namespace millrace::storage

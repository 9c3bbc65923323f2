// One test for each row of the table in recovery.h, then the same by chance.
#include "storage/recovery.h"

#include <gtest/gtest.h>

#include "storage/crc32c.h"
#include "tests/storage/journal_fixture.h"

namespace millrace::storage {
namespace {

constexpr std::string_view first_file = "journal-0000";

// Five durable frames: 0, 1 and 3, 4 of one block; 2 of six blocks with entries of three
// partitions.
struct FiveFrames : JournalFixture {
  FiveFrames() {
    open();
    append_durably(0, 100);
    append_durably(1, 200);
    for (std::uint64_t i = 0; i < 3; ++i) append(2 + i, 7000, static_cast<std::uint32_t>(20 + i));
    append_durably(5, 10, 23);
    append_durably(6, 100);
    append_durably(7, 200);
  }
  // All that was written but the batches from `first` to `last`.
  std::vector<SeenBatch> without(std::size_t first, std::size_t last) const {
    auto rest = written_batches;
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(first),
               rest.begin() + static_cast<std::ptrdiff_t>(last) + 1);
    return rest;
  }
  base::Position frame_of(std::size_t batch) const {
    return base::align_down(written_batches[batch].position, block_bytes);
  }
};

TEST(Recovery, a_torn_tail_is_cut) {
  FiveFrames at;
  const base::Position end = at.journal->append_position();
  at.append(8, 20'000);
  at.now_ns += 10;
  at.journal->submit_writes(at.now_ns);
  ASSERT_EQ(at.disk.in_flight(), 1U);
  at.disk.crash_keeping([&](std::uint64_t offset) { return offset != end + 1024; });
  at.open();
  EXPECT_EQ(at.seen.batches, at.without(8, 8));
  EXPECT_TRUE(at.seen.damage.empty());
  EXPECT_EQ(at.journal->append_position(), end);
}

TEST(Recovery, a_write_that_reached_the_device_whole_is_kept_though_nobody_was_told) {
  FiveFrames at;
  at.append(8, 20'000);
  at.now_ns += 10;
  at.journal->submit_writes(at.now_ns);
  at.disk.crash_keeping([](std::uint64_t) { return true; });
  at.open();
  EXPECT_EQ(at.seen.batches, at.written_batches);
  EXPECT_TRUE(at.seen.damage.empty());
}

// The pad behind a torn frame of the same write is sound, and says that the frame was not durable.
TEST(Recovery, a_torn_frame_with_the_rest_of_its_write_is_cut_and_stays_cut) {
  JournalFixture at;
  at.open();
  at.append_durably(0, 1'000'000);
  at.append_durably(1, 1'000'000);
  at.append_durably(2, 1'000'000);
  const base::Position end = at.journal->append_position();
  at.append(3, 200'000, 7, false);
  at.append(4, 1'000'000, 7, false);  // past the boundary, so a pad follows the frame of 3
  at.journal->submit_writes(++at.now_ns);
  ASSERT_EQ(at.disk.in_flight(), 1U);
  const base::Position pad = end + base::align_up(at.disk.last_write_bytes(), 4096) - block_bytes;
  at.disk.crash_keeping([&](std::uint64_t offset) { return offset != end + 8192; });
  const auto image = at.disk.contents(first_file);
  ASSERT_EQ(base::load_le<std::uint32_t>(image.data() + pad), frame_magic);
  ASSERT_EQ(base::load_le<std::uint32_t>(image.data() + pad + 60), frame_flag_pad);
  at.written_batches.resize(3);
  at.open();
  EXPECT_EQ(at.seen.batches, at.written_batches);
  EXPECT_TRUE(at.seen.damage.empty());
  EXPECT_EQ(at.journal->append_position(), end);
  // The pad is no more, so a later life that ends just before it is not led on by it.
  EXPECT_EQ(base::load_le<std::uint32_t>(at.disk.contents(first_file).data() + pad), 0U);
  at.append_durably(9, 190'000);
  at.crash_and_open();
  EXPECT_EQ(at.seen.batches, at.written_batches);
  EXPECT_TRUE(at.seen.damage.empty());
}

TEST(Recovery, a_rotten_batch_is_damage_of_its_partition_alone) {
  FiveFrames at;
  const SeenBatch rotten = at.written_batches[3];
  at.disk.flip_bit(first_file, rotten.position + 3000, 2);
  at.crash_and_open();
  EXPECT_EQ(at.seen.batches, at.without(3, 3));
  ASSERT_EQ(at.seen.damage.size(), 1U);
  EXPECT_EQ(at.seen.damage[0].partition, rotten.partition);
  EXPECT_LE(at.seen.damage[0].first, rotten.position);
  EXPECT_GE(at.seen.damage[0].last, rotten.position + rotten.bytes.size());
  EXPECT_LE(at.seen.damage[0].last, at.written_batches[4].position);
}

TEST(Recovery, a_rotten_entry_header_is_damage_of_an_unknown_partition) {
  FiveFrames at;
  const SeenBatch lost = at.written_batches[3];
  at.disk.flip_bit(first_file, lost.position - 20, 0);
  at.crash_and_open();
  EXPECT_EQ(at.seen.batches, at.without(3, 3));
  const SeenDamage expected{std::nullopt, lost.position - entry_header_bytes,
                            at.written_batches[4].position - entry_header_bytes};
  EXPECT_EQ(at.seen.damage, std::vector<SeenDamage>{expected});
}

TEST(Recovery, a_rotten_frame_header_loses_no_batch_but_is_reported) {
  FiveFrames at;
  at.disk.flip_bit(first_file, at.frame_of(2) + 9, 1);
  at.crash_and_open();
  EXPECT_EQ(at.seen.batches, at.written_batches);
  ASSERT_EQ(at.seen.damage.size(), 1U);
  EXPECT_EQ(at.seen.damage[0].partition, std::nullopt);
  EXPECT_GE(at.seen.damage[0].first, at.written_batches[5].position);
  EXPECT_EQ(at.seen.damage[0].last, at.frame_of(6));
}

TEST(Recovery, a_rotten_byte_that_no_batch_has_costs_nothing) {
  FiveFrames at;
  const SeenBatch& last = at.written_batches[5];  // its entry is padded to 8 bytes
  ASSERT_NE(last.bytes.size() % 8, 0U);
  at.disk.flip_bit(first_file, last.position + last.bytes.size(), 0);
  at.crash_and_open();
  EXPECT_EQ(at.seen.batches, at.written_batches);
  EXPECT_TRUE(at.seen.damage.empty());
}

TEST(Recovery, damage_is_reported_again_at_each_start_and_writing_goes_on_behind_it) {
  FiveFrames at;
  at.disk.flip_bit(first_file, at.written_batches[1].position + 70, 2);
  auto expected = at.without(1, 1);
  for (std::uint64_t round = 0; round < 3; ++round) {
    at.crash_and_open();
    EXPECT_EQ(at.seen.batches, expected);
    EXPECT_EQ(at.seen.damage.size(), 1U);
    at.append_durably(10 + round, 300);
    expected.push_back(at.written_batches.back());
  }
}

TEST(Recovery, an_unreadable_block_is_damage_narrowed_to_the_batches_in_it) {
  FiveFrames at;
  const base::Position block = base::align_down(at.written_batches[3].position + 3000, block_bytes);
  at.disk.make_unreadable(first_file, block);
  at.crash_and_open();
  EXPECT_EQ(at.seen.batches, at.without(3, 3));
  ASSERT_EQ(at.seen.damage.size(), 1U);
  EXPECT_EQ(at.seen.damage[0].partition, at.written_batches[3].partition);
}

TEST(Recovery, an_unreadable_last_frame_is_damage_and_never_a_torn_tail) {
  FiveFrames at;
  const base::Position end = at.journal->append_position();
  at.disk.make_unreadable(first_file, at.frame_of(7));
  at.crash_and_open();
  EXPECT_EQ(at.seen.batches, at.without(7, 7));
  EXPECT_EQ(at.seen.damage, (std::vector<SeenDamage>{{std::nullopt, at.frame_of(7) + 64, end}}));
  EXPECT_GE(at.journal->append_position(), end);
  // It heals, and what was written behind it is still found.
  at.disk.heal(first_file);
  at.append_durably(30, 100);
  at.crash_and_open();
  EXPECT_EQ(at.seen.batches, at.written_batches);
  EXPECT_TRUE(at.seen.damage.empty());
}

// The unreadable header hid a frame of six blocks; the next generation started inside it.
TEST(Recovery, a_header_that_heals_does_not_hide_what_was_written_meanwhile) {
  JournalFixture at;
  at.open();
  at.append_durably(0, 100);
  const auto hidden = at.append_durably(1, 20'000);
  at.disk.make_unreadable(first_file, hidden.position);
  at.crash_and_open();
  EXPECT_EQ(at.seen.batches.size(), 1U);
  EXPECT_EQ(at.seen.damage.size(), 1U);
  at.append_durably(2, 100);
  EXPECT_LT(at.written_batches[2].position, hidden.durable_at);
  at.disk.heal(first_file);
  at.crash_and_open();
  EXPECT_EQ(at.seen.batches, (std::vector{at.written_batches[0], at.written_batches[2]}));
  EXPECT_FALSE(at.seen.damage.empty());
}

TEST(Recovery, a_clean_end_that_is_not_reached_is_damage) {
  FiveFrames at;
  ASSERT_TRUE(at.journal->close());
  const base::Position end = at.journal->append_position();
  at.disk.flip_bit(first_file, at.frame_of(7) + 1, 1);
  at.disk.flip_bit(first_file, at.written_batches[7].position + 100, 1);
  for (int round = 0; round < 2; ++round) {  // the second time it is no clean end any more
    at.crash_and_open();
    EXPECT_EQ(at.seen.batches, at.without(7, 7));
    ASSERT_FALSE(at.seen.damage.empty());
    EXPECT_EQ(at.seen.damage.back().last, end);
    EXPECT_EQ(at.journal->append_position(), end);
  }
}

TEST(Recovery, what_an_earlier_recovery_found_is_durable_from_then_on) {
  FiveFrames at;
  at.crash_and_open();
  at.disk.flip_bit(first_file, at.written_batches[7].position + 100, 1);
  at.crash_and_open();
  EXPECT_EQ(at.seen.batches, at.without(7, 7));
  ASSERT_EQ(at.seen.damage.size(), 1U);
  EXPECT_EQ(at.seen.damage[0].partition, at.written_batches[7].partition);
}

// Rewrites frame headers with sound CRCs, as only a defect of ours could.
struct Forged : FiveFrames {
  template <typename Change>
  void forge(base::Position frame, Change change) {
    auto image = disk.contents(first_file);
    FrameHeader header;
    std::memcpy(&header, image.data() + frame, sizeof header);
    change(header);
    header.header_crc = header_crc(header, journal_seed(options.cluster_id, options.shard));
    disk.overwrite(first_file, frame, std::as_bytes(std::span(&header, 1)));
  }
};

TEST(Recovery, a_broken_chain_is_damage_and_nothing_behind_it_is_cut) {
  Forged at;
  at.forge(at.frame_of(6), [](FrameHeader& header) { header.previous_header_crc ^= 1; });
  at.crash_and_open();
  EXPECT_EQ(at.seen.batches, at.written_batches);
  const SeenDamage before{std::nullopt, at.frame_of(2), at.frame_of(6)};
  ASSERT_FALSE(at.seen.damage.empty());
  EXPECT_EQ(at.seen.damage[0], before);
}

TEST(Recovery, more_behind_a_torn_frame_than_one_write_can_hold_is_damage) {
  JournalFixture at;
  at.open();
  at.append_durably(0, 100);
  for (std::uint64_t i = 1; i < 5; ++i) at.append_durably(i, 900'000);
  // Every frame claims that nothing was durable when it was written.
  auto image = at.disk.contents(first_file);
  for (std::uint64_t i = 1; i < 5; ++i) {
    const base::Position frame = base::align_down(at.written_batches[i].position, block_bytes);
    FrameHeader header;
    std::memcpy(&header, image.data() + frame, sizeof header);
    header.durable_lsn = 0;
    header.header_crc = header_crc(header, journal_seed(at.options.cluster_id, at.options.shard));
    at.disk.overwrite(first_file, frame, std::as_bytes(std::span(&header, 1)));
  }
  at.disk.flip_bit(first_file, at.written_batches[0].position, 1);
  at.disk.flip_bit(first_file, 3, 1);
  at.crash_and_open();
  EXPECT_FALSE(at.seen.damage.empty());
  EXPECT_EQ(at.seen.batches.size(), 4U);
}

TEST(Recovery, a_journal_of_another_node_or_shape_is_refused) {
  FiveFrames at;
  ASSERT_TRUE(at.journal->close());
  const JournalOptions good = at.options;
  const auto refused = [&](auto change) {
    at.options = good;
    change(at.options);
    return !at.try_open() && at.error->code() == base::ErrorCode::invalid_argument;
  };
  EXPECT_TRUE(refused([](JournalOptions& options) { options.cluster_id ^= 1; }));
  EXPECT_TRUE(refused([](JournalOptions& options) { options.shard = base::ShardId{4}; }));
  EXPECT_TRUE(refused([](JournalOptions& options) { options.files_max = 4; }));
  EXPECT_TRUE(refused([](JournalOptions& options) { options.file_bytes *= 2; }));
  EXPECT_TRUE(refused([](JournalOptions& options) { options.tail_bytes = 3 << 20; }));
  EXPECT_TRUE(refused([](JournalOptions& options) { options.tail_bytes = 1 << 20; }));
  EXPECT_TRUE(refused([](JournalOptions& options) { options.frame_bytes_max = 1 << 20; }));
  EXPECT_TRUE(refused([](JournalOptions& options) { options.frame_bytes_max = 8 << 20; }));
  EXPECT_TRUE(refused([](JournalOptions& options) { options.files_max = 1; }));
  EXPECT_TRUE(refused([](JournalOptions& options) { options.files_ahead = 0; }));
  at.options = good;
  at.options.tail_bytes = 16 << 20;  // memory may grow
  EXPECT_TRUE(at.try_open());
  EXPECT_EQ(at.seen.batches, at.written_batches);
}

TEST(Recovery, a_missing_file_or_superblock_is_refused) {
  FiveFrames at;
  ASSERT_TRUE(at.journal->close());
  at.journal.reset();
  for (std::uint64_t copy = 0; copy < 3; ++copy) {
    at.disk.flip_bit(superblock_file_name, copy * block_bytes + 16, 0);
  }
  EXPECT_FALSE(at.try_open());
  EXPECT_EQ(at.error->code(), base::ErrorCode::corrupt);
  at.disk.flip_bit(superblock_file_name, 16, 0);
  EXPECT_TRUE(at.try_open());
  at.journal.reset();
  ASSERT_TRUE(at.disk.exists("journal-0001"));
  ASSERT_TRUE(at.disk.remove(first_file));
  EXPECT_FALSE(at.try_open());
  EXPECT_EQ(at.error->code(), base::ErrorCode::corrupt);
  ASSERT_TRUE(at.disk.remove("journal-0001"));
  EXPECT_FALSE(at.try_open());
  EXPECT_EQ(at.error->code(), base::ErrorCode::corrupt);
}

// Rot anywhere: what is handed out is what was written, each once and in order.
TEST(Recovery, no_changed_byte_gives_a_wrong_batch_or_hides_that_one_is_gone) {
  FiveFrames at;
  ASSERT_TRUE(at.journal->close());
  const base::Position end = at.journal->append_position();
  at.journal.reset();
  std::mt19937_64 random(5);
  const testing::FaultyDisk sound = at.disk;
  for (int round = 0; round < 120; ++round) {
    at.disk = sound;
    at.disk.flip_bit(first_file, random() % end, static_cast<std::uint32_t>(random() % 8));
    at.open();
    std::size_t next = 0;
    for (const SeenBatch& batch : at.seen.batches) {
      while (next < at.written_batches.size() && !(at.written_batches[next] == batch)) ++next;
      ASSERT_LT(next++, at.written_batches.size());
    }
    if (at.seen.batches.size() < at.written_batches.size()) {
      EXPECT_FALSE(at.seen.damage.empty());
    }
    EXPECT_GE(at.seen.batches.size() + 1, at.written_batches.size());
    EXPECT_EQ(at.journal->append_position(), end);
  }
}

}  // namespace
}  // namespace millrace::storage

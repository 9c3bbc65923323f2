#include "storage/tool/shard_repair.h"

#include <gtest/gtest.h>

#include "tests/storage/tool/survey_fixture.h"

namespace millrace::storage {
namespace {

// What a reader gets of the partition: base offsets of all batches from the first to the end.
std::vector<base::Offset> read_all(SurveyFixture& at, std::uint32_t partition) {
  std::vector<base::Offset> offsets;
  Log::Cursor cursor = at.log->cursor_at(at.slot(partition), 0);
  Log::Slice slice;
  while (at.read(partition, cursor, slice) == Log::ReadStatus::ready) {
    offsets.push_back(slice.base_offset);
    at.log->advance(cursor, slice);
  }
  EXPECT_EQ(at.read(partition, cursor, slice), Log::ReadStatus::at_end);
  return offsets;
}

void accept(SurveyFixture& at) {
  ASSERT_TRUE(repair_copies(at.disk, at.identity()));
  const auto accepted = accept_loss(at.disk, at.survey());
  ASSERT_TRUE(accepted) << accepted.error().message();
  const ShardSurvey after = at.survey();
  EXPECT_TRUE(after.is_sound()) << after.findings[0].place << ": " << after.findings[0].what;
}

void expect_all_but(SurveyFixture& at, std::uint32_t partition, base::Offset lost) {
  const auto offsets = read_all(at, partition);
  const auto& written = at.written[partition];
  EXPECT_EQ(offsets.size(), written.size() - 1);
  EXPECT_EQ(std::ranges::count(offsets, lost), 0);
  EXPECT_FALSE(at.log->partition(at.slot(partition)).damaged);
  const auto added = at.append_durably(partition, 500);
  EXPECT_EQ(added.offset, static_cast<base::Offset>(written.size()) - 1);
}

TEST(ShardRepair, bad_copies_are_as_the_good_ones_again) {
  SurveyFixture at;
  at.fill_both();
  at.shut();
  const auto before = at.all_bytes();
  const std::string name = segment_file_name(1);
  const SegmentFileHeader header = at.survey().files[0];
  at.disk.flip_bit(name, header.meta_at(2) + 20, 1);
  at.disk.flip_bit(name, header.meta_at(0) + 8, 1);
  at.disk.flip_bit(std::string(superblock_file_name), 30, 1);
  at.disk.flip_bit(std::string(superblock_file_name), 3 * block_bytes + 30, 1);
  ASSERT_TRUE(repair_copies(at.disk, at.identity()));
  EXPECT_EQ(at.all_bytes(), before);
}

TEST(ShardRepair, a_lost_batch_of_a_segment_is_passed_over_once_it_is_accepted) {
  SurveyFixture at;
  at.fill_both();
  at.shut();
  const std::string name = segment_file_name(1);
  at.disk.flip_bit(name, at.place_in(name, at.written[2][123]) + 300, 2);
  accept(at);
  at.open();
  expect_all_but(at, 2, 123);
  EXPECT_EQ(read_all(at, 1).size(), 450U);
}

TEST(ShardRepair, files_that_a_node_would_merge_are_left_as_they_are) {
  SurveyFixture at;
  for (int i = 0; i < 12; ++i) {
    at.append_durably(1, 3000);
    at.sort();
  }
  at.append_durably(1, 3000);
  at.shut();
  const std::string name = segment_file_name(4);
  at.disk.flip_bit(name, at.place_in(name, at.written[1][3]) + 300, 2);
  accept(at);
  EXPECT_TRUE(at.disk.exists(segment_file_name(1)));
  at.open();
  expect_all_but(at, 1, 3);
  at.options.compactor.merge.files_per_merge = 4;
  at.close_and_open();
  at.sort();
  EXPECT_LT(at.log->store().files().size(), 8U);
  EXPECT_EQ(read_all(at, 1).size(), 13U);
}

TEST(ShardRepair, a_lost_batch_of_the_journal_is_passed_over_once_it_is_accepted) {
  SurveyFixture at;
  ASSERT_EQ(at.rot_in_journal(), 420);
  at.open();
  EXPECT_TRUE(at.log->partition(at.slot(1)).damaged);
  at.shut();
  accept(at);
  at.open();
  expect_all_but(at, 1, 420);
  at.close_and_open();
  at.sort();
  EXPECT_FALSE(at.log->partition(at.slot(1)).damaged);
  EXPECT_EQ(read_all(at, 2).size(), 400U);
}

TEST(ShardRepair, a_file_without_meta_is_put_aside_and_its_offsets_are_a_gap) {
  SurveyFixture at;
  at.fill_both();
  at.close_and_open();
  at.sort();
  at.shut();
  const SegmentFileHeader header = at.survey().files[0];
  for (const std::uint32_t copy : {0U, 1U}) {
    at.disk.flip_bit(segment_file_name(1), header.meta_at(copy), 1);
  }
  at.open();
  EXPECT_TRUE(at.log->partition(at.slot(1)).damaged);
  at.shut();
  accept(at);
  EXPECT_TRUE(at.disk.exists("lost-" + segment_file_name(1)));
  at.open();
  EXPECT_EQ(read_all(at, 1).size(), 50U);
  EXPECT_TRUE(read_all(at, 2).empty());
  EXPECT_EQ(at.append_durably(2, 100).offset, 400);
}

TEST(ShardRepair, the_newest_files_without_meta_are_given_up_too) {
  SurveyFixture at;
  for (int i = 0; i < 9; ++i) {
    at.fill(1, 20'000, 4ULL << 20);
    at.sort();
  }
  at.fill(1, 20'000, 1ULL << 20);
  at.shut();
  // The journal still has what the last ones hold, and no longer what is in those before.
  const auto files = at.survey().files;
  ASSERT_GE(files.size(), 3U);
  for (std::size_t i = 1; i < files.size(); ++i) {
    for (const std::uint32_t copy : {0U, 1U}) {
      at.disk.flip_bit(segment_file_name(files[i].number), files[i].meta_at(copy), 1);
    }
  }
  EXPECT_FALSE(SurveyFixture::of_kind(at.survey(), Finding::Kind::lost).empty());
  accept(at);
  at.open();
  EXPECT_FALSE(at.log->partition(at.slot(1)).damaged);
  const auto offsets = read_all(at, 1);
  EXPECT_LT(offsets.size(), at.written[1].size());
  EXPECT_EQ(offsets.back(), at.written[1].back().offset);
}

TEST(ShardRepair, a_flush_that_fails_or_power_lost_afterwards_leaves_before_or_after) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    SurveyFixture at;
    at.fill_both();
    at.shut();
    const std::string name = segment_file_name(1);
    at.disk.flip_bit(name, at.place_in(name, at.written[2][123]) + 300, 2);
    const ShardSurvey found = at.survey();
    if (seed % 2 == 0) at.disk.fail_flushes(-5);
    static_cast<void>(accept_loss(at.disk, found));
    at.disk.fail_flushes(0);
    at.disk.crash();
    const auto lost = SurveyFixture::of_kind(at.survey(), Finding::Kind::lost);
    EXPECT_TRUE(lost.empty() || (lost.size() == 1 && lost[0].first_offset == 123));
    accept(at);
    at.open();
    expect_all_but(at, 2, 123);
  }
}

}  // namespace
}  // namespace millrace::storage

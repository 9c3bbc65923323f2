#include "storage/tool/shard_survey.h"

#include <gtest/gtest.h>

#include "tests/storage/tool/survey_fixture.h"

namespace millrace::storage {
namespace {

using Kind = Finding::Kind;

TEST(ShardSurvey, a_sound_folder_is_told_of_and_stays_as_it_is) {
  SurveyFixture at;
  at.fill_both();
  at.shut();
  const auto before = at.all_bytes();
  const ShardSurvey found = at.survey();
  EXPECT_TRUE(found.is_sound());
  EXPECT_TRUE(found.superblock->clean);
  EXPECT_EQ(found.files.size(), 1U);
  EXPECT_EQ(found.partitions.at(1).log_end, 450);
  EXPECT_EQ(found.partitions.at(2).log_end, 400);
  EXPECT_EQ(at.all_bytes(), before);
}

TEST(ShardSurvey, a_torn_tail_is_no_damage_and_is_not_cut) {
  SurveyFixture at;
  at.fill_both();
  at.append(1, 2000);
  at.log->journal().submit_writes(at.now_ns += 10'000'000);
  at.disk.crash_keeping([](std::uint64_t offset) { return offset % 8192 == 0; });
  at.log.reset();
  const auto before = at.all_bytes();
  const ShardSurvey found = at.survey();
  EXPECT_TRUE(found.is_sound()) << found.findings[0].place << found.findings[0].what;
  EXPECT_FALSE(found.superblock->clean);
  EXPECT_EQ(at.all_bytes(), before);
}

TEST(ShardSurvey, a_flipped_bit_in_a_segment_costs_one_batch_and_it_is_named) {
  for (const std::uint64_t byte : {3U, 10U, 300U}) {  // its offset, its length, its records
    SurveyFixture at;
    at.fill_both();
    at.shut();
    const std::string name = segment_file_name(1);
    at.disk.flip_bit(name, at.place_in(name, at.written[2][123]) + byte, 2);
    const ShardSurvey found = at.survey();
    const auto lost = SurveyFixture::of_kind(found, Kind::lost);
    ASSERT_EQ(lost.size(), 1U) << byte;
    EXPECT_EQ(lost[0].partition, base::PartitionId{2});
    EXPECT_EQ(lost[0].first_offset, 123);
    EXPECT_EQ(lost[0].last_offset, 123);
    EXPECT_TRUE(found.loses());
    // The block, and within it the bytes.
    EXPECT_EQ(SurveyFixture::of_kind(found, Kind::rot).size(), 2U) << byte;
  }
}

TEST(ShardSurvey, what_compaction_left_out_is_not_missing) {
  SurveyFixture at;
  at.log->set_in_catalog(at.slot(3));
  at.log->set_retention(at.slot(3), {.tombstones_ms = 1000});
  for (int i = 0; i <= 40; ++i) {
    std::vector<std::byte> buffer(4096);
    BatchBuilder builder(buffer);
    for (int key = 0; key < 3; ++key) {
      ASSERT_TRUE(builder.add(std::to_string(key * (i % 2)), std::string(300, 'x'), 1000));
    }
    at.log->append_batch(at.slot(3), builder.finish(base::no_producer_id, -1, -1), true);
  }
  at.settle();
  at.sort();
  ASSERT_LT(at.log->partition(at.slot(3)).bytes, 4000U);
  at.shut();
  const ShardSurvey found = at.survey();
  EXPECT_TRUE(found.is_sound()) << found.findings[0].what;
}

TEST(ShardSurvey, a_partition_that_was_deleted_is_not_missing) {
  LogOptions options = sorting_log_options();
  options.sorter.start_bytes = 100'000;
  SurveyFixture at(options);
  at.fill(2, 50'000, 200'000);
  at.sort();
  at.fill(1, 50'000, 200'000);
  at.sort();
  ASSERT_TRUE(at.disk.exists(segment_file_name(1)));
  at.log->remove_partition(at.slot(2));
  at.settle();
  at.sort();
  // Its file is gone, and the newest one still knows of it.
  ASSERT_FALSE(at.disk.exists(segment_file_name(1)));
  ASSERT_EQ(at.log->store().checkpoint().partitions.size(), 2U);
  at.shut();
  const ShardSurvey found = at.survey();
  EXPECT_TRUE(found.is_sound()) << found.findings[0].place << found.findings[0].what;
}

TEST(ShardSurvey, rot_in_the_journal_is_named_with_what_it_costs) {
  SurveyFixture at;
  ASSERT_EQ(at.rot_in_journal(), 420);
  const auto lost = SurveyFixture::of_kind(at.survey(), Kind::lost);
  ASSERT_EQ(lost.size(), 1U);
  EXPECT_EQ(lost[0].partition, base::PartitionId{1});
  EXPECT_EQ(lost[0].first_offset, 420);
  EXPECT_EQ(lost[0].last_offset, 420);
}

TEST(ShardSurvey, bad_copies_are_named_and_nothing_is_lost) {
  SurveyFixture at;
  at.fill_both();
  at.shut();
  const std::string name = segment_file_name(1);
  at.disk.flip_bit(name, 20, 1);
  const SegmentFileHeader header = at.survey().files[0];
  at.disk.flip_bit(name, header.meta_at(1) + 8, 1);
  at.disk.flip_bit(std::string(superblock_file_name), 2 * block_bytes + 30, 1);
  const ShardSurvey found = at.survey();
  EXPECT_EQ(found.findings.size(), 3U);
  EXPECT_EQ(SurveyFixture::of_kind(found, Kind::copy).size(), 3U);
  EXPECT_FALSE(found.loses());
}

TEST(ShardSurvey, without_any_meta_offsets_are_missing_and_batches_are_nobodys) {
  SurveyFixture at;
  at.fill_both();
  at.close_and_open();
  at.sort();
  at.shut();
  const std::string name = segment_file_name(1);
  const SegmentFileHeader header = at.survey().files[0];
  for (const std::uint32_t copy : {0U, 1U}) at.disk.flip_bit(name, header.meta_at(copy), 1);
  const ShardSurvey found = at.survey();
  EXPECT_EQ(SurveyFixture::of_kind(found, Kind::unusable).size(), 1U);
  EXPECT_EQ(SurveyFixture::of_kind(found, Kind::lost).size(), 2U);
  EXPECT_EQ(found.broken, std::vector<std::string>{name});
  base::Offset batches = 0;
  for (const BatchRun& run : found.unassigned) batches += run.end_offset - run.first_offset;
  EXPECT_EQ(batches, 800);
}

}  // namespace
}  // namespace millrace::storage

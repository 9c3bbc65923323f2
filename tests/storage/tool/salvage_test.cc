#include "storage/tool/salvage.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/storage/tool/survey_fixture.h"

namespace millrace::storage {
namespace {

TEST(Salvage, every_intact_batch_comes_out_by_offset_and_the_gap_is_named) {
  SurveyFixture at;
  at.fill_both();
  const auto in_journal = at.written[1][420];
  at.shut();
  const std::string name = segment_file_name(1);
  at.disk.flip_bit(name, at.place_in(name, at.written[1][7]) + 300, 2);
  at.disk.flip_bit(SurveyFixture::file_of(in_journal.position),
                   in_journal.position % small_file_bytes + 500, 1);
  const ShardSurvey found = at.survey();
  const std::string folder = ::testing::TempDir() + "salvage_test";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  const auto salvaged = salvage_shard(*at.overlay, found, folder);
  ASSERT_TRUE(salvaged) << salvaged.error().message();
  ASSERT_EQ(salvaged->partitions.size(), 2U);
  const SalvagedPartition& one = salvaged->partitions[0];
  EXPECT_EQ(one.there, (std::vector<OffsetSpan>{{0, 7}, {8, 420}, {421, 450}}));
  EXPECT_EQ(one.missing, (std::vector<OffsetSpan>{{7, 8}, {420, 421}}));
  EXPECT_EQ(salvaged->partitions[1].there, (std::vector<OffsetSpan>{{0, 400}}));

  std::vector<std::byte> expected;
  for (const auto& batch : at.written[1]) {
    if (batch.offset == 7 || batch.offset == 420) continue;
    expected.insert(expected.end(), batch.bytes.begin(), batch.bytes.end());
  }
  std::ifstream file(folder + "/" + one.file, std::ios::binary);
  const std::string got((std::istreambuf_iterator<char>(file)), {});
  const auto bytes = std::as_bytes(std::span(got));
  EXPECT_TRUE(std::ranges::equal(bytes, expected));
  // What is there is not written over.
  EXPECT_FALSE(salvage_shard(*at.overlay, found, folder));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace millrace::storage

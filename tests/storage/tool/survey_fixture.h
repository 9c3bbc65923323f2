// SurveyFixture: a log that is filled, sorted in part and shut, and what is found of it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "storage/tool/shard_survey.h"
#include "tests/storage/log_fixture.h"

namespace millrace::storage {

class SurveyFixture : public LogFixture {
 public:
  explicit SurveyFixture(const LogOptions& log_options = sorting_log_options())
      : LogFixture(log_options) {}

  // Partitions 1 and 2 in a segment file, then partition 1 in the journal.
  void fill_both() {
    for (int i = 0; i < 400; ++i) {
      append(1, 1000);
      append(2, 700);
    }
    settle();
    sort();
    for (int i = 0; i < 50; ++i) append_durably(1, 900);
  }
  // As above, shut, and a batch of partition 1 in the journal rotten; its offset.
  base::Offset rot_in_journal() {
    fill_both();
    const Written batch = written[1][420];
    shut();
    disk.flip_bit(file_of(batch.position), batch.position % small_file_bytes + 500, 1);
    return batch.offset;
  }
  void shut() {
    ASSERT_TRUE(log->journal().close().has_value());
    log.reset();
  }
  ShardIdentity identity() const {
    return {.shard = options.journal.shard, .cluster_id = options.journal.cluster_id};
  }
  ShardSurvey survey() {
    overlay = std::make_unique<OverlayDisk>(disk);
    return survey_shard(*overlay, identity(), [](std::uint64_t, std::uint64_t) {}).value();
  }
  std::map<std::string, std::vector<std::byte>> all_bytes() {
    std::map<std::string, std::vector<std::byte>> all;
    const auto names = disk.list().value();
    for (const std::string& name : names) all[name] = disk.contents(name);
    return all;
  }
  // Where a batch lies in its segment file.
  std::uint64_t place_in(const std::string& file_name, const Written& batch) {
    const auto bytes = disk.contents(file_name);
    const auto found =
        std::search(bytes.begin(), bytes.end(), batch.bytes.begin(), batch.bytes.end());
    EXPECT_NE(found, bytes.end());
    return static_cast<std::uint64_t>(found - bytes.begin());
  }
  static std::vector<Finding> of_kind(const ShardSurvey& from, Finding::Kind kind) {
    std::vector<Finding> some;
    std::ranges::copy_if(from.findings, std::back_inserter(some),
                         [&](const Finding& one) { return one.kind == kind; });
    return some;
  }

  std::unique_ptr<OverlayDisk> overlay;
};

}  // namespace millrace::storage

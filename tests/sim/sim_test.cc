// Seeds of whole runs, and the proof that they would notice.
#include <gtest/gtest.h>

#include <array>
#include <charconv>
#include <filesystem>
#include <vector>

#include "storage/breakage.h"
#include "tests/sim/simulation.h"

namespace millrace::sim {
namespace {

constexpr std::uint64_t seeds_to_find = 200;  // a broken rule shows within so many

Report run(std::uint64_t seed, bool reuses_session_ids = false) {
  static core::NodeMemory memory;
  return Simulation(seed, memory, reuses_session_ids).run();
}

void expect_found(bool reuses_session_ids = false) {
  std::uint64_t seed = 1;
  while (seed <= seeds_to_find && run(seed, reuses_session_ids).findings.empty()) ++seed;
  EXPECT_LE(seed, seeds_to_find);
}

void expect_clean(const Report& report) {
  for (const Finding& finding : report.findings) {
    ADD_FAILURE() << "seed " << report.seed << ": " << name_of(finding.kind) << ": " << finding.text
                  << "\n  again with: ./dev sim --seed " << report.seed;
  }
  EXPECT_GT(report.acknowledged, 0U) << "seed " << report.seed;
}

TEST(Simulation, keeps_every_promise_under_all_kinds_of_trouble) {
  FaultCounts met{};
  for (std::uint64_t seed = 1; seed <= SIM_SEEDS; ++seed) {
    const Report report = run(seed);
    expect_clean(report);
    for (std::size_t i = 0; i < met.size(); ++i) met[i] += report.faults[i];
  }
  if (SIM_SEEDS < 200) return;  // too few to meet all
  for (std::size_t i = 0; i < met.size(); ++i)
    EXPECT_GT(met[i], 0U) << fault_names[i] << " never happened";
}

TEST(Simulation, a_seed_is_the_same_run_each_time) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const std::uint64_t hash = run(seed).hash;
    EXPECT_EQ(run(seed).hash, hash) << "seed " << seed;
    EXPECT_NE(run(seed + 100).hash, hash);
  }
}

// Each file is named after the seed that found something, and says what.
TEST(Simulation, what_was_found_once_stays_mended) {
  std::vector<std::uint64_t> seeds;
  for (const auto& entry : std::filesystem::directory_iterator(SIM_SEEDS_FOLDER)) {
    const std::string name = entry.path().stem().string();
    std::uint64_t seed = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), seed).ec != std::errc()) continue;
    seeds.push_back(seed);
  }
  ASSERT_FALSE(seeds.empty());
  for (const std::uint64_t seed : seeds) expect_clean(run(seed));
}

// A session of the node's next life has the id of one before.
TEST(Simulation, a_bug_that_once_was_is_found_again) { expect_found(true); }

class BrokenRule : public ::testing::TestWithParam<storage::Breakage> {
 protected:
  ~BrokenRule() override { storage::breakage = storage::Breakage::none; }
};

TEST_P(BrokenRule, is_found) {
  storage::breakage = GetParam();
  expect_found();
}

INSTANTIATE_TEST_SUITE_P(all, BrokenRule,
                         ::testing::Values(storage::Breakage::acknowledge_early,
                                           storage::Breakage::ignore_crc,
                                           storage::Breakage::cut_on_damage,
                                           storage::Breakage::keep_generation));

// --- the checker itself ---

// Ten records of producer 1 in partition 0, which the checker knows to be durable.
std::vector<Checker::Entry> log_of_ten(Checker& checker) {
  std::vector<Checker::Entry> whole;
  for (std::uint64_t i = 0; i < 10; ++i) {
    checker.offered(1, 0, i);
    whole.push_back({static_cast<std::int64_t>(i), Checker::value_of(1, i, 50)});
  }
  checker.acknowledged(1, 10);
  return whole;
}

TEST(Checker, accepts_a_log_that_holds_what_was_offered) {
  Checker checker;
  checker.verify(0, log_of_ten(checker), false);
  EXPECT_TRUE(checker.findings().empty());
}

TEST(Checker, lets_a_node_refuse_what_was_harmed_and_nothing_else) {
  Checker checker;
  std::vector<Checker::Entry> whole = log_of_ten(checker);
  for (const std::size_t at : {4, 5}) checker.harmed(0, whole[at].offset, whole[at].value);
  EXPECT_EQ(checker.refused(0, 4), 6);
  whole.erase(whole.begin() + 4, whole.begin() + 6);
  checker.verify(0, whole, false);
  EXPECT_TRUE(checker.findings().empty());
  EXPECT_FALSE(checker.refused(0, 6));
  EXPECT_FALSE(checker.refused(1, 4));
  EXPECT_EQ(checker.findings().size(), 2U);
  whole.erase(whole.begin() + 4);
  checker.verify(0, whole, false);
  EXPECT_EQ(checker.findings().back().kind, Anomaly::lost);
}

// Partition 0 as it was before compaction: key a three times, then its tombstone; b, and no key.
std::vector<Checker::Entry> log_of_keys(Checker& checker) {
  checker.compacted(0, 1000);
  const std::array<Checker::Keyed, 6> keyed = {{{"a"}, {"b"}, {"a"}, {"b"}, {"a", true}, {""}}};
  std::vector<Checker::Entry> whole;
  for (std::uint64_t i = 0; i < keyed.size(); ++i) {
    checker.offered(1, 0, i, keyed[i]);
    const std::string value = Checker::value_of(1, i, 50);
    const auto key = keyed[i].key.empty() ? Checker::Bytes() : Checker::Bytes(keyed[i].key);
    whole.push_back({static_cast<std::int64_t>(i),
                     Checker::text_of(key, keyed[i].is_tombstone ? Checker::Bytes() : value)});
    checker.read(0, whole.back().offset, whole.back().value, true);
  }
  checker.acknowledged(1, keyed.size());
  for (const Checker::Entry& entry : whole) checker.read(0, entry.offset, entry.value, true);
  return whole;
}

// What is left of it, when, and what is wrong with that; `count` where nothing is.
struct Left {
  const char* name;
  std::vector<std::size_t> records;
  std::int64_t now_ms;
  Anomaly kind;
};

class LeftOfKeys : public ::testing::TestWithParam<Left> {};

TEST_P(LeftOfKeys, is_judged_by_keys) {
  Checker checker;
  const std::vector<Checker::Entry> whole = log_of_keys(checker);
  std::vector<Checker::Entry> left;
  for (const std::size_t record : GetParam().records) left.push_back(whole[record]);
  checker.verify(0, left, false, GetParam().now_ms);
  if (GetParam().kind == Anomaly::count) {
    EXPECT_TRUE(checker.findings().empty()) << checker.findings().front().text;
  } else {
    ASSERT_FALSE(checker.findings().empty());
    EXPECT_EQ(checker.findings().front().kind, GetParam().kind) << checker.findings().front().text;
  }
}

INSTANTIATE_TEST_SUITE_P(
    all, LeftOfKeys,
    ::testing::Values(Left{"all", {0, 1, 2, 3, 4, 5}, 0, Anomaly::count},
                      Left{"the_last_of_each", {3, 4, 5}, 0, Anomaly::count},
                      Left{"no_tombstone_too_early", {3, 5}, 999, Anomaly::lost},
                      Left{"no_tombstone_in_time", {3, 5}, 1000, Anomaly::count},
                      Left{"the_deleted_again", {2, 3, 5}, 1000, Anomaly::stale},
                      Left{"an_older_one", {1, 4, 5}, 0, Anomaly::lost},
                      Left{"none_of_a_key", {4, 5}, 0, Anomaly::lost},
                      Left{"what_has_no_key_is_gone", {3, 4}, 0, Anomaly::lost}),
    [](const auto& left) { return std::string(left.param.name); });

TEST(Checker, a_reader_may_be_led_past_what_has_a_later_record_and_nothing_else) {
  for (const std::int64_t led_to : {3, 4}) {
    Checker checker;
    std::vector<Checker::Entry> whole = log_of_keys(checker);
    checker.skipped(0, 1, led_to);
    whole.erase(whole.begin(), whole.begin() + 3);
    checker.verify(0, whole, false, 0);
    EXPECT_EQ(checker.findings().empty(), led_to == 3);
  }
}

TEST(Checker, what_begins_at_a_time_begins_there_and_misses_nothing) {
  for (const std::size_t wrong : {0, 1, 2}) {
    Checker checker;
    std::vector<Checker::Entry> whole = log_of_ten(checker);
    for (Checker::Entry& entry : whole) entry.timestamp_ms = entry.offset * 10;
    std::vector<Checker::Entry> met(whole.begin() + (wrong == 1 ? 3 : 4), whole.end());
    if (wrong == 2) met.erase(met.begin() + 2);
    checker.verify_from_time(0, whole, 35, met);
    EXPECT_EQ(checker.findings().empty(), wrong == 0);
  }
}

// One log with one thing wrong, and what that is called.
struct Wrong {
  const char* name;
  void (*spoil)(std::vector<Checker::Entry>&);
  Anomaly kind;
};

class WrongLog : public ::testing::TestWithParam<Wrong> {};

TEST_P(WrongLog, is_called_by_its_name) {
  Checker checker;
  std::vector<Checker::Entry> whole = log_of_ten(checker);
  for (const Checker::Entry& entry : whole) checker.read(0, entry.offset, entry.value, true);
  GetParam().spoil(whole);
  checker.verify(0, whole, false);
  ASSERT_FALSE(checker.findings().empty());
  bool named = false;
  for (const Finding& finding : checker.findings()) named |= finding.kind == GetParam().kind;
  const Finding& first = checker.findings().front();
  EXPECT_TRUE(named) << "not " << name_of(GetParam().kind) << ", but " << name_of(first.kind)
                     << ": " << first.text;
}

INSTANTIATE_TEST_SUITE_P(
    all, WrongLog,
    ::testing::Values(
        Wrong{"lost", [](auto& log) { log.pop_back(); }, Anomaly::lost},
        Wrong{"hole", [](auto& log) { log.erase(log.begin() + 4); }, Anomaly::lost},
        Wrong{"duplicated",
              [](auto& log) {
                log.push_back({10, log[3].value});
              },
              Anomaly::duplicated},
        Wrong{"reordered", [](auto& log) { std::swap(log[2].value, log[7].value); },
              Anomaly::reordered},
        Wrong{"stale", [](auto& log) { std::swap(log[2].value, log[7].value); }, Anomaly::stale},
        Wrong{"foreign", [](auto& log) { log[5].value.back() ^= 1; }, Anomaly::foreign},
        Wrong{"truncated", [](auto& log) { log[5].value.pop_back(); }, Anomaly::foreign}),
    [](const auto& wrong) { return std::string(wrong.param.name); });

}  // namespace
}  // namespace millrace::sim

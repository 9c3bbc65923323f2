#include "perf/loadgen/drivers/many_driver.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>

namespace millrace::loadgen {
namespace {

// What all of a system's connections share.
struct System {
  std::vector<Workload> prepared;
  std::vector<std::pair<std::uint32_t, std::uint64_t>> offered;  // member, its number
  std::map<std::uint32_t, int> polls;                            // by member
  std::vector<std::uint32_t> gone;
  bool is_full = false;
};

// Answers when it is polled, and hands to each consumer what comes then.
class Connection final : public Driver {
 public:
  explicit Connection(System& system) : system_(system) {}
  ~Connection() override { system_.gone.push_back(workload_.member); }
  base::Result<void> prepare(const Workload& workload) override {
    workload_ = workload;
    system_.prepared.push_back(workload);
    return {};
  }
  bool offer(std::uint64_t number, std::span<const std::byte>) override {
    if (system_.is_full) return false;
    system_.offered.emplace_back(workload_.member, number);
    ++unanswered_;
    return true;
  }
  base::Result<void> poll(Events& events) override {
    ++system_.polls[workload_.member];
    for (; unanswered_ != 0; --unanswered_) events.acknowledged(answered_++);
    if (workload_.consumes) events.delivered(workload_.partitions - 1, {});
    return {};
  }

 private:
  System& system_;
  Workload workload_;
  std::uint64_t unanswered_ = 0;
  std::uint64_t answered_ = 0;
};

struct Seen : Events {
  void acknowledged(std::uint64_t number) override { numbers.push_back(number); }
  void delivered(std::uint32_t source, std::span<const std::byte>) override {
    sources.push_back(source);
  }
  std::vector<std::uint64_t> numbers;
  std::vector<std::uint32_t> sources;
};

class ManyDriverTest : public ::testing::Test {
 protected:
  System system;
  std::optional<ManyDriver> many{
      std::in_place,
      [this] { return std::unique_ptr<Driver>(std::make_unique<Connection>(system)); }};
};

TEST_F(ManyDriverTest, producers_take_turns_and_what_each_is_answered_is_told_as_one) {
  ASSERT_TRUE(many->prepare({.topic = "t", .consumes = false, .connections = 3}));
  for (std::uint64_t number = 0; number < 7; ++number) EXPECT_TRUE(many->offer(number, {}));
  EXPECT_EQ(system.offered[5], (std::pair<std::uint32_t, std::uint64_t>(2, 1)));
  Seen seen;
  ASSERT_TRUE(many->poll(seen));
  std::ranges::sort(seen.numbers);
  EXPECT_EQ(seen.numbers, (std::vector<std::uint64_t>{0, 1, 2, 3, 4, 5, 6}));
  system.is_full = true;
  EXPECT_FALSE(many->offer(7, {}));
}

TEST_F(ManyDriverTest, one_makes_the_topic_and_goes_last) {
  ASSERT_TRUE(many->prepare({.topic = "t", .connections = 2, .subscribers = 3}));
  many.reset();
  ASSERT_EQ(system.prepared.size(), 3U);
  for (std::uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(system.prepared[i].makes_topic, i == 0);
    EXPECT_EQ(system.prepared[i].publishes, i < 2);
    EXPECT_TRUE(system.prepared[i].consumes);
  }
  EXPECT_EQ(system.gone, (std::vector<std::uint32_t>{2, 1, 0}));
}

TEST_F(ManyDriverTest, what_each_subscriber_gets_is_a_source_of_its_own) {
  ASSERT_TRUE(many->prepare({.topic = "t", .partitions = 10, .subscribers = 3}));
  Seen seen;
  ASSERT_TRUE(many->poll(seen));
  EXPECT_EQ(seen.sources, (std::vector<std::uint32_t>{9, 19, 29}));
}

TEST_F(ManyDriverTest, whoever_waits_for_nothing_is_polled_in_turn) {
  ASSERT_TRUE(many->prepare({.topic = "t", .consumes = false, .connections = 100}));
  Seen seen;
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(many->poll(seen));
  for (std::uint32_t i = 0; i < 100; ++i) EXPECT_EQ(system.polls[i], 2) << i;
}

}  // namespace
}  // namespace millrace::loadgen

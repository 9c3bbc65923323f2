#include "perf/loadgen/run_load.h"

#include <gtest/gtest.h>

#include <deque>

#include "dataplane/base/units.h"
#include "perf/loadgen/stamp.h"

namespace millrace::loadgen {
namespace {

using base::ms_ns;
using base::us_ns;

// A system in virtual time: each poll lasts so long, and what was offered is answered and delivered
// a while later.
class FakeSystem : public Driver {
 public:
  explicit FakeSystem(base::VirtualClock& clock) : clock_(clock) {}

  base::Result<void> prepare(const Workload&) override { return {}; }
  bool offer(std::uint64_t number, std::span<const std::byte> payload) override {
    if (clock_.monotonic_ns() >= stalls_from_ns && clock_.monotonic_ns() < stalls_until_ns) {
      return false;
    }
    if (number == lost_number) return true;
    const std::uint64_t takes = number < slow_count ? slow_ns : takes_ns;
    under_way_.push_back({clock_.monotonic_ns() + takes, number, *read_stamp(payload)});
    return true;
  }
  base::Result<void> poll(Events& events) override {
    clock_.advance(10 * us_ns);
    while (!under_way_.empty() && under_way_.front().at_ns <= clock_.monotonic_ns()) {
      const Message message = under_way_.front();
      under_way_.pop_front();
      std::array<std::byte, stamp_bytes> payload{};
      write_stamp(message.stamp, payload);
      if (answers) events.acknowledged(message.number);
      if (!delivers) continue;
      for (std::uint32_t i = 0; i < copies; ++i) events.delivered(i, payload);
      if (copies == 0) events.delivered(message.number % 2, payload);
      if (message.number == repeated_number) events.delivered(0, payload);
      if (message.number == swapped_number) std::swap(under_way_[0], under_way_[1]);
      if (message.number != strangers_number) continue;
      write_stamp({.number = 1'000'000, .due_ns = 0}, payload);
      events.delivered(0, payload);
      events.delivered(0, std::span(payload).first(stamp_bytes - 1));
    }
    return {};
  }
  bool acknowledges() const override { return answers; }
  bool is_queue() const override { return copies == 0; }

  std::uint64_t takes_ns = 100 * us_ns;
  std::uint64_t slow_count = 0;  // of the first, which take so long
  std::uint64_t slow_ns = 600 * ms_ns;
  std::uint64_t stalls_from_ns = 0;
  std::uint64_t stalls_until_ns = 0;
  std::uint64_t lost_number = ~0ULL;
  std::uint64_t repeated_number = ~0ULL;
  std::uint64_t swapped_number = ~0ULL;    // the two after it change places
  std::uint64_t strangers_number = ~0ULL;  // after it come two that nobody sent
  bool answers = true;
  bool delivers = true;
  std::uint32_t copies = 1;  // one to each subscriber; 0: to two subscribers of a queue in turn

 private:
  struct Message {
    std::uint64_t at_ns;
    std::uint64_t number;
    Stamp stamp;
  };
  base::VirtualClock& clock_;
  std::deque<Message> under_way_;
};

class RunLoad : public ::testing::Test {
 protected:
  LoadResult run() {
    auto result = run_load(workload, system, clock, {.drain_ns = 100 * ms_ns});
    EXPECT_TRUE(result);
    return std::move(result.value());
  }

  base::VirtualClock clock;
  FakeSystem system{clock};
  Workload workload{.topic = {},
                    .payload_bytes = 32,
                    .rate = 10'000,
                    .warm_up_ns = 100 * ms_ns,
                    .measured_ns = 1000 * ms_ns};
};

TEST_F(RunLoad, at_a_rate_as_many_are_sent_as_are_due_and_the_warm_up_is_not_counted) {
  const LoadResult result = run();
  EXPECT_EQ(result.due, 10'000U);
  EXPECT_NEAR(static_cast<double>(result.sent), 10'000, 2);
  EXPECT_NEAR(static_cast<double>(result.acknowledged), 10'000, 3);
  EXPECT_EQ(result.delivered_ns.count(), result.acknowledged_ns.count());
  EXPECT_NEAR(static_cast<double>(result.delivered_ns.count()), 10'000, 2);
  // Sent up to a poll late, told up to a poll late.
  EXPECT_GE(result.acknowledged_ns.min(), 100 * us_ns);
  EXPECT_LE(result.acknowledged_ns.max(), 130 * us_ns);
  EXPECT_EQ(result.lost + result.duplicated + result.reordered + result.unacknowledged, 0U);
}

TEST_F(RunLoad, what_first_messages_take_is_waited_for_and_not_counted) {
  const auto run_over = [&](std::uint32_t partitions, std::uint32_t connections) {
    workload.partitions = partitions;
    workload.connections = connections;
    return run_load(workload, system, clock, {.drain_ns = 1000 * ms_ns}).value();
  };
  system.slow_count = 40;
  for (const LoadResult& result : {run_over(40, 3), run_over(3, 40)}) {
    EXPECT_NEAR(static_cast<double>(result.delivered_ns.count()), 10'000, 2);
    EXPECT_LE(result.delivered_ns.max(), 130 * us_ns);
    EXPECT_EQ(result.lost + result.unacknowledged, 0U);
  }
  system.slow_ns = 1500 * ms_ns;  // longer than anything is waited for
  const LoadResult result = run_over(40, 40);
  EXPECT_EQ(result.due, 10'000U);
  EXPECT_GT(result.delivered_ns.max(), 100 * ms_ns);
}

TEST_F(RunLoad, a_stall_is_charged_to_all_that_were_due_meanwhile) {
  system.stalls_from_ns = 500 * ms_ns;
  system.stalls_until_ns = 700 * ms_ns;
  const LoadResult result = run();
  // 2000 of 10000 were due within; had only the stalled call been timed, one would be late.
  EXPECT_GE(result.delivered_ns.quantile(0.9), 90 * ms_ns);
  EXPECT_LE(result.delivered_ns.quantile(0.7), 1 * ms_ns);
  EXPECT_NEAR(static_cast<double>(result.delivered_ns.max()), 200.0 * ms_ns, 10.0 * ms_ns);
  EXPECT_NEAR(static_cast<double>(result.sent), 10'000, 2);
}

TEST_F(RunLoad, a_rate_that_is_not_reached_shows_in_what_was_sent) {
  system.stalls_from_ns = 300 * ms_ns;
  system.stalls_until_ns = 5000 * ms_ns;
  const LoadResult result = run();
  EXPECT_EQ(result.due, 10'000U);
  EXPECT_LT(result.sent, 2'100U);
}

TEST_F(RunLoad, without_a_rate_no_more_than_the_window_is_under_way) {
  workload.rate = 0;
  workload.window = 8;
  system.takes_ns = 1 * ms_ns;
  const LoadResult result = run();
  EXPECT_NEAR(static_cast<double>(result.sent), 8'000, 200);
  EXPECT_EQ(result.due, result.sent);
}

TEST_F(RunLoad, what_does_not_come_and_what_comes_twice_is_counted) {
  system.lost_number = 700;
  system.repeated_number = 900;
  const LoadResult result = run();
  EXPECT_EQ(result.lost, 1U);
  EXPECT_EQ(result.unacknowledged, 1U);
  EXPECT_EQ(result.duplicated, 1U);
}

TEST_F(RunLoad, what_comes_out_of_order_and_what_is_not_of_this_run_is_counted) {
  system.takes_ns = 1 * ms_ns;  // several are under way
  system.swapped_number = 700;
  system.strangers_number = 900;
  const LoadResult result = run();
  EXPECT_EQ(result.reordered, 1U);
  EXPECT_EQ(result.foreign, 2U);
  EXPECT_EQ(result.lost + result.duplicated, 0U);
}

TEST_F(RunLoad, a_system_that_does_not_answer_is_known_by_what_it_delivers) {
  system.answers = false;
  workload.rate = 0;
  workload.window = 4;
  const LoadResult result = run();
  EXPECT_EQ(result.unacknowledged, 0U);
  EXPECT_EQ(result.acknowledged_ns.count(), 0U);
  EXPECT_GT(result.delivered, 10'000U);
  EXPECT_EQ(result.lost, 0U);
}

TEST_F(RunLoad, each_subscriber_gets_all_and_a_message_counts_once) {
  workload.subscribers = system.copies = 3;
  const LoadResult result = run();
  EXPECT_EQ(result.copies, 3U);
  EXPECT_NEAR(static_cast<double>(result.delivered), 30'000, 9);
  EXPECT_EQ(result.lost + result.duplicated + result.reordered, 0U);
  system.copies = 2;  // one of them gets nothing
  EXPECT_NEAR(static_cast<double>(run().lost), 11'000, 9);
}

TEST_F(RunLoad, subscribers_of_a_queue_share_what_there_is) {
  workload.subscribers = 2;
  system.copies = 0;
  const LoadResult result = run();
  EXPECT_EQ(result.copies, 1U);
  EXPECT_NEAR(static_cast<double>(result.delivered), 10'000, 3);
  EXPECT_EQ(result.lost + result.duplicated + result.reordered, 0U);
}

// A log: who comes later reads what is there.
class LateReader : public Driver {
 public:
  LateReader(base::VirtualClock& clock, std::uint64_t count) : clock_(clock), count_(count) {}
  base::Result<void> prepare(const Workload&) override { return {}; }
  bool offer(std::uint64_t, std::span<const std::byte>) override { return false; }
  base::Result<void> poll(Events& events) override {
    clock_.advance(1 * us_ns);
    std::array<std::byte, stamp_bytes> payload{};
    write_stamp({.number = next_, .due_ns = 0}, payload);
    if (next_++ < count_) events.delivered(0, payload);
    return {};
  }

 private:
  base::VirtualClock& clock_;
  std::uint64_t count_;
  std::uint64_t next_ = 0;
};

TEST_F(RunLoad, a_backlog_is_there_before_and_read_after) {
  workload.backlog = 5'000;
  system.delivers = false;
  const auto run_with = [&](std::uint64_t readable) {
    return run_load(
        workload, system, clock,
        {.drain_ns = 100 * ms_ns, .make_reader = [this, readable] {
           return std::unique_ptr<Driver>(std::make_unique<LateReader>(clock, readable));
         }});
  };
  const auto result = run_with(~0ULL);
  ASSERT_TRUE(result);
  EXPECT_GT(result->filled_ns, 0U);
  EXPECT_EQ(result->backlog, 5'000U);
  EXPECT_EQ(result->read_back, 16'000U);  // the warm-up, too
  EXPECT_EQ(result->left_behind, 0U);
  EXPECT_EQ(result->delivered + result->delivered_ns.count(), 0U);
  EXPECT_NEAR(static_cast<double>(result->acknowledged), 10'000, 3);
  const auto stuck = run_with(300);
  ASSERT_TRUE(stuck);
  EXPECT_EQ(stuck->read_back, 300U);
  EXPECT_EQ(stuck->left_behind, 15'700U);
  EXPECT_NEAR(static_cast<double>(stuck->read_back_ns), 100.0 * ms_ns, 1.0 * ms_ns);
}

TEST_F(RunLoad, a_backlog_is_as_large_as_there_is_time_for) {
  workload.backlog = ~0ULL;
  system.delivers = false;
  const auto result =
      run_load(workload, system, clock,
               {.fill_ns = 50 * ms_ns, .make_reader = [this] {
                  return std::unique_ptr<Driver>(std::make_unique<LateReader>(clock, ~0ULL));
                }});
  ASSERT_TRUE(result);
  EXPECT_GT(result->backlog, 1000U);
  EXPECT_LT(result->filled_ns, 52 * ms_ns);
  EXPECT_NEAR(static_cast<double>(result->acknowledged), 10'000, 3);
}

TEST_F(RunLoad, whoever_watches_may_end_it) {
  int asked = 0;
  const auto result = run_load(workload, system, clock,
                               {.on_progress = [&asked](const Progress&) { return ++asked < 3; }});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message(), "interrupted");
}

}  // namespace
}  // namespace millrace::loadgen

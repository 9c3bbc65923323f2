#include "perf/loadgen/load_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "dataplane/base/units.h"

namespace millrace::loadgen {
namespace {

LoadReport some_report() {
  LoadReport report{.driver = "null", .workload = {.topic = "t", .rate = 100}, .result = {}};
  LoadResult& result = report.result;
  result.due = 500;
  result.sent = 500;
  result.acknowledged = 400;
  result.measured_ns = 5 * base::second_ns;
  for (int i = 0; i < 99; ++i) result.acknowledged_ns.record(1'000);
  result.acknowledged_ns.record(1'000'000);
  return report;
}

TEST(LoadReport, rates_quantiles_and_the_whole_histogram_are_written) {
  const auto json = to_json(some_report());
  EXPECT_EQ(json["acknowledged_per_s"], 80.0);
  EXPECT_TRUE(json["delivered"].is_null());
  const auto& latency = json["acknowledged"];
  EXPECT_EQ(latency["count"], 100);
  EXPECT_EQ(latency["max_ns"], 1'000'000);
  ASSERT_EQ(latency["buckets"].size(), 2U);
  EXPECT_EQ(latency["buckets"][0][1], 99);
  EXPECT_NEAR(latency["buckets"][0][0].get<double>(), 1'000, 32);
}

TEST(LoadReport, a_rate_is_reached_when_nearly_all_was_sent_that_was_due) {
  LoadReport report = some_report();
  EXPECT_TRUE(reached_target(report));
  report.result.sent = 480;
  EXPECT_FALSE(reached_target(report));
  report.workload.rate = 0;
  EXPECT_TRUE(reached_target(report));
}

TEST(LoadReport, percentiles_in_the_plotters_text_rise_to_one) {
  const std::string text = to_hgrm(some_report().result.acknowledged_ns);
  EXPECT_NE(text.find(" 0.990000000000         99         100.00\n"), std::string::npos) << text;
  EXPECT_NE(text.find(" 1.000000000000        100\n"), std::string::npos) << text;
  EXPECT_NE(text.find("#[Max     =     1000.000, Total count    =          100]\n"),
            std::string::npos)
      << text;
}

TEST(LoadReport, open_messaging_has_milliseconds) {
  const auto json = to_open_messaging(some_report());
  EXPECT_NEAR(json["aggregatedPublishLatency50pct"].get<double>(), 0.001, 0.0001);
  EXPECT_EQ(json["aggregatedPublishLatencyMax"], 1.0);
  EXPECT_EQ(json["publishRate"][0], 100.0);
}

}  // namespace
}  // namespace millrace::loadgen

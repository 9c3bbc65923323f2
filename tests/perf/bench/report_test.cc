// What a run prints: all keys, the right sums, and null where a figure makes no sense.
#include "perf/bench/report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace millrace::bench {
namespace {

constexpr const char* promised_keys[] = {
    "path",         "ack",          "size_bytes", "count",         "p50_ns",     "p99_ns",
    "p999_ns",      "p9999_ns",     "max_ns",     "records_per_s", "durability", "bytes_per_s",
    "floor_p50_ns", "floor_p99_ns", "ratio_p50",  "ratio_p99"};

Measured measured_with(std::uint64_t latency_ns, std::uint64_t count, std::uint64_t bytes) {
  Measured measured;
  measured.latency_ns.record(latency_ns);
  measured.count = count;
  measured.bytes = bytes;
  measured.elapsed_ns = base::second_ns / 2;
  return measured;
}

Report round_trips() {
  Report report;
  report.options.verb = Verb::rtt;
  report.options.ack = Ack::memory;
  report.result = measured_with(20, 1'000, 128'000);
  return report;
}

TEST(Report, each_verb_has_every_promised_key) {
  for (const auto verb : {Verb::rtt, Verb::throughput, Verb::floor}) {
    Report report = round_trips();
    report.options.verb = verb;
    const auto document = to_json(report);
    for (const char* key : promised_keys) EXPECT_TRUE(document.contains(key)) << key;
  }
}

TEST(Report, rates_are_of_the_time_that_was_measured) {
  const auto document = to_json(round_trips());
  EXPECT_DOUBLE_EQ(document["records_per_s"].get<double>(), 2'000);
  EXPECT_DOUBLE_EQ(document["bytes_per_s"].get<double>(), 256'000);
}

TEST(Report, merged_rounds_add_up) {
  Measured sum = measured_with(10, 5, 50);
  sum.merge(measured_with(30, 7, 70));
  EXPECT_EQ(sum.count, 12U);
  EXPECT_EQ(sum.bytes, 120U);
  EXPECT_EQ(sum.elapsed_ns, base::second_ns);
  EXPECT_EQ(sum.latency_ns.count(), 2U);
  EXPECT_EQ(sum.latency_ns.max(), 30U);
}

TEST(Report, a_writer_beside_readers_is_compared_with_itself_alone) {
  Report report = round_trips();
  report.options.verb = Verb::throughput;
  report.options.cold_readers = 10;
  EXPECT_TRUE(to_json(report)["ratio_without_readers_p99"].is_null());
  report.without_readers = measured_with(10, 1'000, 128'000);
  report.read = measured_with(1, 1, 1'000'000);
  const auto document = to_json(report);
  EXPECT_DOUBLE_EQ(document["ratio_without_readers_p99"].get<double>(), 2);
  EXPECT_DOUBLE_EQ(document["read_bytes_per_s"].get<double>(), 2'000'000);
  EXPECT_NE(to_table(report).find("by 10 readers"), std::string::npos);
}

TEST(Report, without_a_floor_there_is_no_ratio) {
  const auto document = to_json(round_trips());
  for (const char* key : {"floor_p50_ns", "floor_p99_ns", "ratio_p50", "ratio_p99"}) {
    EXPECT_TRUE(document[key].is_null()) << key;
  }
}

TEST(Report, ratios_are_ours_over_the_floor) {
  Report report = round_trips();
  report.floor = measured_with(10, 1'000, 270'000);
  const auto document = to_json(report);
  EXPECT_EQ(document["floor_p50_ns"], 10);
  EXPECT_DOUBLE_EQ(document["ratio_p50"].get<double>(), 2.0);
  EXPECT_DOUBLE_EQ(document["ratio_p99"].get<double>(), 2.0);
}

TEST(Report, a_throughput_is_compared_by_bytes_and_not_by_latency) {
  Report report = round_trips();
  report.options.verb = Verb::throughput;
  report.floor = measured_with(10, 1'000, 512'000);
  const auto document = to_json(report);
  EXPECT_TRUE(document["ratio_p50"].is_null());
  EXPECT_DOUBLE_EQ(document["ratio_bytes_per_s"].get<double>(), 0.25);
}

TEST(Report, the_limit_is_the_lesser_of_memory_and_disk) {
  Report report = round_trips();
  report.options.verb = Verb::throughput;
  EXPECT_FALSE(limit_records_per_s(report));
  report.floor = measured_with(10, 1'000, 640'000);  // 10,000 records of 128 B a second
  report.in_memory = measured_with(10, 4'000, 512'000);
  EXPECT_DOUBLE_EQ(*limit_records_per_s(report), 8'000);
  EXPECT_DOUBLE_EQ(to_json(report)["ratio_limit"].get<double>(), 0.25);
  report.in_memory = measured_with(10, 9'000, 1'152'000);
  EXPECT_DOUBLE_EQ(*limit_records_per_s(report), 10'000);
}

TEST(Report, a_floor_has_neither_an_acknowledgement_nor_a_ratio) {
  Report report = round_trips();
  report.options.verb = Verb::floor;
  report.options.floor_of = FloorOf::ring;
  const auto document = to_json(report);
  EXPECT_EQ(document["path"], "ring");
  EXPECT_TRUE(document["ack"].is_null());
}

TEST(Report, the_table_says_what_the_floor_was) {
  Report report = round_trips();
  report.floor = measured_with(10, 1'000, 270'000);
  report.floor_name = "udp echo of 270 B frames";
  const std::string table = to_table(report);
  EXPECT_NE(table.find("udp echo of 270 B frames"), std::string::npos);
  EXPECT_NE(table.find("ratio  2.00"), std::string::npos);
}

}  // namespace
}  // namespace millrace::bench

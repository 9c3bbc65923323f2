// What the arguments of the bench may be, and what is left to it.
#include "perf/bench/command_line.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "dataplane/base/units.h"

namespace millrace::bench {
namespace {

int parse(const std::vector<const char*>& words, BenchOptions& options) {
  std::vector<const char*> argv = {"millrace-bench"};
  argv.insert(argv.end(), words.begin(), words.end());
  return parse_command_line(static_cast<int>(argv.size()), argv.data(), options);
}

int parse(const std::vector<const char*>& words) {
  BenchOptions options;
  return parse(words, options);
}

TEST(CommandLine, takes_what_the_command_line_says) {
  BenchOptions options;
  ASSERT_EQ(
      parse({"throughput", "--path",  "memif",        "--ack",        "memory", "--size",
             "64",         "--count", "1000",         "--partitions", "10",     "--batch-bytes",
             "4096",       "--self",  "--with-floor", "-o",           "json",   "--port-offset",
             "7",          "--rate",  "5000000"},
            options),
      -1);
  EXPECT_EQ(options.verb, Verb::throughput);
  EXPECT_EQ(options.path, Path::memif);
  EXPECT_EQ(options.ack, Ack::memory);
  EXPECT_EQ(options.size_bytes, 64U);
  EXPECT_EQ(options.count, 1000U);
  EXPECT_EQ(options.partitions, 10U);
  EXPECT_EQ(options.batch_bytes, 4096U);
  EXPECT_EQ(options.rate, 5'000'000U);
  EXPECT_TRUE(options.self && options.with_floor && options.json);
  EXPECT_EQ(options.port_offset, 7);
}

TEST(CommandLine, knows_each_floor) {
  for (const auto floor : {FloorOf::ring, FloorOf::memif, FloorOf::udp, FloorOf::disk}) {
    BenchOptions options;
    ASSERT_EQ(parse({"floor", "--of", name(floor)}, options), -1);
    EXPECT_EQ(options.floor_of, floor);
  }
}

TEST(CommandLine, wrong_arguments_end_with_the_code_for_usage) {
  EXPECT_EQ(parse({}), exit_usage);
  EXPECT_EQ(parse({"dance"}), exit_usage);
  EXPECT_EQ(parse({"floor"}), exit_usage);
  EXPECT_EQ(parse({"floor", "--of", "sea"}), exit_usage);
  EXPECT_EQ(parse({"rtt", "--path", "pigeon"}), exit_usage);
  EXPECT_EQ(parse({"rtt", "--ack", "hope"}), exit_usage);
  EXPECT_EQ(parse({"rtt", "--size", "0"}), exit_usage);
  EXPECT_EQ(parse({"rtt", "--count", "0"}), exit_usage);
  EXPECT_EQ(parse({"rtt", "--partitions", "2"}), exit_usage);
  EXPECT_EQ(parse({"throughput", "--partitions", "10001"}), exit_usage);
  EXPECT_EQ(parse({"throughput", "-o", "xml"}), exit_usage);
}

TEST(CommandLine, help_is_no_error) { EXPECT_EQ(parse({"rtt", "--help"}), exit_ok); }

TEST(Options, memif_without_a_node_to_reach_is_refused) {
  BenchOptions options;
  options.path = Path::memif;
  const auto completed = complete_options(options);
  ASSERT_FALSE(completed);
  EXPECT_NE(completed.error().message().find("--self"), std::string_view::npos);
  options.address = "memif:socket=/run/millrace/memif.sock";
  EXPECT_TRUE(complete_options(options));
}

TEST(Options, contradictions_are_refused) {
  BenchOptions both;
  both.self = true;
  both.address = "127.0.0.1:7070";
  EXPECT_FALSE(complete_options(both));
  BenchOptions durable_in_memory;
  durable_in_memory.self = durable_in_memory.memory_only = true;
  EXPECT_FALSE(complete_options(durable_in_memory));
  durable_in_memory.ack = Ack::memory;
  EXPECT_TRUE(complete_options(durable_in_memory));
}

TEST(Options, cold_readers_need_a_rate_and_a_node_of_their_own) {
  BenchOptions options;
  ASSERT_EQ(parse({"throughput", "--self", "--cold-readers", "10"}, options), -1);
  EXPECT_EQ(options.cold_readers, 10U);
  EXPECT_FALSE(complete_options(options));
  options.rate = 1000;
  ASSERT_TRUE(complete_options(options));
  EXPECT_EQ(options.bytes, 4 * base::gib);
  options.ack = Ack::memory;
  EXPECT_FALSE(complete_options(options));
}

TEST(Options, a_count_below_the_rounds_makes_fewer_rounds) {
  BenchOptions options;
  options.count = 3;
  ASSERT_TRUE(complete_options(options));
  EXPECT_EQ(options.rounds, 3U);
}

TEST(Options, memif_buffers_are_raised_for_throughput_only) {
  BenchOptions options;
  options.self = true;
  options.path = Path::memif;
  ASSERT_TRUE(complete_options(options));
  EXPECT_EQ(options.memif_options, "");
  options.verb = Verb::throughput;
  ASSERT_TRUE(complete_options(options));
  EXPECT_EQ(options.memif_options, "bsize=9216,mtu=9000");
}

}  // namespace
}  // namespace millrace::bench

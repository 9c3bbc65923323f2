#include "dataplane/core/options.h"

#include <gtest/gtest.h>

#include <map>

namespace millrace::core {
namespace {

using Words = std::vector<std::string>;

const Words least = {"--link", "/l", "--memory-only", "--port", "udp:127.0.0.1:7070"};

Words with(Words more) {
  Words words = least;
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST(Options, the_least_that_is_needed_gives_a_laptop) {
  const NodeOptions options = parse_options(least).value();
  EXPECT_EQ(options.link_path, "/l");
  EXPECT_TRUE(options.memory_only);
  EXPECT_EQ(options.ports, Words{"udp:127.0.0.1:7070"});
  EXPECT_EQ(options.profile, Profile::laptop);
  EXPECT_TRUE(options.cpus.empty());
  EXPECT_FALSE(options.prepare_whole_journal);
  EXPECT_TRUE(options.recording_directory.empty());
}

TEST(Options, every_flag_is_taken_with_a_space_or_an_equals_sign) {
  const NodeOptions options = parse_options({"--data=/d",
                                             "--link=/l",
                                             "--port=a",
                                             "--port",
                                             "b",
                                             "--listen=514=syslog",
                                             "--listen",
                                             "8125=statsd,framing=lines",
                                             "--cores",
                                             "0,3",
                                             "--profile",
                                             "dedicated",
                                             "--journal-size=1073741824",
                                             "--tail-size",
                                             "33554432",
                                             "--scrub-rate",
                                             "1048576",
                                             "--max-partitions",
                                             "100",
                                             "--max-sessions",
                                             "5000",
                                             "--prepare-journal",
                                             "--record-disk",
                                             "/r"})
                                  .value();
  EXPECT_EQ(options.data_directory, "/d");
  EXPECT_FALSE(options.memory_only);
  EXPECT_EQ(options.ports, (Words{"a", "b"}));
  EXPECT_EQ(options.listeners, (Words{"514=syslog", "8125=statsd,framing=lines"}));
  EXPECT_EQ(options.cpus, (std::vector<std::uint32_t>{0, 3}));
  EXPECT_EQ(options.profile, Profile::dedicated);
  EXPECT_EQ(options.journal_bytes, 1ULL << 30);
  EXPECT_EQ(options.tail_bytes, 32ULL << 20);
  EXPECT_EQ(options.scrub_bytes_per_s, 1ULL << 20);
  EXPECT_EQ(options.partitions_max, 100U);
  EXPECT_EQ(options.sessions_max, 5000U);
  EXPECT_TRUE(options.prepare_whole_journal);
  EXPECT_EQ(options.recording_directory, "/r");
}

TEST(Options, what_is_wrong_is_named) {
  const std::map<std::string, Words> wrong = {
      {"--link", {"--memory-only", "--port", "p"}},
      {"--data", {"--link", "/l", "--port", "p"}},
      {"either --data DIR or --memory-only", with({"--data", "/d"})},
      {"--port", {"--link", "/l", "--memory-only"}},
      {"--cores 'x'", with({"--cores", "x"})},
      {"--cores '4096'", with({"--cores", "4096"})},
      {"at most 16", with({"--cores", "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16"})},
      {"--profile fast", with({"--profile", "fast"})},
      {"--journal-size 1000", with({"--journal-size", "1000"})},
      {"--journal-size 33554433", with({"--journal-size", "33554433"})},
      {"--tail-size 4096", with({"--tail-size", "4096"})},
      {"--tail-size -1", with({"--tail-size", "-1"})},
      {"larger than --journal-size",
       with({"--tail-size", "67108864", "--journal-size", "33554432"})},
      {"--max-partitions 0", with({"--max-partitions", "0"})},
      {"--max-sessions 0", with({"--max-sessions", "0"})},
      {"--max-partitions 32769", with({"--max-partitions=32769"})},
      {"unknown flag --colour", with({"--colour", "red"})},
      {"--listen needs a value", with({"--listen"})},
  };
  for (const auto& [text, words] : wrong) {
    const auto parsed = parse_options(words);
    ASSERT_FALSE(parsed.has_value()) << text;
    EXPECT_NE(parsed.error().message().find(text), std::string::npos)
        << "wanted '" << text << "', got '" << parsed.error().message() << "'";
  }
}

}  // namespace
}  // namespace millrace::core

// Sizes, durations and core lists: what is taken and what is refused with which words.
#include "control/config/parse.h"

#include <gtest/gtest.h>

#include <string>

namespace millrace::control {
namespace {

TEST(ParseBytes, takes_whole_numbers_with_binary_units) {
  EXPECT_EQ(*parse_bytes("1B"), 1U);
  EXPECT_EQ(*parse_bytes("64KiB"), 65'536U);
  EXPECT_EQ(*parse_bytes("512MiB"), 536'870'912U);
  EXPECT_EQ(*parse_bytes("1GiB"), 1'073'741'824U);
  EXPECT_EQ(*parse_bytes("2TiB"), 2'199'023'255'552U);
}

TEST(ParseBytes, refuses_what_has_no_unit_or_another_and_says_what_would_be_right) {
  for (const char* text : {"", "1", "GiB", "1GB", "1gib", "1 GiB", "-1GiB", "1.5GiB", "1GiBx"}) {
    const auto bytes = parse_bytes(text);
    ASSERT_FALSE(bytes) << text;
    EXPECT_NE(bytes.error().message().find("\"1GiB\""), std::string_view::npos) << text;
  }
}

TEST(ParseBytes, refuses_what_does_not_fit_64_bits) {
  EXPECT_FALSE(parse_bytes("16777216TiB"));
  EXPECT_TRUE(parse_bytes("16777215TiB"));
  EXPECT_FALSE(parse_bytes("99999999999999999999B"));
}

TEST(ParseBytes, does_not_repeat_control_characters_of_its_input) {
  const auto bytes = parse_bytes("\x1b[31m1GiB");
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().message().find('\x1b'), std::string_view::npos);
}

TEST(ParseDuration, takes_each_unit) {
  EXPECT_EQ(*parse_duration_ns("7ns"), 7U);
  EXPECT_EQ(*parse_duration_ns("250us"), 250'000U);
  EXPECT_EQ(*parse_duration_ns("100ms"), 100'000'000U);
  EXPECT_EQ(*parse_duration_ns("30s"), 30'000'000'000U);
  EXPECT_EQ(*parse_duration_ns("5m"), 300'000'000'000U);
  EXPECT_EQ(*parse_duration_ns("7d"), 604'800'000'000'000U);
  EXPECT_EQ(*parse_duration_ns("1h"), 3'600'000'000'000U);
  EXPECT_FALSE(parse_duration_ns("30"));
  EXPECT_FALSE(parse_duration_ns("30 s"));
}

TEST(ParseWhole, takes_digits_up_to_the_limit_and_nothing_else) {
  EXPECT_EQ(*parse_whole("65535", 65'535), 65'535U);
  for (const char* text : {"65536", "", "-1", "+1", "1 ", "0x10"}) {
    EXPECT_FALSE(parse_whole(text, 65'535)) << text;
  }
}

TEST(ParseCores, takes_a_list_of_different_processors) {
  EXPECT_EQ(*parse_cores("0"), (std::vector<std::uint32_t>{0}));
  EXPECT_EQ(*parse_cores("3,1"), (std::vector<std::uint32_t>{3, 1}));
  for (const char* text : {"", ",", "0,", "0,0", "a", "0-3", "1024"}) {
    EXPECT_FALSE(parse_cores(text)) << text;
  }
  EXPECT_FALSE(parse_cores("0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16"));
}

}  // namespace
}  // namespace millrace::control

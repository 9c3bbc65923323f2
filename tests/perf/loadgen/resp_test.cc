#include "perf/loadgen/drivers/resp.h"

#include <gtest/gtest.h>

#include <array>

namespace millrace::loadgen {
namespace {

TEST(Resp, a_reply_is_read_with_all_its_elements) {
  std::vector<RespNode> nodes;
  constexpr std::string_view bytes = "*3\r\n$3\r\nkey\r\n*2\r\n:-7\r\n$-1\r\n+OK\r\n+next\r\n";
  EXPECT_EQ(read_resp(bytes, nodes), static_cast<std::int64_t>(bytes.find("+next")));
  ASSERT_EQ(nodes.size(), 6U);
  EXPECT_EQ(nodes[1].text, "key");
  EXPECT_EQ(nodes[2].count, 2);
  EXPECT_EQ(nodes[3].count, -7);
  EXPECT_EQ(nodes[4].count, -1);
  EXPECT_EQ(nodes[5].text, "OK");
}

TEST(Resp, what_is_not_all_there_is_waited_for) {
  std::vector<RespNode> nodes;
  const std::string bytes = "*2\r\n$5\r\nab\r\nc\r\n:1\r\n";
  for (std::size_t count = 0; count < bytes.size(); ++count) {
    EXPECT_EQ(read_resp(bytes.substr(0, count), nodes), 0) << count;
  }
  EXPECT_EQ(read_resp(bytes, nodes), static_cast<std::int64_t>(bytes.size()));
  EXPECT_EQ(nodes[1].text, "ab\r\nc");
}

TEST(Resp, what_is_no_reply_is_told) {
  std::vector<RespNode> nodes;
  EXPECT_EQ(read_resp("HTTP/1.1 400\r\n", nodes), -1);
  EXPECT_EQ(read_resp(":1x\r\n", nodes), -1);
  EXPECT_EQ(read_resp("\r\n", nodes), -1);
  EXPECT_EQ(read_resp("*9223372036854775807\r\n", nodes), -1);
  EXPECT_EQ(read_resp("$9223372036854775807\r\n", nodes), -1);
  EXPECT_EQ(read_resp("$-2\r\n", nodes), -1);
  EXPECT_EQ(read_resp("*-2\r\n", nodes), -1);
  EXPECT_EQ(read_resp("$1\r\nabc", nodes), -1);
  EXPECT_EQ(read_resp("+" + std::string(1 << 16, 'x'), nodes), -1);
  EXPECT_EQ(read_resp("$536870912\r\n", nodes), 0);
  EXPECT_EQ(read_resp("$536870913\r\n", nodes), -1);
}

TEST(Resp, a_command_counts_its_words_and_their_bytes) {
  std::string out;
  write_resp(out, std::array<std::string_view, 2>{"RPUSH", "a\r\nb"});
  EXPECT_EQ(out, "*2\r\n$5\r\nRPUSH\r\n$4\r\na\r\nb\r\n");
}

}  // namespace
}  // namespace millrace::loadgen

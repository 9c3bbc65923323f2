// The configuration file: everything that can be said, and where each mistake is reported.
#include "control/config/node_config.h"

#include <gtest/gtest.h>

#include <string>

namespace millrace::control {
namespace {

std::string error_of(const char* text) {
  const auto config = parse_node_config(text, "m.toml");
  return config ? "no error" : std::string(config.error().message());
}

void expect_error(const char* text, const std::string& place, const std::string& words) {
  const std::string error = error_of(text);
  EXPECT_EQ(error.rfind("m.toml:" + place + ": ", 0), 0U) << error;
  EXPECT_NE(error.find(words), std::string::npos) << error;
}

TEST(NodeConfig, reads_everything_that_can_be_said) {
  const auto config = parse_node_config(R"(
[node]
data = "/srv/m"
port_offset = 10
profile = "dedicated"
cores = "0,1"
auto_create_topics = true
max_sessions = 5000
[storage]
journal_size = "2GiB"
tail_size = "32MiB"
scrub_rate = "1GiB"
[admin]
address = "127.0.0.2"
port = 9000
[[port]]
spec = "udp:0.0.0.0:7070"
[[port]]
spec = "af_xdp:iface=eth1,ip=10.0.0.1"
[[listener]]
port = 514
topic = "syslog"
framing = "lines"
key = "source"
partitions = 4
)",
                                        "m.toml");
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(config->data, "/srv/m");
  EXPECT_EQ(config->port_offset, 10);
  EXPECT_EQ(config->profile, "dedicated");
  EXPECT_EQ(config->cores, "0,1");
  EXPECT_TRUE(config->auto_create_topics);
  EXPECT_EQ(config->sessions_max, 5000);
  EXPECT_EQ(config->journal_bytes, 2ULL << 30);
  EXPECT_EQ(config->tail_bytes, 32ULL << 20);
  EXPECT_EQ(config->scrub_bytes_per_s, 1ULL << 30);
  EXPECT_EQ(config->admin_address, "127.0.0.2");
  EXPECT_EQ(config->admin_port, 9000);
  ASSERT_EQ(config->ports.size(), 2U);
  EXPECT_EQ(config->ports[1], "af_xdp:iface=eth1,ip=10.0.0.1");
  ASSERT_EQ(config->listeners.size(), 1U);
  EXPECT_EQ(config->listeners[0].framing, "lines");
  EXPECT_EQ(config->listeners[0].key, "source");
  EXPECT_EQ(config->listeners[0].partition_count, 4U);
}

TEST(NodeConfig, of_an_empty_file_is_all_defaults) {
  const auto config = parse_node_config("", "m.toml");
  ASSERT_TRUE(config);
  EXPECT_FALSE(config->data.has_value());
  EXPECT_EQ(config->admin_port, admin_port_default);
}

TEST(NodeConfig, names_line_and_column_of_an_unknown_key) {
  expect_error("[node]\n  dta = \"x\"\n", "2:3", "unknown key \"dta\" in [node]; known: data");
  expect_error("[nod]\n", "1:2", "unknown key \"nod\"");
  expect_error("\nport_offset = 1\n", "2:1", "unknown key");
  expect_error("[[listener]]\nport = 1\ntopic = \"a\"\nframe = \"x\"\n", "4:1", "known: port");
}

TEST(NodeConfig, names_line_and_column_of_a_bad_unit_and_what_would_be_right) {
  expect_error("[storage]\njournal_size = \"1GB\"\n", "2:16", "as in \"1GiB\"");
  expect_error("[storage]\njournal_size = 1024\n", "2:16", "as in \"1GiB\"");
  expect_error("[storage]\n\ntail_size = \"1B\"\n", "3:13", "4MiB to 64GiB");
}

TEST(NodeConfig, names_line_and_column_of_a_wrong_type_or_range) {
  expect_error("[node]\nport_offset = 99999\n", "2:15", "0 to 50000");
  expect_error("[node]\nport_offset = \"1\"\n", "2:15", "whole number");
  expect_error("[node]\nmemory_only = 1\n", "2:15", "true or false");
  expect_error("[node]\ndata = \"\"\n", "2:8", "must not be empty");
  expect_error("[node]\nprofile = \"fast\"\n", "2:11", "laptop");
  expect_error("[admin]\nport = 0\n", "2:8", "1 to 65535");
  expect_error("[[port]]\nspec = \"tcp:x\"\n", "2:8", "no known kind");
  expect_error("[[listener]]\nport = 1\ntopic = \"a b\"\n", "3:9", "a-z A-Z 0-9");
  expect_error("[[listener]]\nport = 1\ntopic = \"a\"\nkey = \"bytes:1\"\n", "4:7", "OFFSET");
}

TEST(NodeConfig, says_what_is_missing_and_how_a_section_is_written) {
  expect_error("[[listener]]\nport = 514\n", "1:1", "topic: is missing");
  expect_error("[[port]]\n", "1:1", "spec: is missing");
  expect_error("[port]\nspec = \"udp:0.0.0.0:1\"\n", "1:1", "[[port]]");
  expect_error("node = 3\n", "1:8", "[node]");
}

TEST(NodeConfig, names_line_and_column_of_broken_toml) {
  expect_error("[node]\ndata = \n", "2:8", "");
  expect_error("[node\n", "1:6", "");
}

TEST(NodeConfig, of_a_file_that_is_not_there_is_an_error_with_its_name) {
  const auto config = load_node_config("/no/such/millrace.toml");
  ASSERT_FALSE(config);
  EXPECT_NE(config.error().message().find("/no/such/millrace.toml"), std::string_view::npos);
}

}  // namespace
}  // namespace millrace::control

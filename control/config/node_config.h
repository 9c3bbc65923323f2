// NodeConfig: everything `millrace up` can be told, from a TOML file and from flags.
//
//   [node]      data = "/var/lib/millrace"  memory_only = false  port_offset = 0
//               profile = "laptop" | "dedicated"  cores = "0,1"  auto_create_topics = false
//               max_sessions = 1024
//   [storage]   journal_size = "1GiB"  tail_size = "32MiB"  data_max = "1TiB"
//               disk_reserve = "1GiB"  scrub_rate = "8MiB"
//   [admin]     address = "127.0.0.1"  port = 9644
//   [[port]]    spec = "udp:0.0.0.0:7070"
//   [[listener]] port = 514  topic = "syslog"  framing = "datagram" | "lines"
//               key = "none" | "source" | "bytes:OFFSET:LENGTH"  partitions = 1
//
// Every key is optional but spec, and a listener's port and topic. An unknown key is an error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/result.h"

namespace millrace::control {

inline constexpr int native_port_default = 7070;
inline constexpr int admin_port_default = 9644;
inline constexpr int port_offset_max = 50'000;
inline constexpr int sessions_limit = 32'768;
inline constexpr std::uint64_t journal_bytes_min = 64ULL << 20;
inline constexpr std::uint64_t journal_bytes_max = 16ULL << 40;
inline constexpr std::uint64_t tail_bytes_min = 4ULL << 20;
inline constexpr std::uint64_t tail_bytes_max = 64ULL << 30;

// A UDP port whose datagrams become records of a topic.
struct Listener {
  int port = 0;
  std::string topic;
  std::string framing = "datagram";
  std::string key = "none";
  std::uint32_t partition_count = 1;  // of the topic, when it has to be created
};

struct NodeConfig {
  std::optional<std::string> data;
  std::optional<bool> memory_only;
  std::optional<int> port_offset;
  std::optional<std::string> profile;
  std::optional<std::string> cores;
  bool auto_create_topics = false;
  std::optional<int> sessions_max;  // of native clients, on each core
  std::optional<std::uint64_t> journal_bytes;
  std::optional<std::uint64_t> tail_bytes;
  std::optional<std::uint64_t> data_bytes_max;
  std::optional<std::uint64_t> disk_reserve_bytes;
  std::optional<std::uint64_t> scrub_bytes_per_s;
  std::string admin_address = "127.0.0.1";
  int admin_port = admin_port_default;
  std::vector<std::string> ports;
  std::vector<Listener> listeners;
};

// Errors say "FILE:LINE:COLUMN: what is wrong, and what would be right".
base::Result<NodeConfig> load_node_config(const std::string& path);
// `name` stands for the file in errors.
base::Result<NodeConfig> parse_node_config(std::string_view text, const std::string& name);

// "PORT=TOPIC[,framing=...][,key=...][,partitions=N]", as the flag --listen takes it.
base::Result<Listener> parse_listener(std::string_view text);
// What millraced takes; its ports are shifted already, its topics exist already.
std::string listener_flag(const Listener& listener, int port_offset);

// "udp:ADDRESS:PORT" shifted by the offset; any other spec as it is.
base::Result<std::string> shifted_port_spec(const std::string& spec, int port_offset);

// One check for the file and the flags alike. Errors name the value and the limits.
base::Result<void> check_listener(const Listener& listener);
base::Result<void> check_port_spec(std::string_view spec);
base::Result<void> check_profile(std::string_view profile);
base::Result<void> check_journal_bytes(std::uint64_t bytes);
base::Result<void> check_tail_bytes(std::uint64_t bytes);
base::Result<void> check_data_bytes(std::uint64_t bytes);
base::Result<void> check_scrub_rate(std::uint64_t bytes_per_s);

}  // namespace millrace::control

// The checks that the file and the flags share, and the specs of ports and listeners. See
// node_config.h.
#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>

#include "control/catalog/topic.h"
#include "control/config/node_config.h"
#include "control/config/parse.h"
#include "dataplane/base/units.h"

namespace millrace::control {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr std::uint64_t record_bytes_max = 1 << 20;
constexpr std::string_view spec_kinds[] = {"udp:", "memif:", "af_xdp:", "pci:", "tap:", "pcap:"};

Error invalid(std::string_view what) { return Error(ErrorCode::invalid_argument, "{}", what); }

// "bytes:OFFSET:LENGTH" of each datagram or line.
bool is_byte_range(std::string_view key) {
  constexpr std::string_view prefix = "bytes:";
  if (!key.starts_with(prefix)) return false;
  key.remove_prefix(prefix.size());
  const auto colon = key.find(':');
  if (colon == std::string_view::npos) return false;
  const auto offset = parse_whole(key.substr(0, colon), record_bytes_max);
  const auto length = parse_whole(key.substr(colon + 1), record_bytes_max);
  return offset && length && *length > 0;
}

struct UdpSpec {
  std::string address;
  int port;
};

Result<UdpSpec> parse_udp_spec(std::string_view spec) {
  const std::string_view rest = spec.substr(4);
  const auto colon = rest.rfind(':');
  const std::string address(rest.substr(0, colon));
  in_addr parsed_address{};
  if (colon != std::string_view::npos &&
      inet_pton(AF_INET, address.c_str(), &parsed_address) == 1) {
    const auto port = parse_whole(rest.substr(colon + 1), 65'535);
    if (port && *port > 0) return UdpSpec{address, static_cast<int>(*port)};
  }
  return Error(ErrorCode::invalid_argument,
               "\"{}\" is not a UDP port: write udp:ADDRESS:PORT with an IPv4 address, as in "
               "\"udp:127.0.0.1:7070\"",
               spec.substr(0, 100));
}

}  // namespace

Result<void> check_listener(const Listener& listener) {
  if (listener.port < 1 || listener.port > 65'535) {
    return Error(ErrorCode::invalid_argument, "a listener's port is 1 to 65535, not {}",
                 listener.port);
  }
  if (const auto name = check_topic_name(listener.topic); !name) return name;
  if (listener.framing != "datagram" && listener.framing != "lines") {
    return invalid(R"(a listener's framing is "datagram" or "lines")");
  }
  if (listener.key != "none" && listener.key != "source" && !is_byte_range(listener.key)) {
    return invalid(R"(a listener's key is "none", "source" or "bytes:OFFSET:LENGTH")");
  }
  if (listener.partition_count < 1 || listener.partition_count > partitions_per_topic_max) {
    return Error(ErrorCode::invalid_argument, "a topic has 1 to {} partitions, not {}",
                 partitions_per_topic_max, listener.partition_count);
  }
  return {};
}

Result<void> check_port_spec(std::string_view spec) {
  const bool is_known = std::any_of(std::begin(spec_kinds), std::end(spec_kinds),
                                    [&](std::string_view kind) { return spec.starts_with(kind); });
  if (!is_known) {
    return Error(ErrorCode::invalid_argument,
                 "port \"{}\" has no known kind: udp:ADDRESS:PORT, memif:, af_xdp:, pci:, tap: or "
                 "pcap:",
                 spec.substr(0, 100));
  }
  if (spec.starts_with("udp:")) {
    if (const auto udp = parse_udp_spec(spec); !udp) return udp.error();
  }
  return {};
}

Result<void> check_profile(std::string_view profile) {
  if (profile == "laptop" || profile == "dedicated") return {};
  return invalid(R"(profile is "laptop" (sleeps when idle) or "dedicated" (never sleeps))");
}

Result<void> check_journal_bytes(std::uint64_t bytes) {
  if (bytes >= journal_bytes_min && bytes <= journal_bytes_max) return {};
  return invalid("the journal's size is 64MiB to 16TiB");
}

Result<void> check_tail_bytes(std::uint64_t bytes) {
  if (bytes >= tail_bytes_min && bytes <= tail_bytes_max) return {};
  return invalid("the tail's size is 4MiB to 64GiB");
}

Result<void> check_data_bytes(std::uint64_t bytes) {
  if (bytes >= base::mib) return {};
  return invalid("what segments may take and what is kept free is at least 1MiB");
}

Result<void> check_scrub_rate(std::uint64_t bytes_per_s) {
  if (bytes_per_s == 0 || bytes_per_s >= 64 * base::kib) return {};
  return invalid("the scrub's rate, in a second, is at least 64KiB, or 0B for no scrub");
}

Result<Listener> parse_listener(std::string_view text) {
  const auto fail = [&] {
    return Error(ErrorCode::invalid_argument,
                 "\"{}\" is not a listener: write PORT=TOPIC and, after commas, framing=datagram|"
                 "lines, key=none|source|bytes:OFFSET:LENGTH, partitions=N",
                 text.substr(0, 100));
  };
  Listener listener;
  bool is_first = true;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string_view part = text.substr(at, comma - at);
    at = comma + 1;
    const auto equals = part.find('=');
    if (equals == std::string_view::npos) return fail();
    const std::string_view name = part.substr(0, equals);
    const std::string value(part.substr(equals + 1));
    if (is_first) {
      const auto port = parse_whole(name, 65'535);
      if (!port) return fail();
      listener.port = static_cast<int>(*port);
      listener.topic = value;
    } else if (name == "framing") {
      listener.framing = value;
    } else if (name == "key") {
      listener.key = value;
    } else if (name == "partitions") {
      const auto count = parse_whole(value, partitions_per_topic_max);
      if (!count) return fail();
      listener.partition_count = static_cast<std::uint32_t>(*count);
    } else {
      return fail();
    }
    is_first = false;
  }
  if (const auto checked = check_listener(listener); !checked) return checked.error();
  return listener;
}

std::string listener_flag(const Listener& listener, int port_offset) {
  return fmt::format("{}={},framing={},key={}", listener.port + port_offset, listener.topic,
                     listener.framing, listener.key);
}

Result<std::string> shifted_port_spec(const std::string& spec, int port_offset) {
  if (!spec.starts_with("udp:")) return spec;
  const auto udp = parse_udp_spec(spec);
  if (!udp) return udp.error();
  if (udp->port + port_offset > 65'535) {
    return Error(ErrorCode::invalid_argument, "{} shifted by port offset {} is past 65535", spec,
                 port_offset);
  }
  return fmt::format("udp:{}:{}", udp->address, udp->port + port_offset);
}

}  // namespace millrace::control

#include "dataplane/port/port_spec.h"

#include <fmt/format.h>

#include <charconv>

namespace millrace::port {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::uint32_t memif_server_ipv4 = 0xc0a84d01;  // 192.168.77.1
constexpr std::uint32_t memif_client_ipv4 = 0xc0a84d02;
constexpr std::uint32_t mtu_min = 576;  // what every IPv4 host takes (RFC 791)
constexpr std::uint32_t mtu_max = 9600;
constexpr std::uint32_t buffer_bytes_min = 1024;
constexpr std::uint32_t buffer_bytes_max = 16384;
constexpr std::uint32_t queue_count_max = 64;

struct KindWords {
  DeviceKind kind;
  std::string_view name;
  std::string_view driver;
  std::string_view keys;  // allowed, each between commas
};
constexpr std::array<KindWords, 6> kinds = {{
    {DeviceKind::memif, "memif", "net_memif", ",socket,id,role,ip,bsize,mtu,queues,mac,"},
    {DeviceKind::af_xdp, "af_xdp", "net_af_xdp", ",iface,ip,mtu,queues,"},
    {DeviceKind::tap, "tap", "net_tap", ",name,ip,mtu,queues,mac,"},
    {DeviceKind::pcap, "pcap", "net_pcap", ",rx,tx,ip,"},
    {DeviceKind::pci, "pci", "pci", ",ip,mtu,queues,"},
    {DeviceKind::null, "null", "net_null", ",ip,mtu,queues,"},
}};

const KindWords* words_of(std::string_view name) {
  for (const KindWords& words : kinds) {
    if (words.name == name) return &words;
  }
  return nullptr;
}

bool is_pci_address(std::string_view text) {  // dddd:bb:dd.f
  if (text.size() != 12) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool colon = i == 4 || i == 7;
    const bool hex = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f') ||
                     (text[i] >= 'A' && text[i] <= 'F');
    if (colon ? text[i] != ':' : i == 10 ? text[i] != '.' : !hex) return false;
  }
  return true;
}

Result<std::uint32_t> parse_number(std::string_view key, std::string_view value, std::uint32_t min,
                                   std::uint32_t max) {
  std::uint32_t number = 0;
  const auto [end, status] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (status != std::errc() || end != value.data() + value.size() || number < min || number > max) {
    return Error(ErrorCode::invalid_argument, "port spec: {}={}: a number from {} to {} is needed",
                 key, value, min, max);
  }
  return number;
}

std::optional<std::array<std::uint8_t, 6>> parse_mac(std::string_view text) {
  if (text.size() != 17) return std::nullopt;
  std::array<std::uint8_t, 6> mac{};
  for (std::size_t i = 0; i < 6; ++i) {
    const char* at = text.data() + i * 3;
    const auto [end, status] = std::from_chars(at, at + 2, mac[i], 16);
    if (status != std::errc() || end != at + 2 || (i < 5 && at[2] != ':')) return std::nullopt;
  }
  return (mac[0] & 1) != 0 ? std::nullopt : std::optional(mac);
}

Result<void> set_number(std::string_view key, std::string_view value, std::uint32_t min,
                        std::uint32_t max, std::uint32_t& into) {
  auto number = parse_number(key, value, min, max);
  if (!number) return number.error();
  into = *number;
  return {};
}

Result<void> set_key(PortSpec& spec, std::string_view key, std::string_view value) {
  if (value.empty()) {
    return Error(ErrorCode::invalid_argument, "port spec: {}= has no value", key);
  }
  if (key == "ip") {
    const auto ipv4 = parse_ipv4(value);
    if (!ipv4) {
      return Error(ErrorCode::invalid_argument, "port spec: ip={} is not an IPv4 address", value);
    }
    spec.ipv4 = *ipv4;
  } else if (key == "mtu") {
    return set_number(key, value, mtu_min, mtu_max, spec.mtu);
  } else if (key == "bsize") {
    return set_number(key, value, buffer_bytes_min, buffer_bytes_max, spec.buffer_bytes);
  } else if (key == "id") {
    return set_number(key, value, 0, 0xffff'ffff, spec.memif_id);
  } else if (key == "queues") {
    auto number = parse_number(key, value, 1, queue_count_max);
    if (!number) return number.error();
    spec.queue_count = static_cast<std::uint16_t>(*number);
  } else if (key == "mac") {
    spec.mac = parse_mac(value);
    if (!spec.mac) {
      return Error(ErrorCode::invalid_argument,
                   "port spec: mac={} is not the address of one station, as 02:00:00:00:00:01",
                   value);
    }
  } else if (key == "role") {
    if (value != "server" && value != "client") {
      return Error(ErrorCode::invalid_argument, "port spec: role={}: server or client", value);
    }
    spec.role = value == "server" ? MemifRole::server : MemifRole::client;
  } else {
    const std::string text(value);
    if (key == "socket") spec.socket_path = text;
    if (key == "iface" || key == "name") spec.interface = text;
    if (key == "rx") spec.rx_file = text;
    if (key == "tx") spec.tx_file = text;
  }
  return {};
}

Result<void> check_complete(const PortSpec& spec) {
  const auto missing = [&](std::string_view key) {
    return Error(ErrorCode::invalid_argument,
                 "port spec: {}: needs {}=", device_kind_name(spec.kind), key);
  };
  if (spec.kind == DeviceKind::memif && spec.socket_path.empty()) return missing("socket");
  if (spec.kind == DeviceKind::af_xdp && spec.interface.empty()) return missing("iface");
  if (spec.kind == DeviceKind::tap && spec.interface.empty()) return missing("name");
  if (spec.kind == DeviceKind::pcap && spec.rx_file.empty()) return missing("rx");
  if (spec.kind != DeviceKind::null && spec.ipv4 == 0) return missing("ip");
  return {};
}

}  // namespace

Result<PortSpec> parse_port_spec(std::string_view text) {
  const auto colon = text.find(':');
  const KindWords* words = words_of(text.substr(0, colon));
  if (words == nullptr || colon == std::string_view::npos) {
    return Error(ErrorCode::invalid_argument,
                 "port spec '{}': starts with none of memif: af_xdp: tap: pcap: pci: null:", text);
  }
  PortSpec spec;
  spec.kind = words->kind;
  std::string_view rest = text.substr(colon + 1);
  if (spec.kind == DeviceKind::pci) {
    spec.pci_address = std::string(rest.substr(0, rest.find(',')));
    if (!is_pci_address(spec.pci_address)) {
      return Error(ErrorCode::invalid_argument,
                   "port spec: '{}' is not a PCI address, as pci:0000:00:05.0", spec.pci_address);
    }
    rest.remove_prefix(std::min(rest.size(), spec.pci_address.size() + 1));
  }
  while (!rest.empty()) {
    const std::string_view word = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), word.size() + 1));
    const auto equals = word.find('=');
    const std::string_view key = word.substr(0, equals);
    if (equals == std::string_view::npos ||
        words->keys.find(fmt::format(",{},", key)) == std::string_view::npos) {
      return Error(ErrorCode::invalid_argument, "port spec: '{}' is no part of {}:; it takes {}",
                   word, words->name, words->keys.substr(1, words->keys.size() - 2));
    }
    if (auto set = set_key(spec, key, word.substr(equals + 1)); !set) return set.error();
  }
  if (spec.kind == DeviceKind::memif && spec.ipv4 == 0) {
    spec.ipv4 = spec.role == MemifRole::server ? memif_server_ipv4 : memif_client_ipv4;
  }
  if (auto complete = check_complete(spec); !complete) return complete.error();
  return spec;
}

std::string_view device_kind_name(DeviceKind kind) {
  return kinds[static_cast<std::size_t>(kind)].name;
}

std::string_view driver_name(DeviceKind kind) {
  return kinds[static_cast<std::size_t>(kind)].driver;
}

std::optional<std::uint32_t> parse_ipv4(std::string_view text) {
  std::uint32_t ipv4 = 0;
  const char* at = text.data();
  const char* const end = at + text.size();
  for (int part = 0; part < 4; ++part) {
    if (part > 0 && (at == end || *at++ != '.')) return std::nullopt;
    std::uint8_t number = 0;
    const auto [next, status] = std::from_chars(at, end, number);
    if (status != std::errc()) return std::nullopt;
    at = next;
    ipv4 = (ipv4 << 8) | number;
  }
  return at == end ? std::optional(ipv4) : std::nullopt;
}

std::string format_ipv4(std::uint32_t ipv4) {
  return fmt::format("{}.{}.{}.{}", ipv4 >> 24, (ipv4 >> 16) & 0xff, (ipv4 >> 8) & 0xff,
                     ipv4 & 0xff);
}

}  // namespace millrace::port

#include "dataplane/client/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <charconv>
#include <cstring>

#include "dataplane/protocol/native/codec.h"

namespace millrace::client {

namespace {

constexpr std::string_view server_key = "server=";
constexpr std::uint32_t memif_server_ipv4 = 0xC0A8'4D01;  // 192.168.77.1, a memif server's default

base::Result<std::uint32_t> look_up(std::string_view host) {
  const std::string name(host);
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(name.c_str(), nullptr, &hints, &found);
  if (error != 0)
    return base::Error(base::ErrorCode::invalid_argument, "address: host '{}': {}", host,
                       gai_strerror(error));
  sockaddr_in address{};
  std::memcpy(&address, found->ai_addr, sizeof address);
  freeaddrinfo(found);
  return ntohl(address.sin_addr.s_addr);
}

base::Result<base::Endpoint> parse_endpoint(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0)
    return base::Error(base::ErrorCode::invalid_argument,
                       "address: '{}' is not HOST:PORT, as in 127.0.0.1:7070", text);
  const std::string_view digits = text.substr(colon + 1);
  std::uint16_t udp_port = 0;
  const auto [end, status] =
      std::from_chars(digits.data(), digits.data() + digits.size(), udp_port);
  if (status != std::errc() || end != digits.data() + digits.size() || udp_port == 0)
    return base::Error(base::ErrorCode::invalid_argument,
                       "address: '{}' is not a UDP port (1 to 65535)", digits);
  const auto ipv4 = look_up(text.substr(0, colon));
  if (!ipv4) return ipv4.error();
  return base::Endpoint{*ipv4, udp_port, 0, {}};
}

bool is_device(std::string_view kind) {
  for (const std::string_view device : {"memif", "af_xdp", "tap", "pcap", "pci", "null"})
    if (kind == device) return true;
  return false;
}

// A port's settings with one of ours among them.
base::Result<Address> parse_device(std::string_view kind, std::string_view text) {
  Address address;
  std::string_view server;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string_view word = text.substr(at, comma - at);
    if (word.starts_with(server_key)) {
      server = word.substr(server_key.size());
    } else {
      if (!address.port_spec.empty()) address.port_spec += ',';
      address.port_spec += word;
    }
    at = comma + 1;
  }
  const bool memif = kind == "memif";
  if (memif && text.find("role=") == std::string_view::npos) address.port_spec += ",role=client";
  if (server.empty() && !memif)
    return base::Error(base::ErrorCode::invalid_argument,
                       "address: server=IP:PORT is missing in "
                       "'{}'",
                       text);
  if (server.empty()) {
    address.server = {memif_server_ipv4, native::default_udp_port, 0, {}};
    return address;
  }
  const auto endpoint = parse_endpoint(server);
  if (!endpoint) return endpoint.error();
  address.server = *endpoint;
  return address;
}

}  // namespace

base::Result<Address> parse_address(std::string_view text) {
  const std::string_view kind = text.substr(0, text.find(':'));
  if (is_device(kind)) return parse_device(kind, text);
  if (kind == "udp" && text.find(':') != text.rfind(':')) text.remove_prefix(kind.size() + 1);
  const auto endpoint = parse_endpoint(text);
  if (!endpoint) return endpoint.error();
  return Address{*endpoint, {}};
}

}  // namespace millrace::client

// Endpoint: where a datagram came from or goes to, whatever carries it.
#pragma once

#include <array>
#include <cstdint>

namespace millrace::base {

struct Endpoint {
  std::uint32_t ipv4 = 0;             // host byte order
  std::uint16_t udp_port = 0;         // host byte order
  std::uint16_t port_index = 0;       // which of the core's ports reaches it
  std::array<std::uint8_t, 6> mac{};  // next hop on an Ethernet port; zero on a kernel port

  friend bool operator==(const Endpoint& a, const Endpoint& b) {
    return a.ipv4 == b.ipv4 && a.udp_port == b.udp_port && a.port_index == b.port_index;
  }
};

}  // namespace millrace::base

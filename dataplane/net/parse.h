// parse_frame: an Ethernet frame in, what it is to us out. Pure.
// Core:  any; keeps nothing.
// Step:  2 of the walk (dataplane/README.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/base/drop_reason.h"
#include "dataplane/base/endpoint.h"
#include "dataplane/net/headers.h"

namespace millrace::net {

// Who we are on one Ethernet port.
struct Identity {
  Mac mac{};
  std::uint32_t ipv4 = 0;  // host byte order
};

enum class FrameKind : std::uint8_t {
  udp,          // payload is the UDP payload; peer and local_port are set
  arp_request,  // someone asks for our MAC; answer peer with write_arp_reply
  arp_reply,    // peer.ipv4 is at peer.mac; for ArpResolver
  icmp_echo,    // payload is the ICMP message; answer peer with write_icmp_echo_reply
  dropped,      // reason says why; nothing else is set
};

struct Parsed {
  FrameKind kind = FrameKind::dropped;
  base::DropReason reason = base::DropReason::none;
  std::uint16_t local_port = 0;        // UDP port it was sent to
  base::Endpoint peer;                 // its sender; port_index is left 0 for the caller to set
  std::span<const std::byte> payload;  // a view into the frame
};

// checksum_good: the NIC has verified the IPv4 header and UDP checksums, so they are not computed
// again. A NIC that calls them bad is not believed: software looks and gives the exact reason.
Parsed parse_frame(std::span<const std::byte> frame, const Identity& identity, bool checksum_good);

}  // namespace millrace::net

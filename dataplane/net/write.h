// Frame writers: the headers of what we send, into a transmit frame's memory. Pure.
//
// Each returns the bytes of the whole frame. Frames may be shorter than Ethernet's 60 bytes; the
// device pads them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/base/endpoint.h"
#include "dataplane/net/parse.h"

namespace millrace::net {

// Ethernet, IPv4 and UDP headers: udp_headers_bytes (42) before a payload of payload_bytes, which
// the caller writes after them. The UDP checksum is 0, "none", as RFC 768 allows over IPv4: every
// batch carries its own CRC32C, Ethernet its FCS, and summing the payload would cost more than the
// rest of the send. Not for payloads that would make the IPv4 packet larger than 65,535 bytes.
std::uint32_t write_udp_headers(std::byte* frame, const Identity& identity,
                                const base::Endpoint& to, std::uint16_t local_port,
                                std::uint32_t payload_bytes);

// "identity.ipv4 is at identity.mac", to who asked; arp_frame_bytes.
std::uint32_t write_arp_reply(std::byte* frame, const Identity& identity,
                              const base::Endpoint& asker);

// "who has target_ipv4", to everyone; arp_frame_bytes.
std::uint32_t write_arp_request(std::byte* frame, const Identity& identity,
                                std::uint32_t target_ipv4);

// The echo of `request` (Parsed::payload of an icmp_echo) to its sender. 0, and nothing written,
// when it does not fit in `frame`.
std::uint32_t write_icmp_echo_reply(std::span<std::byte> frame, const Identity& identity,
                                    const base::Endpoint& to, std::span<const std::byte> request);

}  // namespace millrace::net

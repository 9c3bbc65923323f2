// Wire headers: Ethernet, 802.1Q, ARP, IPv4, UDP and ICMP as they lie in a frame.
//
// Sources: IEEE 802.3 and 802.1Q, RFC 826 (ARP), RFC 791 (IPv4), RFC 768 (UDP), RFC 792 (ICMP).
// Every field is bytes in network order, so a header may lie at any address.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/base/wire.h"

namespace millrace::net {

using Mac = std::array<std::uint8_t, 6>;

inline constexpr Mac broadcast_mac = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

constexpr bool is_group_mac(const Mac& mac) { return (mac[0] & 1) != 0; }  // multicast, broadcast

template <typename T>
struct BigEndian {
  std::array<std::byte, sizeof(T)> bytes;

  T get() const { return base::load_be<T>(bytes.data()); }
  void set(T value) { base::store_be<T>(bytes.data(), value); }
};

struct EthernetHeader {
  Mac destination;
  Mac source;
  BigEndian<std::uint16_t> ethertype;
};
static_assert(sizeof(EthernetHeader) == 14 && alignof(EthernetHeader) == 1);

inline constexpr std::uint16_t ethertype_ipv4 = 0x0800;
inline constexpr std::uint16_t ethertype_arp = 0x0806;
inline constexpr std::uint16_t ethertype_vlan = 0x8100;

struct VlanTag {
  BigEndian<std::uint16_t> control;  // priority, drop eligible, VLAN id
  BigEndian<std::uint16_t> ethertype;
};
static_assert(sizeof(VlanTag) == 4);

struct ArpPacket {
  BigEndian<std::uint16_t> hardware_type;
  BigEndian<std::uint16_t> protocol_type;
  std::uint8_t hardware_bytes;
  std::uint8_t protocol_bytes;
  BigEndian<std::uint16_t> operation;
  Mac sender_mac;
  BigEndian<std::uint32_t> sender_ipv4;
  Mac target_mac;
  BigEndian<std::uint32_t> target_ipv4;
};
static_assert(sizeof(ArpPacket) == 28 && offsetof(ArpPacket, sender_ipv4) == 14);

inline constexpr std::uint16_t arp_hardware_ethernet = 1;
inline constexpr std::uint16_t arp_operation_request = 1;
inline constexpr std::uint16_t arp_operation_reply = 2;

struct Ipv4Header {
  std::uint8_t version_and_words;  // version 4 in the high half, header length in 32-bit words
  std::uint8_t service;
  BigEndian<std::uint16_t> total_bytes;
  BigEndian<std::uint16_t> identification;
  BigEndian<std::uint16_t> fragment;  // flags and offset
  std::uint8_t hops;
  std::uint8_t protocol;
  BigEndian<std::uint16_t> checksum;
  BigEndian<std::uint32_t> source;
  BigEndian<std::uint32_t> destination;
};
static_assert(sizeof(Ipv4Header) == 20 && offsetof(Ipv4Header, source) == 12);

inline constexpr std::uint8_t ip_protocol_icmp = 1;
inline constexpr std::uint8_t ip_protocol_udp = 17;
inline constexpr std::uint16_t ipv4_dont_fragment = 0x4000;
inline constexpr std::uint16_t ipv4_fragment_mask = 0x3fff;  // more-fragments and the offset

struct UdpHeader {
  BigEndian<std::uint16_t> source_port;
  BigEndian<std::uint16_t> destination_port;
  BigEndian<std::uint16_t> bytes;  // header and payload
  BigEndian<std::uint16_t> checksum;
};
static_assert(sizeof(UdpHeader) == 8);

struct IcmpHeader {
  std::uint8_t type;
  std::uint8_t code;
  BigEndian<std::uint16_t> checksum;
  BigEndian<std::uint32_t> rest;  // of an echo: identifier and sequence
};
static_assert(sizeof(IcmpHeader) == 8);

inline constexpr std::uint8_t icmp_echo_reply = 0;
inline constexpr std::uint8_t icmp_echo_request = 8;

// What stands before the payload of every UDP frame we build.
inline constexpr std::uint32_t udp_headers_bytes =
    sizeof(EthernetHeader) + sizeof(Ipv4Header) + sizeof(UdpHeader);
static_assert(udp_headers_bytes == 42);

inline constexpr std::uint32_t arp_frame_bytes = sizeof(EthernetHeader) + sizeof(ArpPacket);

}  // namespace millrace::net

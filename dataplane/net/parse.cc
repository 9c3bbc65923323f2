#include "dataplane/net/parse.h"

#include "dataplane/net/checksum.h"

namespace millrace::net {
namespace {

using base::DropReason;

template <typename Header>
const Header& header_at(std::span<const std::byte> bytes) {
  return *reinterpret_cast<const Header*>(bytes.data());
}

// Each fills `parsed` once all is known to be right; else it says why not.
DropReason parse_arp(std::span<const std::byte> body, const Identity& identity, Parsed& parsed) {
  if (body.size() < sizeof(ArpPacket)) return DropReason::truncated_frame;
  const auto& arp = header_at<ArpPacket>(body);
  const std::uint16_t operation = arp.operation.get();
  if (arp.hardware_type.get() != arp_hardware_ethernet ||
      arp.protocol_type.get() != ethertype_ipv4 || arp.hardware_bytes != 6 ||
      arp.protocol_bytes != 4 || is_group_mac(arp.sender_mac) || arp.sender_mac == Mac{} ||
      (operation != arp_operation_request && operation != arp_operation_reply)) {
    return DropReason::bad_arp;
  }
  if (arp.target_ipv4.get() != identity.ipv4) return DropReason::not_for_us;
  parsed.kind = operation == arp_operation_request ? FrameKind::arp_request : FrameKind::arp_reply;
  parsed.peer.ipv4 = arp.sender_ipv4.get();
  parsed.peer.mac = arp.sender_mac;
  return DropReason::none;
}

DropReason parse_udp(std::span<const std::byte> body, const Ipv4Header& ip, const Mac& source_mac,
                     bool checksum_good, Parsed& parsed) {
  if (body.size() < sizeof(UdpHeader)) return DropReason::bad_udp_length;
  const auto& udp = header_at<UdpHeader>(body);
  const std::uint16_t udp_bytes = udp.bytes.get();
  if (udp_bytes < sizeof(UdpHeader) || udp_bytes > body.size()) [[unlikely]] {
    return DropReason::bad_udp_length;
  }
  // A checksum of zero says that the sender computed none (RFC 768).
  if (!checksum_good && udp.checksum.get() != 0 &&
      udp_checksum(ip.source.get(), ip.destination.get(), body.first(udp_bytes)) != 0) {
    return DropReason::bad_udp_checksum;
  }
  parsed.kind = FrameKind::udp;
  parsed.local_port = udp.destination_port.get();
  parsed.peer.ipv4 = ip.source.get();
  parsed.peer.udp_port = udp.source_port.get();
  parsed.peer.mac = source_mac;
  parsed.payload = body.subspan(sizeof(UdpHeader), udp_bytes - sizeof(UdpHeader));
  return DropReason::none;
}

DropReason parse_icmp(std::span<const std::byte> body, const Ipv4Header& ip, const Mac& source_mac,
                      Parsed& parsed) {
  if (body.size() < sizeof(IcmpHeader)) return DropReason::bad_icmp;
  if (internet_checksum(body) != 0) return DropReason::bad_icmp;
  const auto& icmp = header_at<IcmpHeader>(body);
  if (icmp.type != icmp_echo_request || icmp.code != 0) return DropReason::icmp_ignored;
  parsed.kind = FrameKind::icmp_echo;
  parsed.peer.ipv4 = ip.source.get();
  parsed.peer.mac = source_mac;
  parsed.payload = body;
  return DropReason::none;
}

// RFC 1122, 3.2.1.3: a source that is no single host is discarded. Answering it would answer many.
bool is_host_address(std::uint32_t ipv4) { return ipv4 != 0 && (ipv4 >> 28) < 0xe; }

DropReason parse_ipv4(std::span<const std::byte> body, const Identity& identity,
                      const EthernetHeader& ethernet, bool checksum_good, Parsed& parsed) {
  if (body.size() < sizeof(Ipv4Header)) return DropReason::truncated_frame;
  const auto& ip = header_at<Ipv4Header>(body);
  const std::uint32_t header_bytes = (ip.version_and_words & 0x0fU) * 4;
  const std::uint32_t total_bytes = ip.total_bytes.get();
  if ((ip.version_and_words >> 4) != 4 || header_bytes < sizeof(Ipv4Header) ||
      total_bytes < header_bytes) [[unlikely]] {
    return DropReason::bad_ip_header;
  }
  // Shorter is fine: Ethernet pads to 60 bytes.
  if (total_bytes > body.size()) return DropReason::truncated_frame;
  if (!checksum_good && internet_checksum(body.first(header_bytes)) != 0) {
    return DropReason::bad_ip_checksum;
  }
  if (ip.destination.get() != identity.ipv4) return DropReason::not_for_us;
  if (!is_host_address(ip.source.get())) return DropReason::bad_ip_header;
  if ((ip.fragment.get() & ipv4_fragment_mask) != 0) return DropReason::ip_fragment;

  const auto datagram = body.subspan(header_bytes, total_bytes - header_bytes);
  if (ip.protocol == ip_protocol_udp) [[likely]] {
    return parse_udp(datagram, ip, ethernet.source, checksum_good, parsed);
  }
  if (ip.protocol != ip_protocol_icmp) return DropReason::unknown_ip_protocol;
  // Echo is answered to one asker only: a broadcast ping is an amplifier.
  if (is_group_mac(ethernet.destination)) return DropReason::not_for_us;
  return parse_icmp(datagram, ip, ethernet.source, parsed);
}

DropReason parse_ethernet(std::span<const std::byte> frame, const Identity& identity,
                          bool checksum_good, Parsed& parsed) {
  if (frame.size() < sizeof(EthernetHeader)) return DropReason::truncated_frame;
  const auto& ethernet = header_at<EthernetHeader>(frame);
  if (ethernet.destination != identity.mac && !is_group_mac(ethernet.destination)) [[unlikely]] {
    return DropReason::not_for_us;
  }
  std::uint16_t ethertype = ethernet.ethertype.get();
  auto body = frame.subspan(sizeof(EthernetHeader));
  if (ethertype == ethertype_vlan) [[unlikely]] {
    if (body.size() < sizeof(VlanTag)) return DropReason::truncated_frame;
    ethertype = header_at<VlanTag>(body).ethertype.get();
    body = body.subspan(sizeof(VlanTag));
  }
  if (ethertype == ethertype_ipv4) [[likely]] {
    return parse_ipv4(body, identity, ethernet, checksum_good, parsed);
  }
  if (ethertype == ethertype_arp) return parse_arp(body, identity, parsed);
  return DropReason::unknown_ethertype;
}

}  // namespace

Parsed parse_frame(std::span<const std::byte> frame, const Identity& identity, bool checksum_good) {
  Parsed parsed;
  parsed.reason = parse_ethernet(frame, identity, checksum_good, parsed);
  return parsed;
}

}  // namespace millrace::net

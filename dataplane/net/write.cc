#include "dataplane/net/write.h"

#include <cstring>
#include <new>

#include "dataplane/base/check.h"
#include "dataplane/net/checksum.h"

namespace millrace::net {
namespace {

constexpr std::uint8_t hops_default = 64;

void write_ethernet(std::byte* frame, const Mac& to, const Mac& from, std::uint16_t ethertype) {
  auto* ethernet = new (frame) EthernetHeader;
  ethernet->destination = to;
  ethernet->source = from;
  ethernet->ethertype.set(ethertype);
}

// Identification is 0: it has a meaning only for fragments, and these may not be fragmented
// (RFC 6864). The checksum is summed from the fields, not read back from memory just written.
void write_ipv4(std::byte* at, std::uint32_t source, std::uint32_t destination,
                std::uint8_t protocol, std::uint32_t total_bytes) {
  CHECK(total_bytes <= 0xffff);
  auto* ip = new (at) Ipv4Header;
  ip->version_and_words = 0x45;
  ip->service = 0;
  ip->total_bytes.set(static_cast<std::uint16_t>(total_bytes));
  ip->identification.set(0);
  ip->fragment.set(ipv4_dont_fragment);
  ip->hops = hops_default;
  ip->protocol = protocol;
  ip->source.set(source);
  ip->destination.set(destination);
  const std::uint64_t sum = 0x4500U + total_bytes + ipv4_dont_fragment + (hops_default << 8) +
                            protocol + (source >> 16) + (source & 0xffff) + (destination >> 16) +
                            (destination & 0xffff);
  ip->checksum.set(static_cast<std::uint16_t>(~fold_sum(sum)));
}

std::uint32_t write_arp(std::byte* frame, const Identity& identity, const Mac& ethernet_to,
                        std::uint16_t operation, const Mac& target_mac, std::uint32_t target_ipv4) {
  write_ethernet(frame, ethernet_to, identity.mac, ethertype_arp);
  auto* arp = new (frame + sizeof(EthernetHeader)) ArpPacket;
  arp->hardware_type.set(arp_hardware_ethernet);
  arp->protocol_type.set(ethertype_ipv4);
  arp->hardware_bytes = 6;
  arp->protocol_bytes = 4;
  arp->operation.set(operation);
  arp->sender_mac = identity.mac;
  arp->sender_ipv4.set(identity.ipv4);
  arp->target_mac = target_mac;
  arp->target_ipv4.set(target_ipv4);
  return arp_frame_bytes;
}

}  // namespace

std::uint32_t write_udp_headers(std::byte* frame, const Identity& identity,
                                const base::Endpoint& to, std::uint16_t local_port,
                                std::uint32_t payload_bytes) {
  const auto udp_bytes = static_cast<std::uint32_t>(sizeof(UdpHeader) + payload_bytes);
  write_ethernet(frame, to.mac, identity.mac, ethertype_ipv4);
  frame += sizeof(EthernetHeader);
  write_ipv4(frame, identity.ipv4, to.ipv4, ip_protocol_udp, sizeof(Ipv4Header) + udp_bytes);
  auto* udp = new (frame + sizeof(Ipv4Header)) UdpHeader;
  udp->source_port.set(local_port);
  udp->destination_port.set(to.udp_port);
  udp->bytes.set(static_cast<std::uint16_t>(udp_bytes));
  udp->checksum.set(0);
  return udp_headers_bytes + payload_bytes;
}

std::uint32_t write_arp_reply(std::byte* frame, const Identity& identity,
                              const base::Endpoint& asker) {
  return write_arp(frame, identity, asker.mac, arp_operation_reply, asker.mac, asker.ipv4);
}

std::uint32_t write_arp_request(std::byte* frame, const Identity& identity,
                                std::uint32_t target_ipv4) {
  return write_arp(frame, identity, broadcast_mac, arp_operation_request, Mac{}, target_ipv4);
}

std::uint32_t write_icmp_echo_reply(std::span<std::byte> frame, const Identity& identity,
                                    const base::Endpoint& to, std::span<const std::byte> request) {
  CHECK(request.size() >= sizeof(IcmpHeader));
  constexpr std::size_t before = sizeof(EthernetHeader) + sizeof(Ipv4Header);
  if (frame.size() < before + request.size()) return 0;
  write_ethernet(frame.data(), to.mac, identity.mac, ethertype_ipv4);
  write_ipv4(frame.data() + sizeof(EthernetHeader), identity.ipv4, to.ipv4, ip_protocol_icmp,
             static_cast<std::uint32_t>(sizeof(Ipv4Header) + request.size()));
  const std::span<std::byte> message{frame.data() + before, request.size()};
  std::memcpy(message.data(), request.data(), request.size());
  auto* icmp = reinterpret_cast<IcmpHeader*>(message.data());
  icmp->type = icmp_echo_reply;
  icmp->checksum.set(0);
  icmp->checksum.set(internet_checksum(message));
  return static_cast<std::uint32_t>(before + request.size());
}

}  // namespace millrace::net

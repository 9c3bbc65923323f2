#include "dataplane/net/parse.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "dataplane/net/checksum.h"
#include "dataplane/net/write.h"

namespace millrace::net {
namespace {

using base::DropReason;
using Frame = std::vector<std::byte>;

const Identity us{.mac = {2, 0, 0, 0, 0, 1}, .ipv4 = 0x0a000001};
const Identity them{.mac = {2, 0, 0, 0, 0, 2}, .ipv4 = 0x0a000002};

base::Endpoint endpoint_of(const Identity& identity, std::uint16_t udp_port = 0) {
  base::Endpoint endpoint;
  endpoint.ipv4 = identity.ipv4;
  endpoint.udp_port = udp_port;
  endpoint.mac = identity.mac;
  return endpoint;
}

constexpr std::size_t ip_at = sizeof(EthernetHeader);
constexpr std::size_t body_at = ip_at + sizeof(Ipv4Header);
constexpr std::size_t udp_checksum_at = body_at + 6;

void set16(Frame& frame, std::size_t at, unsigned value) {
  base::store_be<std::uint16_t>(frame.data() + at, static_cast<std::uint16_t>(value));
}
unsigned get16(const Frame& frame, std::size_t at) {
  return base::load_be<std::uint16_t>(frame.data() + at);
}

void fix_ip_checksum(Frame& frame) {
  const std::size_t header_bytes = (std::to_integer<std::size_t>(frame[ip_at]) & 15) * 4;
  set16(frame, ip_at + 10, 0);
  set16(frame, ip_at + 10, internet_checksum(std::span(frame).subspan(ip_at, header_bytes)));
}

Frame udp_frame(std::string_view payload, bool with_checksum = true) {
  Frame frame(udp_headers_bytes + payload.size());
  write_udp_headers(frame.data(), them, endpoint_of(us, 7070), 5000,
                    static_cast<std::uint32_t>(payload.size()));
  std::memcpy(frame.data() + udp_headers_bytes, payload.data(), payload.size());
  if (with_checksum) {
    set16(frame, udp_checksum_at,
          udp_checksum(them.ipv4, us.ipv4, std::span(frame).subspan(body_at)));
  }
  return frame;
}

Frame arp_request_frame() {
  Frame frame(arp_frame_bytes);
  write_arp_request(frame.data(), them, us.ipv4);
  return frame;
}

Frame icmp_frame(std::uint8_t type = icmp_echo_request, std::uint8_t code = 0) {
  std::vector<std::byte> message(sizeof(IcmpHeader) + 13, std::byte{0x5a});
  Frame frame(body_at + message.size());
  const auto bytes = write_icmp_echo_reply(frame, them, endpoint_of(us), message);
  EXPECT_EQ(bytes, frame.size());
  frame[body_at] = std::byte{type};
  frame[body_at + 1] = std::byte{code};
  set16(frame, body_at + 2, 0);
  set16(frame, body_at + 2, internet_checksum(std::span(frame).subspan(body_at)));
  return frame;
}

Frame with_vlan(const Frame& frame) {
  Frame tagged(frame.begin(), frame.begin() + 12);
  for (unsigned byte : {0x81, 0x00, 0x60, 0x05}) tagged.push_back(static_cast<std::byte>(byte));
  tagged.insert(tagged.end(), frame.begin() + 12, frame.end());
  return tagged;
}

std::string text_of(const Parsed& parsed) {
  return {reinterpret_cast<const char*>(parsed.payload.data()), parsed.payload.size()};
}

TEST(ParseFrame, a_udp_frame_gives_its_payload_ports_and_sender) {
  const Frame frame = udp_frame("hello");
  const Parsed parsed = parse_frame(frame, us, false);
  ASSERT_EQ(parsed.kind, FrameKind::udp);
  EXPECT_EQ(parsed.reason, DropReason::none);
  EXPECT_EQ(text_of(parsed), "hello");
  EXPECT_EQ(parsed.local_port, 7070);
  EXPECT_EQ(parsed.peer, endpoint_of(them, 5000));
  EXPECT_EQ(parsed.peer.mac, them.mac);
}

TEST(ParseFrame, padding_to_the_ethernet_minimum_is_not_payload) {
  Frame frame = udp_frame("x");
  frame.resize(60);
  EXPECT_EQ(text_of(parse_frame(frame, us, false)), "x");
}

TEST(ParseFrame, one_vlan_tag_is_looked_through) {
  EXPECT_EQ(text_of(parse_frame(with_vlan(udp_frame("tagged")), us, false)), "tagged");
  EXPECT_EQ(parse_frame(with_vlan(arp_request_frame()), us, false).kind, FrameKind::arp_request);
  EXPECT_EQ(parse_frame(with_vlan(with_vlan(udp_frame("twice"))), us, false).reason,
            DropReason::unknown_ethertype);
}

TEST(ParseFrame, ip_options_are_skipped) {
  Frame frame = udp_frame("options");
  frame.insert(frame.begin() + body_at, 4, std::byte{1});  // four no-operation options
  frame[ip_at] = std::byte{0x46};
  set16(frame, ip_at + 2, get16(frame, ip_at + 2) + 4);
  fix_ip_checksum(frame);
  EXPECT_EQ(text_of(parse_frame(frame, us, false)), "options");
}

TEST(ParseFrame, an_empty_payload_is_a_packet_like_any_other) {
  const Parsed parsed = parse_frame(udp_frame(""), us, false);
  EXPECT_EQ(parsed.kind, FrameKind::udp);
  EXPECT_TRUE(parsed.payload.empty());
}

TEST(ParseFrame, a_udp_checksum_of_zero_means_none_was_computed) {
  const Frame frame = udp_frame("unsummed", false);
  EXPECT_EQ(get16(frame, udp_checksum_at), 0U);
  EXPECT_EQ(text_of(parse_frame(frame, us, false)), "unsummed");
}

TEST(ParseFrame, checksums_that_the_nic_found_good_are_not_looked_at) {
  Frame frame = udp_frame("good");
  set16(frame, udp_checksum_at, get16(frame, udp_checksum_at) ^ 1);
  set16(frame, ip_at + 10, get16(frame, ip_at + 10) ^ 1);
  EXPECT_EQ(parse_frame(frame, us, true).kind, FrameKind::udp);
  EXPECT_EQ(parse_frame(frame, us, false).kind, FrameKind::dropped);
}

TEST(ParseFrame, broadcast_and_multicast_frames_are_heard_for_arp_and_udp_but_not_ping) {
  for (const Mac& group : {broadcast_mac, Mac{1, 0, 0x5e, 0, 0, 1}}) {
    Frame udp = udp_frame("all");
    std::memcpy(udp.data(), group.data(), 6);
    EXPECT_EQ(parse_frame(udp, us, false).kind, FrameKind::udp);
    Frame arp = arp_request_frame();
    std::memcpy(arp.data(), group.data(), 6);
    EXPECT_EQ(parse_frame(arp, us, false).kind, FrameKind::arp_request);
    Frame icmp = icmp_frame();
    std::memcpy(icmp.data(), group.data(), 6);
    EXPECT_EQ(parse_frame(icmp, us, false).reason, DropReason::not_for_us);
  }
}

struct BadFrame {
  const char* name;
  DropReason reason;
  std::function<Frame()> make;
};

Frame changed(Frame frame, const std::function<void(Frame&)>& change) {
  change(frame);
  return frame;
}

// Each entry spoils one thing of a frame that is else accepted.
const std::vector<BadFrame>& bad_frames() {
  static const std::vector<BadFrame> frames = {
      {"no ethernet header", DropReason::truncated_frame, [] { return Frame(13); }},
      {"no vlan tag", DropReason::truncated_frame,
       [] { return changed(with_vlan(udp_frame("x")), [](Frame& f) { f.resize(17); }); }},
      {"no ip header", DropReason::truncated_frame,
       [] { return changed(udp_frame("x"), [](Frame& f) { f.resize(body_at - 1); }); }},
      {"cut payload", DropReason::truncated_frame,
       [] { return changed(udp_frame("xyz"), [](Frame& f) { f.pop_back(); }); }},
      {"cut arp", DropReason::truncated_frame,
       [] { return changed(arp_request_frame(), [](Frame& f) { f.pop_back(); }); }},
      {"another mac", DropReason::not_for_us,
       [] { return changed(udp_frame("x"), [](Frame& f) { f[5] = std::byte{9}; }); }},
      {"another ip", DropReason::not_for_us,
       [] {
         return changed(udp_frame("x"), [](Frame& f) {
           f[ip_at + 19] = std::byte{9};
           fix_ip_checksum(f);
         });
       }},
      {"arp for another", DropReason::not_for_us,
       [] { return changed(arp_request_frame(), [](Frame& f) { f.back() = std::byte{9}; }); }},
      {"ipv6", DropReason::unknown_ethertype,
       [] { return changed(udp_frame("x"), [](Frame& f) { set16(f, 12, 0x86dd); }); }},
      {"version 6", DropReason::bad_ip_header,
       [] { return changed(udp_frame("x"), [](Frame& f) { f[ip_at] = std::byte{0x65}; }); }},
      {"header of 16 bytes", DropReason::bad_ip_header,
       [] { return changed(udp_frame("x"), [](Frame& f) { f[ip_at] = std::byte{0x44}; }); }},
      {"total below header", DropReason::bad_ip_header,
       [] { return changed(udp_frame("x"), [](Frame& f) { set16(f, ip_at + 2, 19); }); }},
      {"multicast sender", DropReason::bad_ip_header,
       [] {
         return changed(udp_frame("x"), [](Frame& f) {
           f[ip_at + 12] = std::byte{224};
           fix_ip_checksum(f);
         });
       }},
      {"ip checksum", DropReason::bad_ip_checksum,
       [] { return changed(udp_frame("x"), [](Frame& f) { f[ip_at + 8] ^= std::byte{1}; }); }},
      {"first fragment", DropReason::ip_fragment,
       [] {
         return changed(udp_frame("x"), [](Frame& f) {
           set16(f, ip_at + 6, 0x2000);
           fix_ip_checksum(f);
         });
       }},
      {"last fragment", DropReason::ip_fragment,
       [] {
         return changed(udp_frame("x"), [](Frame& f) {
           set16(f, ip_at + 6, 0x0001);
           fix_ip_checksum(f);
         });
       }},
      {"tcp", DropReason::unknown_ip_protocol,
       [] {
         return changed(udp_frame("x"), [](Frame& f) {
           f[ip_at + 9] = std::byte{6};
           fix_ip_checksum(f);
         });
       }},
      {"udp length over the packet", DropReason::bad_udp_length,
       [] { return changed(udp_frame("x"), [](Frame& f) { set16(f, body_at + 4, 10); }); }},
      {"udp length below its header", DropReason::bad_udp_length,
       [] { return changed(udp_frame("x"), [](Frame& f) { set16(f, body_at + 4, 7); }); }},
      {"no room for a udp header", DropReason::bad_udp_length,
       [] {
         return changed(udp_frame(""), [](Frame& f) {
           f.pop_back();
           set16(f, ip_at + 2, 27);
           fix_ip_checksum(f);
         });
       }},
      {"udp checksum", DropReason::bad_udp_checksum,
       [] { return changed(udp_frame("x"), [](Frame& f) { f.back() ^= std::byte{1}; }); }},
      {"arp over token ring", DropReason::bad_arp,
       [] { return changed(arp_request_frame(), [](Frame& f) { set16(f, 14, 4); }); }},
      {"arp operation 3", DropReason::bad_arp,
       [] { return changed(arp_request_frame(), [](Frame& f) { set16(f, 20, 3); }); }},
      {"arp from a group", DropReason::bad_arp,
       [] { return changed(arp_request_frame(), [](Frame& f) { f[22] = std::byte{0xff}; }); }},
      {"icmp checksum", DropReason::bad_icmp,
       [] { return changed(icmp_frame(), [](Frame& f) { f.back() ^= std::byte{1}; }); }},
      {"icmp of 4 bytes", DropReason::bad_icmp,
       [] {
         return changed(icmp_frame(), [](Frame& f) {
           f.resize(body_at + 4);
           set16(f, ip_at + 2, 24);
           fix_ip_checksum(f);
         });
       }},
      {"icmp unreachable", DropReason::icmp_ignored, [] { return icmp_frame(3, 3); }},
      {"icmp echo reply", DropReason::icmp_ignored, [] { return icmp_frame(icmp_echo_reply); }},
  };
  return frames;
}

TEST(ParseFrame, every_spoilt_frame_is_dropped_for_its_own_reason) {
  for (const BadFrame& bad : bad_frames()) {
    const Frame frame = bad.make();
    const Parsed parsed = parse_frame(frame, us, false);
    EXPECT_EQ(parsed.kind, FrameKind::dropped) << bad.name;
    EXPECT_EQ(base::drop_reason_names[static_cast<std::size_t>(parsed.reason)],
              base::drop_reason_names[static_cast<std::size_t>(bad.reason)])
        << bad.name;
  }
}

TEST(ParseFrame, the_table_of_spoilt_frames_covers_every_frame_reason) {
  const auto first = static_cast<int>(DropReason::truncated_frame);
  const auto last = static_cast<int>(DropReason::icmp_ignored);
  for (int reason = first; reason <= last; ++reason) {
    EXPECT_TRUE(std::any_of(bad_frames().begin(), bad_frames().end(), [&](const BadFrame& bad) {
      return static_cast<int>(bad.reason) == reason;
    })) << base::drop_reason_names[static_cast<std::size_t>(reason)];
  }
}

TEST(ParseFrame, no_prefix_of_a_good_frame_is_accepted) {
  for (const Frame& whole : {udp_frame("payload"), arp_request_frame(), icmp_frame()}) {
    for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
      const Frame frame(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes));
      EXPECT_EQ(parse_frame(frame, us, false).reason, DropReason::truncated_frame) << bytes;
    }
  }
}

TEST(ParseFrame, every_single_bit_error_past_the_macs_is_noticed) {
  const Frame whole = udp_frame("protected by two checksums");
  for (std::size_t bit = 14 * 8; bit < whole.size() * 8; ++bit) {
    if (bit / 8 == udp_checksum_at || bit / 8 == udp_checksum_at + 1) continue;
    Frame frame = whole;
    frame[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    EXPECT_EQ(parse_frame(frame, us, false).kind, FrameKind::dropped) << "bit " << bit;
  }
}

}  // namespace
}  // namespace millrace::net

#include "dataplane/net/write.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <vector>

#include "dataplane/net/checksum.h"

namespace millrace::net {
namespace {

const Identity us{.mac = {2, 0, 0, 0, 0, 1}, .ipv4 = 0x0a000001};
const Identity them{.mac = {2, 0, 0, 0, 0, 2}, .ipv4 = 0x0a000002};

TEST(FrameWriters, udp_headers_are_these_bytes) {
  base::Endpoint to;
  to.ipv4 = them.ipv4;
  to.udp_port = 5000;
  to.mac = them.mac;
  std::array<std::byte, 64> frame{};
  EXPECT_EQ(write_udp_headers(frame.data(), us, to, 7070, 6), 48U);
  // The IPv4 checksum was summed by hand: 4500+0022+0000+4000+4011+0a00+0001+0a00+0002 = d936,
  // whose complement is 26c9.
  constexpr std::array<unsigned char, udp_headers_bytes> expected = {
      2,    0,    0,    0,    0,  2,  2,    0, 0,  0,  0,    1,    0x08, 0x00,  // Ethernet
      0x45, 0,    0,    0x22, 0,  0,  0x40, 0, 64, 17, 0x26, 0xc9,              // IPv4
      10,   0,    0,    1,    10, 0,  0,    2,                                  // addresses
      0x1b, 0x9e, 0x13, 0x88, 0,  14, 0,    0};                                 // UDP
  EXPECT_EQ(std::memcmp(frame.data(), expected.data(), expected.size()), 0);
}

TEST(FrameWriters, an_arp_question_is_answered_to_the_asker_and_the_answer_is_understood) {
  std::array<std::byte, arp_frame_bytes> question{};
  EXPECT_EQ(write_arp_request(question.data(), them, us.ipv4), arp_frame_bytes);
  const Parsed asked = parse_frame(question, us, false);
  ASSERT_EQ(asked.kind, FrameKind::arp_request);
  EXPECT_EQ(asked.peer.ipv4, them.ipv4);
  EXPECT_EQ(asked.peer.mac, them.mac);

  std::array<std::byte, arp_frame_bytes> answer{};
  EXPECT_EQ(write_arp_reply(answer.data(), us, asked.peer), arp_frame_bytes);
  const Parsed answered = parse_frame(answer, them, false);
  ASSERT_EQ(answered.kind, FrameKind::arp_reply);
  EXPECT_EQ(answered.peer.ipv4, us.ipv4);
  EXPECT_EQ(answered.peer.mac, us.mac);
}

TEST(FrameWriters, a_ping_comes_back_with_its_identifier_and_data) {
  std::vector<std::byte> message(sizeof(IcmpHeader) + 57);
  for (std::size_t i = 0; i < message.size(); ++i) message[i] = static_cast<std::byte>(i);
  message[0] = std::byte{icmp_echo_request};
  message[1] = std::byte{0};
  message[2] = message[3] = std::byte{0};
  const std::uint16_t checksum = internet_checksum(message);
  message[2] = static_cast<std::byte>(checksum >> 8);
  message[3] = static_cast<std::byte>(checksum & 0xff);

  base::Endpoint to;
  to.ipv4 = them.ipv4;
  to.mac = them.mac;
  std::vector<std::byte> frame(34 + message.size());
  ASSERT_EQ(write_icmp_echo_reply(frame, us, to, message), frame.size());
  // An answer is no question: the parser of the other side sees an intact ICMP of another type.
  EXPECT_EQ(parse_frame(frame, them, false).reason, base::DropReason::icmp_ignored);
  EXPECT_EQ(frame[34], std::byte{icmp_echo_reply});
  EXPECT_EQ(std::memcmp(frame.data() + 38, message.data() + 4, message.size() - 4), 0);
}

TEST(FrameWriters, a_ping_too_large_for_the_frame_is_not_answered) {
  std::vector<std::byte> message(sizeof(IcmpHeader) + 100);
  std::vector<std::byte> frame(34 + message.size() - 1);
  EXPECT_EQ(write_icmp_echo_reply(frame, us, {}, message), 0U);
}

}  // namespace
}  // namespace millrace::net

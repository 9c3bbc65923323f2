#include "dataplane/net/checksum.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace millrace::net {
namespace {

std::vector<std::byte> bytes_of(std::initializer_list<unsigned> values) {
  std::vector<std::byte> bytes;
  for (unsigned value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

// The definition, word by word.
std::uint16_t slow_sum(std::span<const std::byte> bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    sum += std::to_integer<std::uint32_t>(bytes[i]) << 8;
    if (i + 1 < bytes.size()) sum += std::to_integer<std::uint32_t>(bytes[i + 1]);
    if (sum > 0xffff) sum = (sum & 0xffff) + 1;
  }
  return static_cast<std::uint16_t>(sum);
}

TEST(InternetChecksum, the_example_of_rfc_1071_sums_to_ddf2) {
  EXPECT_EQ(internet_sum(bytes_of({0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7})), 0xddf2);
}

TEST(InternetChecksum, every_length_and_alignment_agrees_with_the_definition) {
  std::array<std::byte, 96> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 151 + 77);
  for (std::size_t from = 0; from < 9; ++from) {
    for (std::size_t count = 0; from + count <= bytes.size(); ++count) {
      const auto part = std::span(bytes).subspan(from, count);
      EXPECT_EQ(internet_sum(part), slow_sum(part)) << from << " " << count;
    }
  }
}

TEST(InternetChecksum, carries_of_all_ones_fold_to_all_ones) {
  const std::vector<std::byte> ones(65535, std::byte{0xff});
  EXPECT_EQ(internet_sum(ones), slow_sum(ones));
}

TEST(InternetChecksum, a_udp_datagram_holding_its_checksum_verifies_to_zero) {
  auto datagram = bytes_of({0x13, 0x88, 0x1b, 0x9e, 0x00, 0x0b, 0x00, 0x00, 'a', 'b', 'c'});
  const std::uint16_t checksum = udp_checksum(0x0a000002, 0x0a000001, datagram);
  datagram[6] = static_cast<std::byte>(checksum >> 8);
  datagram[7] = static_cast<std::byte>(checksum & 0xff);
  EXPECT_EQ(udp_checksum(0x0a000002, 0x0a000001, datagram), 0);
  EXPECT_NE(udp_checksum(0x0a000003, 0x0a000001, datagram), 0);
}

}  // namespace
}  // namespace millrace::net

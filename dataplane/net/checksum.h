// The Internet checksum (RFC 1071): the one's complement of the one's complement sum of 16-bit
// words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace millrace::net {

// The folded sum of `bytes`, an odd last byte padded with zero, in host byte order; not
// complemented. Sums of pieces of even length may be added up and folded again.
std::uint16_t internet_sum(std::span<const std::byte> bytes);

constexpr std::uint16_t fold_sum(std::uint64_t sum) {
  while ((sum >> 16) != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

// What stands in a checksum field when the field itself counted as zero. Summed over bytes that
// already hold their checksum it is 0 when they are intact.
inline std::uint16_t internet_checksum(std::span<const std::byte> bytes) {
  return static_cast<std::uint16_t>(~internet_sum(bytes));
}

// Of a UDP datagram with its pseudo header (RFC 768); addresses in host byte order. 0 when a
// datagram that holds its checksum is intact.
std::uint16_t udp_checksum(std::uint32_t source, std::uint32_t destination,
                           std::span<const std::byte> datagram);

}  // namespace millrace::net

#include "dataplane/net/checksum.h"

#include "dataplane/base/wire.h"
#include "dataplane/net/headers.h"

namespace millrace::net {

// The sum does not depend on byte order but for a final swap (RFC 1071, 2.B), so it is taken over
// little-endian 32-bit words: a 64-bit accumulator holds the carries of 16 GiB.
std::uint16_t internet_sum(std::span<const std::byte> bytes) {
  std::uint64_t sum = 0;
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; at += 8, left -= 8) {
    const auto words = base::load_le<std::uint64_t>(at);
    sum += (words & 0xffff'ffff) + (words >> 32);
  }
  if (left >= 4) {
    sum += base::load_le<std::uint32_t>(at);
    at += 4;
    left -= 4;
  }
  if (left >= 2) {
    sum += base::load_le<std::uint16_t>(at);
    at += 2;
    left -= 2;
  }
  if (left == 1) sum += std::to_integer<std::uint64_t>(*at);
  return base::byte_swap(fold_sum(sum));
}

std::uint16_t udp_checksum(std::uint32_t source, std::uint32_t destination,
                           std::span<const std::byte> datagram) {
  const std::uint64_t pseudo = (source >> 16) + (source & 0xffff) + (destination >> 16) +
                               (destination & 0xffff) + std::uint64_t{ip_protocol_udp} +
                               datagram.size();
  return static_cast<std::uint16_t>(~fold_sum(pseudo + internet_sum(datagram)));
}

}  // namespace millrace::net

#include "dataplane/client/partitioner.h"

#include <cstddef>

#include "dataplane/base/wire.h"

namespace millrace::client {

std::uint32_t murmur2(std::string_view bytes) {
  constexpr std::uint32_t seed = 0x9747b28c;
  constexpr std::uint32_t multiplier = 0x5bd1e995;
  const auto* at = reinterpret_cast<const std::byte*>(bytes.data());
  std::size_t left = bytes.size();
  std::uint32_t hash = seed ^ static_cast<std::uint32_t>(left);
  for (; left >= 4; at += 4, left -= 4) {
    std::uint32_t word = base::load_le<std::uint32_t>(at) * multiplier;
    word ^= word >> 24;
    hash = (hash * multiplier) ^ (word * multiplier);
  }
  std::uint32_t tail = 0;
  for (std::size_t i = left; i > 0; --i) tail = tail << 8 | static_cast<std::uint32_t>(at[i - 1]);
  if (left > 0) hash = (hash ^ tail) * multiplier;
  hash = (hash ^ (hash >> 13)) * multiplier;
  return hash ^ (hash >> 15);
}

}  // namespace millrace::client

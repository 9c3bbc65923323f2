// murmur2: the 32-bit hash by which Kafka's Java client chooses a key's partition.
// Source of the fact: the algorithm is Austin Appleby's MurmurHash2 with seed 0x9747b28c, as
// Kafka's DefaultPartitioner documents; the partition is (hash & 0x7fffffff) % partition_count.
#pragma once

#include <cstdint>
#include <string_view>

#include "dataplane/base/wire.h"

namespace millrace::base {

inline std::uint32_t murmur2(std::string_view key) {
  constexpr std::uint32_t multiplier = 0x5bd1'e995U;
  const auto* at = reinterpret_cast<const std::byte*>(key.data());
  auto left = static_cast<std::uint32_t>(key.size());
  std::uint32_t hash = 0x9747'b28cU ^ left;
  for (; left >= 4; at += 4, left -= 4) {
    std::uint32_t word = load_le<std::uint32_t>(at) * multiplier;
    word = (word ^ (word >> 24)) * multiplier;
    hash = (hash * multiplier) ^ word;
  }
  if (left > 0) {
    std::uint32_t rest = 0;
    std::memcpy(&rest, at, left);
    hash = (hash ^ rest) * multiplier;
  }
  hash = (hash ^ (hash >> 13)) * multiplier;
  return hash ^ (hash >> 15);
}

inline std::uint32_t partition_of_key(std::string_view key, std::uint32_t partition_count) {
  return (murmur2(key) & 0x7fff'ffffU) % partition_count;
}

}  // namespace millrace::base

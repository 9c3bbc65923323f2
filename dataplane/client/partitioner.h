// Partitioner: which partition a record goes to. The same answer as Kafka's own clients give, so
// that one key stays in one partition whatever program writes it.
#pragma once

#include <cstdint>
#include <string_view>

namespace millrace::client {

// MurmurHash2, 32 bits, seed 0x9747b28c: Kafka's org.apache.kafka.common.utils.Utils.murmur2.
std::uint32_t murmur2(std::string_view bytes);

// Kafka's default partitioner for a record with a key: the hash without its sign bit, modulo.
inline std::uint32_t partition_of(std::string_view key, std::uint32_t partition_count) {
  return (murmur2(key) & 0x7fff'ffffU) % partition_count;
}

}  // namespace millrace::client

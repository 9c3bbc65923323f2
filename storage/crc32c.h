// CRC32C (Castagnoli), as iSCSI and Kafka use it: reflected, initial and final value inverted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace millrace::storage {

// Of `bytes` appended to what `crc` already covers; 0 is the CRC of nothing.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc = 0);

}  // namespace millrace::storage

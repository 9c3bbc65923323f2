#include "storage/crc32c.h"

#include <isa-l/crc.h>

#include <limits>

#include "dataplane/base/check.h"

namespace millrace::storage {

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc) {
  CHECK(bytes.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()));
  if (bytes.empty()) return crc;
  // isa-l takes and returns the register as it is, so both inversions are ours; its parameter is
  // not const but it only reads.
  auto* at = const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(bytes.data()));
  return ~crc32_iscsi(at, static_cast<int>(bytes.size()), ~crc);
}

}  // namespace millrace::storage

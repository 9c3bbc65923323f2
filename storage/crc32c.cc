#include "storage/crc32c.h"

#include <isa-l/crc.h>
#ifdef __SSE4_2__
#include <nmmintrin.h>
#endif

#include <cstring>
#include <limits>

#include "dataplane/base/check.h"

namespace millrace::storage {

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc) {
  CHECK(bytes.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()));
  if (bytes.empty()) return crc;
#ifdef __SSE4_2__
  // From here on isa-l folds 256 bytes at a time and is the faster one; see perf/README.md.
  constexpr std::size_t folded_bytes_min = 256;
  if (bytes.size() < folded_bytes_min) {
    std::uint64_t state = ~crc;
    const std::byte* at = bytes.data();
    std::size_t left = bytes.size();
    for (; left >= sizeof state; left -= sizeof state, at += sizeof state) {
      std::uint64_t word = 0;
      std::memcpy(&word, at, sizeof word);
      state = _mm_crc32_u64(state, word);
    }
    auto last = static_cast<std::uint32_t>(state);
    for (; left > 0; --left) last = _mm_crc32_u8(last, static_cast<unsigned char>(*at++));
    return ~last;
  }
#endif
  // isa-l takes and returns the register as it is, so both inversions are ours; its parameter is
  // not const but it only reads.
  auto* at = const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(bytes.data()));
  return ~crc32_iscsi(at, static_cast<int>(bytes.size()), ~crc);
}

}  // namespace millrace::storage

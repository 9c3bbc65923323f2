#include "storage/key_map.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>

namespace millrace::storage {

KeyMap::KeyMap(std::uint64_t seed, std::uint32_t keys_max)
    : seed_(seed), keys_max_(keys_max), entries_(std::bit_ceil(keys_max + keys_max / 3 + 1)) {}

// Where the key is, or would be.
std::size_t KeyMap::place_of(std::string_view key, Entry& wanted) const {
  const XXH128_hash_t hash = XXH3_128bits_withSeed(key.data(), key.size(), seed_);
  wanted.low = hash.low64;
  wanted.high = hash.high64;
  const std::size_t mask = entries_.size() - 1;
  for (std::size_t at = hash.low64 & mask;; at = (at + 1) & mask) {
    const Entry& entry = entries_[at];
    if (entry.offset < 0 || (entry.low == wanted.low && entry.high == wanted.high)) return at;
  }
}

bool KeyMap::put(std::string_view key, base::Offset offset) {
  Entry wanted;
  Entry& entry = entries_[place_of(key, wanted)];
  if (entry.offset < 0) {
    if (keys_ == keys_max_) return false;
    ++keys_;
    entry = wanted;
  }
  entry.offset = std::max(entry.offset, offset);
  return true;
}

std::optional<base::Offset> KeyMap::find(std::string_view key) const {
  Entry wanted;
  const Entry& entry = entries_[place_of(key, wanted)];
  if (entry.offset < 0) return {};
  return entry.offset;
}

}  // namespace millrace::storage

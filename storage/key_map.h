// KeyMap: the last offset of each key of a partition. Keys are told apart by 128 bits of a hash
// that only this node can compute.
// Core:  housekeeping.
// Owns:  24 bytes a key, and a third more.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "dataplane/base/ids.h"

namespace millrace::storage {

class KeyMap {
 public:
  KeyMap(std::uint64_t seed, std::uint32_t keys_max);

  // False when there is no room for another key.
  bool put(std::string_view key, base::Offset offset);
  std::optional<base::Offset> find(std::string_view key) const;

 private:
  struct Entry {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    base::Offset offset = -1;  // -1: free
  };

  std::size_t place_of(std::string_view key, Entry& wanted) const;

  std::uint64_t seed_;
  std::uint32_t keys_max_;
  std::uint32_t keys_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace millrace::storage

// SplitMix64 (Steele, Lea, Flood, 2014): numbers that look random from a state that counts. Not for
// secrets.
#pragma once

#include <cstdint>

namespace millrace::base {

inline std::uint64_t split_mix(std::uint64_t& state) {
  std::uint64_t value = state += 0x9e37'79b9'7f4a'7c15;
  value = (value ^ (value >> 30)) * 0xbf58'476d'1ce4'e5b9;
  value = (value ^ (value >> 27)) * 0x94d0'49bb'1331'11eb;
  return value ^ (value >> 31);
}

}  // namespace millrace::base

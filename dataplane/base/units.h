// Sizes and times, spelled once.
#pragma once

#include <cstdint>

namespace millrace::base {

inline constexpr std::uint64_t kib = 1024;
inline constexpr std::uint64_t mib = 1024 * kib;
inline constexpr std::uint64_t gib = 1024 * mib;

inline constexpr std::uint64_t us_ns = 1'000;
inline constexpr std::uint64_t ms_ns = 1'000'000;
inline constexpr std::uint64_t second_ns = 1'000'000'000;

constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) & ~(alignment - 1);  // alignment is a power of two
}
constexpr std::uint64_t align_down(std::uint64_t value, std::uint64_t alignment) {
  return value & ~(alignment - 1);
}

}  // namespace millrace::base

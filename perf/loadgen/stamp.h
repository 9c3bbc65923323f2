// Stamp: the first bytes of each payload: which message it is and when it was due.
// Both ends are in one process and one clock, so what arrives tells its own age.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace millrace::loadgen {

struct Stamp {
  std::uint64_t number;  // from 0, one more for each message of a run
  std::uint64_t due_ns;  // monotonic
};

inline constexpr std::uint32_t stamp_bytes = sizeof(Stamp);

inline void write_stamp(const Stamp& stamp, std::span<std::byte> payload) {
  std::memcpy(payload.data(), &stamp, sizeof stamp);
}

// None: too short to be one of ours.
inline std::optional<Stamp> read_stamp(std::span<const std::byte> payload) {
  if (payload.size() < stamp_bytes) return {};
  Stamp stamp{};
  std::memcpy(&stamp, payload.data(), sizeof stamp);
  return stamp;
}

}  // namespace millrace::loadgen

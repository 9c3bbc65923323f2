// What the protocols spoken over TcpStream have in common: bytes as text, numbers, lines, and names
// that end in a partition.
//
// Readers say how many bytes a whole message has: 0 when it is not all there, -1 when it is none of
// the protocol. Whatever is claimed is bounded, so a stream never waits for what cannot come.
#pragma once

#include <array>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "dataplane/base/wire.h"

namespace millrace::loadgen {

constexpr std::size_t line_bytes_max = 64 << 10;  // NATS's INFO of a large cluster is the longest
constexpr std::size_t message_bytes_max = 512 << 20;  // Redis's limit; the others' are lower

inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// Decimal digits and nothing else.
template <std::integral Number>
std::optional<Number> read_number(std::string_view digits) {
  Number number{};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size()) return {};
  return number;
}

// Big-endian; the bytes are there.
inline std::uint32_t read_u32(std::string_view bytes, std::size_t at) {
  return base::load_be<std::uint32_t>(bytes_of(bytes.substr(at, 4)).data());
}

template <std::unsigned_integral Number>
void append_be(std::string& out, Number number) {
  std::array<std::byte, sizeof number> bytes;
  base::store_be(bytes.data(), number);
  out.append(text_of(bytes));
}

// What follows the separator; nothing unless it is one of so many partitions.
std::optional<std::uint32_t> partition_of(std::string_view name, char separator,
                                          std::uint32_t partitions);

// A line with its CR LF, and one of `count` bytes after the first `at`, all of them counted.
std::int64_t line_bytes(std::string_view bytes);
std::int64_t counted_bytes(std::string_view bytes, std::size_t at, std::uint64_t count);

}  // namespace millrace::loadgen

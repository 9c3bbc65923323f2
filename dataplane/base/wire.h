// Loads and stores of integers at any address, in a named byte order.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>

namespace millrace::base {

static_assert(std::endian::native == std::endian::little);

template <std::integral T>
T load_le(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <std::integral T>
void store_le(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

template <std::integral T>
T byte_swap(T value) {
  if constexpr (sizeof(T) == 1) return value;
  if constexpr (sizeof(T) == 2)
    return static_cast<T>(__builtin_bswap16(static_cast<unsigned short>(value)));
  if constexpr (sizeof(T) == 4)
    return static_cast<T>(__builtin_bswap32(static_cast<unsigned int>(value)));
  if constexpr (sizeof(T) == 8)
    return static_cast<T>(__builtin_bswap64(static_cast<unsigned long>(value)));
}

template <std::integral T>
T load_be(const std::byte* at) {
  return byte_swap(load_le<T>(at));
}

template <std::integral T>
void store_be(std::byte* at, T value) {
  store_le(at, byte_swap(value));
}

}  // namespace millrace::base

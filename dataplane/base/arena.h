// Arena: the memory of one core, taken whole before seal() and handed out in pieces.
// Owns:  one memfd mapping, on 2 MiB huge pages where the host has them, else on ordinary pages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <type_traits>

#include "dataplane/base/result.h"

namespace millrace::base {

struct ArenaOptions {
  std::uint64_t bytes = 0;
  bool huge_pages = true;  // try them first
  bool touch = false;      // fault every page in now, so that no turn of the loop ever does
};

class Arena {
 public:
  enum class Backing : std::uint8_t { huge_pages, ordinary_pages };

  static Result<Arena> create(const ArenaOptions& options);

  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&&) = delete;
  ~Arena();

  // Zeroed memory; aborts when the arena is too small, which is a start-up table's mistake.
  std::span<std::byte> allocate_bytes(std::uint64_t bytes, std::uint64_t alignment);

  // An array of value-initialised T. T is never destroyed, so it must not need to be.
  template <typename T>
  std::span<T> allocate(std::uint64_t count) {
    static_assert(std::is_trivially_destructible_v<T>);
    const auto bytes = allocate_bytes(count * sizeof(T), alignof(T) > 64 ? alignof(T) : 64);
    T* first = reinterpret_cast<T*>(bytes.data());
    for (std::uint64_t i = 0; i < count; ++i) new (first + i) T();
    return {first, count};
  }

  // For large tables of which only the used part should ever be touched: zeros, not constructed.
  // All zeros must be a T that means nothing yet.
  template <typename T>
  std::span<T> allocate_untouched(std::uint64_t count) {
    static_assert(std::is_trivially_destructible_v<T> && std::is_trivially_copyable_v<T>);
    const auto bytes = allocate_bytes(count * sizeof(T), alignof(T) > 64 ? alignof(T) : 64);
    return {reinterpret_cast<T*>(bytes.data()), count};
  }

  // Takes back all that was handed out, and zeroes it; costs only what was ever touched.
  void clear();

  Backing backing() const { return backing_; }
  int fd() const { return fd_; }  // of the memfd; for registering or sharing the whole
  std::span<std::byte> whole() const { return {base_, size_bytes_}; }
  std::uint64_t used_bytes() const { return used_bytes_; }

 private:
  Arena() = default;

  std::byte* base_ = nullptr;
  std::uint64_t size_bytes_ = 0;
  std::uint64_t used_bytes_ = 0;
  int fd_ = -1;
  Backing backing_ = Backing::ordinary_pages;
};

}  // namespace millrace::base

// Counter: written by one thread, read by any, also through shared memory. Never a locked
// instruction. A reader that sees a value also sees what the writer did before it (release and
// acquire cost nothing on x86).
#pragma once

#include <atomic>
#include <cstdint>

namespace millrace::base {

class Counter {
 public:
  void add(std::uint64_t n = 1) { set(value_.load(std::memory_order_relaxed) + n); }
  void set(std::uint64_t n) { value_.store(n, std::memory_order_release); }
  std::uint64_t get() const { return value_.load(std::memory_order_acquire); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

static_assert(sizeof(Counter) == 8 && std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace millrace::base

// Reassembly: buffers in which batches that came in fragments are put together.
// Core:  the sessions'.
//
// A buffer is free, filling (one session adds fragments), or handed over: an append command points
// into it, and it is free again when that append's answer has come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/base/arena.h"
#include "storage/batch.h"

namespace millrace::native {

class Reassembly {
 public:
  static constexpr std::uint32_t none = ~0U;

  Reassembly(base::Arena& arena, std::uint32_t buffer_count);
  static std::uint64_t arena_bytes(std::uint32_t buffer_count) {
    return buffer_count * (std::uint64_t{storage::batch_bytes_max} + 64 + sizeof(Buffer)) + 64;
  }

  // A free buffer, or none.
  std::uint32_t acquire();
  void release(std::uint32_t buffer);
  // False when the batch would be over batch_bytes_max.
  bool add(std::uint32_t buffer, std::span<const std::byte> fragment);
  std::span<const std::byte> bytes(std::uint32_t buffer) const {
    return {buffers_[buffer].data, buffers_[buffer].used_bytes};
  }

  // An append of the stream, the append_number-th, points into the buffer.
  void hand_over(std::uint32_t buffer, std::uint32_t stream, std::uint32_t append_number);
  // That append was answered.
  void on_appended(std::uint32_t stream, std::uint32_t append_number) {
    if (handed_over_ != 0) release_answered(stream, append_number);
  }

  std::uint32_t free_count() const { return free_count_; }

 private:
  enum class Use : std::uint8_t { free, filling, handed_over };
  struct Buffer {
    std::byte* data = nullptr;
    std::uint32_t used_bytes = 0;
    std::uint32_t stream = 0;
    std::uint32_t append_number = 0;
    Use use = Use::free;
  };

  void release_answered(std::uint32_t stream, std::uint32_t append_number);

  std::span<Buffer> buffers_;
  std::uint32_t free_count_ = 0;
  std::uint32_t handed_over_ = 0;
};

}  // namespace millrace::native

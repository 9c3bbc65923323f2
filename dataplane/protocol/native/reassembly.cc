#include "dataplane/protocol/native/reassembly.h"

#include <cstring>

#include "dataplane/base/check.h"

namespace millrace::native {

Reassembly::Reassembly(base::Arena& arena, std::uint32_t buffer_count)
    : buffers_(arena.allocate<Buffer>(buffer_count)), free_count_(buffer_count) {
  for (Buffer& buffer : buffers_) {
    buffer.data = arena.allocate_bytes(storage::batch_bytes_max, 64).data();
  }
}

std::uint32_t Reassembly::acquire() {
  if (free_count_ == 0) return none;
  for (std::uint32_t i = 0; i < buffers_.size(); ++i) {
    if (buffers_[i].use != Use::free) continue;
    buffers_[i].use = Use::filling;
    buffers_[i].used_bytes = 0;
    --free_count_;
    return i;
  }
  return none;
}

void Reassembly::release(std::uint32_t buffer) {
  CHECK(buffers_[buffer].use == Use::filling);
  buffers_[buffer].use = Use::free;
  ++free_count_;
}

bool Reassembly::add(std::uint32_t buffer, std::span<const std::byte> fragment) {
  Buffer& to = buffers_[buffer];
  CHECK(to.use == Use::filling);
  if (fragment.size() > storage::batch_bytes_max - to.used_bytes) return false;
  std::memcpy(to.data + to.used_bytes, fragment.data(), fragment.size());
  to.used_bytes += static_cast<std::uint32_t>(fragment.size());
  return true;
}

void Reassembly::hand_over(std::uint32_t buffer, std::uint32_t stream,
                           std::uint32_t append_number) {
  Buffer& given = buffers_[buffer];
  CHECK(given.use == Use::filling);
  given.use = Use::handed_over;
  given.stream = stream;
  given.append_number = append_number;
  ++handed_over_;
}

void Reassembly::release_answered(std::uint32_t stream, std::uint32_t append_number) {
  for (Buffer& buffer : buffers_) {
    if (buffer.use != Use::handed_over || buffer.stream != stream ||
        buffer.append_number != append_number) {
      continue;
    }
    buffer.use = Use::free;
    --handed_over_;
    ++free_count_;
    return;
  }
}

}  // namespace millrace::native

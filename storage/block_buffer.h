// BlockBuffer: memory that a Disk reads into and writes from, for start-up and housekeeping.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include "dataplane/base/check.h"
#include "dataplane/base/units.h"
#include "storage/disk.h"

namespace millrace::storage {

class BlockBuffer {
 public:
  BlockBuffer() = default;
  // Rounded up to whole blocks.
  explicit BlockBuffer(std::uint64_t bytes) : bytes_(base::align_up(bytes, block_bytes)) {
    if (bytes_ == 0) return;
    memory_.reset(static_cast<std::byte*>(std::aligned_alloc(block_bytes, bytes_)));
    CHECK(memory_ != nullptr);
  }

  std::span<std::byte> span() const { return {memory_.get(), bytes_}; }
  std::byte* data() const { return memory_.get(); }
  std::uint64_t size() const { return bytes_; }

 private:
  struct Free {
    void operator()(std::byte* at) const { std::free(at); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::uint64_t bytes_ = 0;
};

}  // namespace millrace::storage

// BlockBuffer: memory that a Disk reads into and writes from, for start-up and housekeeping.
#pragma once

#include <sys/mman.h>

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
    void* memory = bytes_ < mapped_bytes_min ? std::aligned_alloc(block_bytes, bytes_)
                                             : ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                                                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != nullptr && memory != MAP_FAILED);
    memory_ = {static_cast<std::byte*>(memory), Free{bytes_}};
  }

  std::span<std::byte> span() const { return {memory_.get(), bytes_}; }
  std::byte* data() const { return memory_.get(); }
  std::uint64_t size() const { return bytes_; }

 private:
  // From here on it goes back to the host at once, where the heap would keep it.
  static constexpr std::uint64_t mapped_bytes_min = base::mib;
  struct Free {
    std::uint64_t bytes;
    void operator()(std::byte* at) const {
      if (bytes < mapped_bytes_min) {
        std::free(at);
      } else {
        ::munmap(at, bytes);
      }
    }
  };
  std::unique_ptr<std::byte, Free> memory_{nullptr, Free{0}};
  std::uint64_t bytes_ = 0;
};

}  // namespace millrace::storage

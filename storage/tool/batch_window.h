// BatchWindow: the bytes of a file, read a large piece at a time, and the sound batches in them.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>

#include "dataplane/base/ids.h"
#include "dataplane/base/result.h"
#include "storage/batch.h"
#include "storage/block_buffer.h"
#include "storage/disk.h"
#include "storage/segment.h"

namespace millrace::storage {

// Where batches are looked for and which they may be.
struct BatchRange {
  std::uint64_t begin = 0;  // in the file
  std::uint64_t end = 0;
  base::Offset first_offset = 0;
  base::Offset end_offset = std::numeric_limits<base::Offset>::max();
  // Every offset is there; else they rise, or, of several partitions, not even that.
  enum class Order : std::uint8_t { complete, rising, any };
  Order order = Order::complete;
};
BatchRange range_of(const SegmentEntry& segment);

class BatchWindow {
 public:
  BatchWindow(Disk& disk, FileId file, std::uint64_t file_bytes)
      : disk_(disk), file_(file), file_bytes_(file_bytes), buffer_(window_bytes) {}

  // At most batch_bytes_max of them; blocks that cannot be read are zeros.
  std::span<const std::byte> bytes(std::uint64_t at, std::uint64_t count);
  struct Visitor {
    // It ends early when this does.
    std::function<base::Result<void>(std::uint64_t at, const BatchView& batch)> on_batch;
    // Bytes that are no batch; what they held was within [first, end), which may be nothing.
    std::function<void(std::uint64_t from, std::uint64_t to, base::Offset first, base::Offset end)>
        on_damage = [](std::uint64_t, std::uint64_t, base::Offset, base::Offset) {};
  };
  // Every sound batch of the range, and where it is; after a damaged one every byte is tried.
  base::Result<void> visit_sound(BatchRange range, const Visitor& visitor);

 private:
  static constexpr std::uint64_t window_bytes = 8ULL << 20;

  std::optional<BatchView> sound_batch(std::uint64_t at, const BatchRange& range);
  std::uint64_t find_sound(std::uint64_t at, const BatchRange& range);
  void load(std::uint64_t from);

  Disk& disk_;
  FileId file_;
  std::uint64_t file_bytes_;
  BlockBuffer buffer_;
  std::uint64_t from_ = 0;
  std::uint64_t loaded_ = 0;
};

}  // namespace millrace::storage

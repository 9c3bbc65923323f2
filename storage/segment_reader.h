// SegmentReader: the batches of a segment file from front to back, read in large pieces.
// Core:  housekeeping; blocks and allocates.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/base/result.h"
#include "storage/block_buffer.h"
#include "storage/disk.h"
#include "storage/segment_store.h"

namespace millrace::storage {

class SegmentReader {
 public:
  static constexpr std::uint64_t window_bytes = 1ULL << 20;

  SegmentReader(Disk& disk, SegmentStore& store, const SegmentFile& file)
      : disk_(disk), store_(store), file_(file.file), header_(file.header) {}

  std::uint64_t file_number() const { return header_.number; }
  // The intact batch at a place of the segment; stays until the next call. Errors: corrupt, or the
  // disk's. One after the other, for a batch's offset is sound only if it follows; in a sparse
  // segment, where it need not, the CRCs of the file's blocks say so.
  base::Result<std::span<const std::byte>> batch_at(const SegmentEntry& segment,
                                                    std::uint64_t position);
  // Gives the window's memory back until it is needed again.
  void release() {
    window_ = BlockBuffer();
    loaded_bytes_ = 0;
  }

 private:
  base::Result<std::span<const std::byte>> bytes_at(std::uint64_t position, std::uint64_t count);
  // Of the blocks in the window that hold these bytes.
  base::Result<bool> are_blocks_sound(std::uint64_t position, std::uint64_t count);

  Disk& disk_;
  SegmentStore& store_;
  FileId file_;
  SegmentFileHeader header_;
  BlockBuffer window_;
  std::uint64_t window_at_ = 0;  // in the file
  std::uint64_t loaded_bytes_ = 0;
  std::vector<std::uint32_t> block_crcs_;  // none until one is asked for
  std::vector<bool> checked_;              // blocks of the window
  // Behind the last batch.
  std::uint64_t next_at_ = 0;
  base::Offset next_offset_ = 0;
};

}  // namespace millrace::storage

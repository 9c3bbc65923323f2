// FileRing: the journal's files, and where a position lies in them.
// Core:  the shard's; prepare() is the housekeeping thread's, which publishes through one counter.
//
// File i of files_max holds the positions p with (p / file_bytes) % files_max == i. Files are
// created in order as the journal first comes to them, and from then on used round and round.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <vector>

#include "dataplane/base/counter.h"
#include "dataplane/base/ids.h"
#include "dataplane/base/result.h"
#include "storage/disk.h"

namespace millrace::storage {

class FileRing {
 public:
  FileRing(Disk& disk, std::uint64_t file_bytes, std::uint32_t files_max);

  // Start-up: takes the files that are there. A gap or a wrong size is an error.
  base::Result<void> open_existing();
  // Flushes every file, so that what is read afterwards is what the device will keep.
  base::Result<void> flush_all();

  // Creates the next file if fewer than `wanted` are there. True when it did.
  base::Result<bool> prepare(std::uint64_t wanted);

  // Positions below it have a file under them.
  base::Position prepared_end() const {
    const std::uint64_t count = prepared_.get();
    return count == files_.size() ? std::numeric_limits<base::Position>::max()
                                  : count << file_shift_;
  }
  std::uint64_t prepared_count() const { return prepared_.get(); }
  // The last attempt to create a file failed.
  bool is_starved() const { return starved_.get() != 0; }

  FileId file(base::Position position) const {
    return files_[(position >> file_shift_) % files_.size()];
  }
  std::uint64_t offset(base::Position position) const { return position & (file_bytes_ - 1); }
  std::uint64_t file_bytes() const { return file_bytes_; }
  std::uint64_t ring_bytes() const { return file_bytes_ * files_.size(); }

 private:
  Disk& disk_;
  std::uint64_t file_bytes_;
  std::uint32_t file_shift_;
  std::vector<FileId> files_;  // sized once; an element is written before prepared_ passes it
  base::Counter prepared_;
  base::Counter starved_;
};

}  // namespace millrace::storage

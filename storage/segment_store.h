// SegmentStore: the segment files of one shard: found at start, read, given up.
// Core:  start-up, then housekeeping; blocks and allocates.
// Owns:  which files there are. A file that is there is whole. Files are rewritten as others: what
// a
//        segment holds and one of a file with a higher number holds too is that one's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/result.h"
#include "storage/disk.h"
#include "storage/segment.h"
#include "storage/segment_writer.h"

namespace millrace::storage {

// All that was known when everything before sorted_to had been sorted into segments.
struct Checkpoint {
  base::Position sorted_to = 0;
  std::vector<PartitionState> partitions;
  std::vector<ProducerState> producers;
};

class SegmentStore {
 public:
  SegmentStore(Disk& disk, std::uint32_t journal_seed) : disk_(disk), seed_(journal_seed) {}

  // Finds what is there. Files that cannot be read stay where they are and are named by broken().
  base::Result<void> open();

  // By the stretch of the journal they hold, oldest first; of each the segments that are its own.
  // The last one is the newest that was sorted: it knows what all others do not.
  const std::vector<SegmentFile>& files() const { return files_; }
  const SegmentFile* find(std::uint64_t number) const;
  const std::vector<std::string>& broken() const { return broken_; }
  // The newest one.
  const Checkpoint& checkpoint() const { return checkpoint_; }
  std::uint64_t next_number() const { return next_number_; }
  std::uint64_t take_number() { return next_number_++; }
  std::uint32_t journal_seed() const { return seed_; }
  // Rises whenever there are other files or segments.
  std::uint64_t change_count() const { return change_count_; }

  // One that was sorted.
  void add(SegmentFile file, Checkpoint checkpoint);
  // One that was made of others.
  void add_rewritten(SegmentFile file);
  // Nobody reads it any more.
  base::Result<void> remove(std::uint64_t number);
  // The meta of a file, from whichever copy is sound; corrupt when none is.
  base::Result<SegmentMeta> read_meta(FileId file, const SegmentFileHeader& header,
                                      MetaParts parts);

 private:
  std::optional<SegmentFileHeader> read_header(FileId file);
  base::Result<void> open_file(const std::string& name, std::uint64_t number);
  void drop_superseded();

  Disk& disk_;
  std::uint32_t seed_;
  std::vector<SegmentFile> files_;
  std::vector<std::string> broken_;
  Checkpoint checkpoint_;
  std::uint64_t next_number_ = 1;
  std::uint64_t change_count_ = 0;
};

}  // namespace millrace::storage

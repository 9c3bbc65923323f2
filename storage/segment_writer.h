// SegmentWriter: writes one segment file, batch by batch, under a name of no meaning; finish()
// gives it its own, so a segment file that is there is whole.
// Core:  housekeeping; blocks and allocates.
// Owns:  the file until it is finished.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/ids.h"
#include "dataplane/base/result.h"
#include "storage/background.h"
#include "storage/block_buffer.h"
#include "storage/disk.h"
#include "storage/segment.h"
#include "storage/segment_list.h"
#include "storage/segment_table.h"

namespace millrace::storage {

inline constexpr std::string_view unfinished_segment_name = "segment.new";
inline constexpr std::string_view unfinished_rewrite_name = "rewrite.new";

// A segment file that is there.
struct SegmentFile {
  FileId file{};
  SegmentFileHeader header;
  SegmentList segments;
};

Segment segment_of(const SegmentFile& file, const SegmentEntry& entry);

class SegmentWriter {
 public:
  static constexpr std::uint64_t segment_bytes_max = 256ULL << 20;

  // background: writes what is full while more is added.
  SegmentWriter(Disk& disk, std::uint32_t journal_seed, Background& background);
  ~SegmentWriter() { background_.wait(); }
  SegmentWriter(const SegmentWriter&) = delete;
  SegmentWriter& operator=(const SegmentWriter&) = delete;
  // identity: cluster, shard, number, from and to; the rest is found out.
  base::Result<void> start(std::string_view file_name, const SegmentFileHeader& identity,
                           std::uint64_t data_bytes_max);
  // What put() brings next has the offsets of [first, end); flags: SegmentEntry's. Partitions in
  // rising order, and the offsets of each. Goes on with the segment before where it can; a gap
  // begins another one, and so does one that has segment_bytes_max.
  void cover(base::PartitionId partition, base::Offset first, base::Offset end,
             std::uint16_t flags);
  base::Result<void> put(std::span<const std::byte> batch);
  // A batch that has a record for each of its offsets: both of the above.
  base::Result<void> add(base::PartitionId partition, std::span<const std::byte> batch);
  base::Result<SegmentFile> finish(std::vector<PartitionState> partitions,
                                   std::vector<ProducerState> producers);
  // Instead of finish(): takes the file away again.
  void abandon();

 private:
  void index_batch(std::int64_t max_timestamp_ms, base::Offset base_offset);
  base::Result<void> write_out();
  base::Result<void> take_written();
  base::Result<void> write_meta();
  SegmentEntry& segment() { return meta_.segments.back(); }
  std::uint64_t position() const { return segment_data_at + written_ + staged_; }

  Disk& disk_;
  std::uint32_t seed_;
  Background& background_;
  std::string name_;  // until it is finished
  BlockBuffer staging_;
  BlockBuffer writing_;  // by the background
  base::Result<void> written_result_;
  FileId file_{};
  bool started_ = false;
  SegmentFileHeader header_;
  SegmentMeta meta_;
  std::uint64_t written_ = 0;  // data bytes in the file
  std::uint64_t staged_ = 0;   // and behind them, in staging_
  std::uint64_t spacing_ = 0;  // of the open segment's index
  std::uint64_t indexed_ = 0;  // position of its last entry
};

}  // namespace millrace::storage

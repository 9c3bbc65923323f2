// SorterLink: what a log and its sorter tell each other, each from its own thread.
// Core:  marks and the counters of the log are the shard's, the other is housekeeping's; the ring
//        leads from housekeeping to the shard.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/base/counter.h"
#include "dataplane/base/ids.h"
#include "dataplane/ring/spsc_ring.h"
#include "storage/segment_table.h"

namespace millrace::storage {

// What the sorter must know of a partition. A slot's fields are written before its id.
struct PartitionMark {
  base::Counter id_plus_one;  // 0: no partition
  base::Counter log_start;
  base::Counter damaged;
  base::Counter damage_first;
  base::Counter damage_last;
};

struct SorterMessage {
  enum class Kind : std::uint32_t {
    segment,  // `segment` of `partition` can be read, and its batches are no longer the journal's
    lost,     // the journal cannot be read from `first` to `last`
    sorted,   // everything before `last` is in segments
    surplus,  // `partition` need not keep the records before segment.end_offset
    forget,   // the file is about to be closed: nothing reads it when this is taken
  };
  Kind kind = Kind::segment;
  base::PartitionId partition{};
  base::Position first = 0;
  base::Position last = 0;
  Segment segment{};
};

struct SorterLink {
  ring::SpscRing<SorterMessage, 256> messages;
  // The log's.
  base::Counter durable;           // journal position
  base::Counter marks_changed;     // rises with each change of a mark
  base::Counter marks_written_at;  // journal position: durable there, marks are facts
  base::Counter free_segments;     // that the log has room for
  std::span<PartitionMark> marks;
  // The sorter's.
  base::Counter sorted_to;
  base::Counter stuck;        // 1: it cannot give the journal room now
  base::Counter is_disk_low;  // 1: nothing is to be appended
  base::Counter free_bytes;   // of the device
  base::Counter segment_files;
  base::Counter segment_bytes;
};

}  // namespace millrace::storage

// SorterLink: what a log and those who keep its segments (sorter and compactor) tell each other,
// each from its own thread.
// Core:  marks and the counters of the log are the shard's, the other is housekeeping's; the ring
//        leads from housekeeping to the shard.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "dataplane/base/counter.h"
#include "dataplane/base/ids.h"
#include "dataplane/ring/spsc_ring.h"
#include "storage/segment_table.h"
#include "storage/segment_writer.h"

namespace millrace::storage {

// What housekeeping must know of a partition. A slot's fields are written before its id.
struct PartitionMark {
  base::Counter id_plus_one;  // 0: no partition
  base::Counter log_start;
  base::Counter damaged;
  base::Counter damage_first;
  base::Counter damage_last;
  base::Counter tombstones_ms_plus_one;  // how long tombstones stay; 0: it is not compacted
};
using Marks = std::unordered_map<std::uint32_t, const PartitionMark*>;

struct SorterMessage {
  enum class Kind : std::uint32_t {
    segment,  // `segment` of `partition` can be read, and what is within it nowhere else any more
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

// A place of a segment file that is not as it was written.
struct ScrubFinding {
  base::PartitionId partition{~0U};  // the first one touched; ~0: none, or not known
  base::Offset first_offset = 0;
  base::Offset last_offset = 0;
  std::uint32_t text_bytes = 0;
  std::array<char, 252> text{};
};

struct SorterLink {
  ring::SpscRing<SorterMessage, 256> messages;
  // The log's.
  base::Counter durable;           // journal position
  base::Counter marks_changed;     // rises with each change of a mark
  base::Counter marks_written_at;  // journal position: durable there, marks are facts
  base::Counter free_segments;     // that the log has room for
  std::span<PartitionMark> marks;
  base::Counter marks_used;  // the others were never a partition's
  // Housekeeping's.
  base::Counter sorted_to;
  base::Counter stuck;         // 1: it cannot give the journal room now
  base::Counter is_disk_low;   // 1: nothing is to be appended
  base::Counter free_bytes;    // of the device
  base::Counter spare_bytes;   // of them, beyond what is kept free
  base::Counter usable_bytes;  // and what may be used to make room
  base::Counter segment_files;
  base::Counter segment_bytes;
  // The scrubber's, which runs where the sorter does.
  ring::SpscRing<ScrubFinding, 16> findings;
  base::Counter scrub_bytes;
  base::Counter scrub_bad_blocks;
  base::Counter scrub_passes;
};

inline Marks read_marks(const SorterLink& link) {
  Marks marks;
  for (const PartitionMark& mark : link.marks.first(link.marks_used.get())) {
    const std::uint64_t id = mark.id_plus_one.get();
    if (id != 0) marks.emplace(static_cast<std::uint32_t>(id - 1), &mark);
  }
  return marks;
}

// What the log is to be told, in order, also while the ring is full. Core: housekeeping.
class Announcements {
 public:
  explicit Announcements(SorterLink& link) : link_(link) {}

  void add(const SorterMessage& message) { messages_.push_back(message); }
  void add(const SegmentFile& file) {
    for (const SegmentEntry& entry : file.segments) {
      add({.kind = SorterMessage::Kind::segment,
           .partition = base::PartitionId{entry.partition},
           .segment = segment_of(file, entry)});
    }
  }
  // True when all of it has been told.
  bool tell() {
    while (told_ < messages_.size()) {
      if (!link_.messages.push(messages_[told_])) return false;
      ++told_;
    }
    messages_.clear();
    told_ = 0;
    return true;
  }
  // And when the log has taken it.
  bool are_taken() const {
    return messages_.empty() && link_.messages.consumed_count() == link_.messages.pushed_count();
  }

 private:
  SorterLink& link_;
  std::vector<SorterMessage> messages_;
  std::size_t told_ = 0;
};

}  // namespace millrace::storage

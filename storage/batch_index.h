// BatchIndex: where each batch of each partition lies in the journal, and when it was.
// Core:  the shard's.
// Owns:  a pool of chunks in the arena; a partition holds a list of them.
//
// Chunks carry, beside next and previous, a jump link over a skew-binary distance, so an offset or
// a time is found from the newest chunk back in a logarithmic number of steps, and the usual
// question (near the end) in one. Links that lead to chunks dropped from the front are known by
// their depth and not followed.
#pragma once

#include <cstdint>
#include <limits>
#include <span>

#include "dataplane/base/arena.h"
#include "dataplane/base/ids.h"

namespace millrace::storage {

struct BatchEntry {
  base::Position position = 0;  // of the batch's first byte
  std::int64_t max_timestamp_ms =
      0;                           // the highest of this and all earlier batches of the partition
  std::uint32_t offset_delta = 0;  // from the chunk's first offset
  std::uint32_t bytes = 0;         // of the batch
};

class BatchIndex {
 public:
  static constexpr std::uint32_t none = 0xffff'ffffU;
  static constexpr std::uint32_t entries_per_chunk = 30;

  struct Chunk {
    base::Offset first_offset = 0;
    std::uint32_t count = 0;
    std::uint32_t next = none;
    std::uint32_t previous = none;
    std::uint32_t jump = none;
    std::uint32_t depth = 0;  // chunks that were ever before this one
    std::uint32_t jump_depth = 0;
    std::uint64_t bytes_before = 0;  // of all batches ever added before this chunk
    BatchEntry entries[entries_per_chunk];
  };

  // A partition's list.
  struct List {
    std::uint32_t first = none;
    std::uint32_t last = none;
    std::uint32_t first_entry = 0;  // in the first chunk; those before it were dropped
    std::uint32_t first_depth = 0;
    std::uint64_t bytes_added = 0;  // ever
  };

  // A place in a list; stays right until it is dropped, since batches are only added at its end.
  struct Place {
    std::uint32_t chunk = none;
    std::uint32_t entry = 0;
    bool valid() const { return chunk != none; }
  };

  BatchIndex(base::Arena& arena, std::uint32_t chunks_max);
  static std::uint64_t arena_bytes(std::uint32_t chunks_max) {
    return chunks_max * sizeof(Chunk) + 4096;
  }

  // False when the pool is empty; asked before a batch is taken, so add() cannot fail.
  bool has_room() const { return free_ != none || unused_ < chunks_.size(); }
  void add(List& list, base::Offset base_offset, const BatchEntry& entry);
  void clear(List& list);
  // Forgets the batches that start before `offset`: chunks at once, whatever their number. The
  // bytes of those batches.
  std::uint64_t drop_before(List& list, base::Offset offset);

  // The last batch that starts at or before `offset`, or the first one when all start after it;
  // invalid when the list is empty.
  Place find_offset(const List& list, base::Offset offset) const;
  // The first batch whose newest record is at or past the time.
  Place find_time(const List& list, std::int64_t timestamp_ms) const;

  const BatchEntry& entry(Place place) const { return chunks_[place.chunk].entries[place.entry]; }
  base::Offset offset_at(Place place) const {
    return chunks_[place.chunk].first_offset + entry(place).offset_delta;
  }
  // The place after this one; invalid at the end.
  Place next(Place place) const;
  Place first(const List& list) const { return {list.first, list.first_entry}; }

 private:
  std::uint32_t allocate_chunk();
  // Of all batches ever added before the place; past the end, of all.
  std::uint64_t bytes_before(const List& list, Place place) const;
  static bool can_jump(const List& list, const Chunk& chunk) {
    return chunk.jump != none && chunk.jump_depth >= list.first_depth;
  }
  template <typename Before>
  std::uint32_t last_chunk_where(const List& list, Before before) const;

  std::span<Chunk> chunks_;
  std::uint32_t unused_ = 0;  // chunks from here on were never used
  std::uint32_t free_ = none;
};

}  // namespace millrace::storage

// SegmentTable: which segments of each partition lie in which file.
// Core:  the shard's.
// Owns:  a pool of nodes in the arena; a partition holds a list of them, oldest segment first.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>

#include "dataplane/base/arena.h"
#include "dataplane/base/ids.h"
#include "storage/disk.h"
#include "storage/segment.h"

namespace millrace::storage {

// As a reader needs it (SegmentEntry is what the file says).
struct Segment {
  FileId file{};
  std::uint16_t index_count = 0;
  bool is_sparse = false;
  base::Offset first_offset = 0;
  base::Offset end_offset = 0;
  std::uint64_t position = 0;  // in the file
  std::uint64_t bytes = 0;
  std::uint64_t index_at = 0;  // in the file
  std::int64_t max_timestamp_ms = 0;
};

class SegmentTable {
 public:
  static constexpr std::uint32_t none = 0xffff'ffffU;
  static constexpr std::uint32_t segments_per_node = 6;  // a few files hold nearly all

  // A segment in the memory that all partitions' segments share.
  struct Packed {
    base::Offset first_offset;
    base::Offset end_offset;
    std::int64_t max_timestamp_ms;
    std::uint64_t index_at;
    std::uint64_t bytes : 40;  // below segment_bytes_limit
    std::uint64_t file : 24;
    std::uint64_t position : 48;  // up to data_bytes_max
    std::uint64_t index_count : 15;
    std::uint64_t is_sparse : 1;
  };
  static_assert(sizeof(Packed) == 48 && index_entries_max < 1U << 15);
  static_assert(segment_bytes_limit == 1ULL << 40 && data_bytes_max < 1ULL << 48);
  struct Node {
    std::uint32_t next = none;
    std::uint32_t previous = none;
    std::uint32_t count = 0;
    std::uint32_t reserved = 0;
    Packed segments[segments_per_node];
  };
  struct List {
    std::uint32_t first = none;
    std::uint32_t last = none;
    bool empty() const { return first == none; }
  };

  SegmentTable(base::Arena& arena, std::uint32_t nodes_max);
  static std::uint64_t arena_bytes(std::uint32_t nodes_max) {
    return nodes_max * sizeof(Node) + 4096;
  }

  // Takes the place of all segments that lie within it, and needs no room if there is one; the
  // bytes they held. Offsets of segments do not overlap otherwise. Nothing when there is no room,
  // and then nothing has changed.
  std::optional<std::uint64_t> put(List& list, const Segment& segment);
  // Forgets the segments that end at or before `offset`; the bytes they held.
  std::uint64_t drop_before(List& list, base::Offset offset);
  std::uint64_t clear(List& list);

  // The segment that holds the offset; nothing if there is none.
  std::optional<Segment> find_offset(const List& list, base::Offset offset) const;
  // The first segment that begins past the offset; nothing if there is none.
  std::optional<Segment> find_after(const List& list, base::Offset offset) const;
  // The first segment with a batch at or past the time; nothing if there is none.
  std::optional<Segment> find_time(const List& list, std::int64_t timestamp_ms) const;
  std::optional<Segment> first(const List& list) const;
  std::optional<Segment> last(const List& list) const;
  std::uint32_t free_nodes() const { return free_nodes_; }

 private:
  std::uint32_t insert_node(List& list, std::uint32_t after);
  std::uint32_t split_node(List& list, std::uint32_t id, base::Offset offset);
  void remove_node(List& list, std::uint32_t id);
  std::uint64_t erase_within(List& list, const Segment& segment);

  std::span<Node> nodes_;
  std::uint32_t unused_ = 0;
  std::uint32_t free_ = none;
  std::uint32_t free_nodes_;
};

}  // namespace millrace::storage

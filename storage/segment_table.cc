#include "storage/segment_table.h"

#include <algorithm>

#include "dataplane/base/check.h"

namespace millrace::storage {
namespace {

constexpr std::uint32_t file_bits = 24;

SegmentTable::Packed pack(const Segment& segment) {
  const auto file = static_cast<std::uint32_t>(segment.file);
  CHECK(segment.bytes < segment_bytes_limit && file < 1U << file_bits);
  SegmentTable::Packed packed{};
  packed.first_offset = segment.first_offset;
  packed.end_offset = segment.end_offset;
  packed.max_timestamp_ms = segment.max_timestamp_ms;
  packed.index_at = segment.index_at;
  packed.bytes = segment.bytes;
  packed.file = file;
  packed.position = segment.position;
  packed.index_count = segment.index_count;
  packed.is_sparse = segment.is_sparse ? 1 : 0;
  return packed;
}

Segment unpack(const SegmentTable::Packed& packed) {
  return {.file = FileId{static_cast<std::uint32_t>(packed.file)},
          .index_count = static_cast<std::uint16_t>(packed.index_count),
          .is_sparse = packed.is_sparse != 0,
          .first_offset = packed.first_offset,
          .end_offset = packed.end_offset,
          .position = packed.position,
          .bytes = packed.bytes,
          .index_at = packed.index_at,
          .max_timestamp_ms = packed.max_timestamp_ms};
}

}  // namespace

SegmentTable::SegmentTable(base::Arena& arena, std::uint32_t nodes_max)
    : nodes_(arena.allocate_untouched<Node>(nodes_max)), free_nodes_(nodes_max) {}

std::optional<std::uint64_t> SegmentTable::put(List& list, const Segment& segment) {
  const std::uint64_t replaced = erase_within(list, segment);
  // Behind the last node that begins before it; nearly always the last of all.
  std::uint32_t id = list.last;
  while (id != none && nodes_[id].segments[0].first_offset > segment.first_offset)
    id = nodes_[id].previous;
  // What it replaced may have left room on either side of its place.
  const std::uint32_t next = id == none ? list.first : nodes_[id].next;
  const bool is_full = id == none || nodes_[id].count == segments_per_node;
  const bool is_between =
      id == none || nodes_[id].segments[nodes_[id].count - 1].first_offset < segment.first_offset;
  if (is_full && is_between && next != none && nodes_[next].count < segments_per_node) {
    id = next;
  } else if (is_full) {
    if (free_nodes_ == 0) return {};
    id = id == none ? insert_node(list, none) : split_node(list, id, segment.first_offset);
  }
  Node& node = nodes_[id];
  Packed* end = node.segments + node.count;
  Packed* at = std::find_if(node.segments, end,
                            [&](const Packed& s) { return s.first_offset > segment.first_offset; });
  std::copy_backward(at, end, end + 1);
  *at = pack(segment);
  ++node.count;
  return replaced;
}

// Of a full node and a new one behind it, the one in which the offset belongs.
std::uint32_t SegmentTable::split_node(List& list, std::uint32_t id, base::Offset offset) {
  const bool at_end = nodes_[id].segments[segments_per_node - 1].first_offset < offset;
  const std::uint32_t next = insert_node(list, id);
  Node& full = nodes_[id];
  Node& fresh = nodes_[next];
  const std::uint32_t kept = at_end ? segments_per_node : segments_per_node / 2;
  fresh.count = segments_per_node - kept;
  std::copy(full.segments + kept, full.segments + segments_per_node, fresh.segments);
  full.count = kept;
  return at_end || fresh.segments[0].first_offset < offset ? next : id;
}

std::uint64_t SegmentTable::erase_within(List& list, const Segment& segment) {
  std::uint64_t bytes = 0;
  for (std::uint32_t id = list.last; id != none;) {
    Node& node = nodes_[id];
    if (node.segments[node.count - 1].end_offset <= segment.first_offset) break;
    const std::uint32_t previous = node.previous;
    std::uint32_t kept = 0;
    for (std::uint32_t i = 0; i < node.count; ++i) {
      const Packed& old = node.segments[i];
      if (old.first_offset >= segment.first_offset && old.end_offset <= segment.end_offset) {
        bytes += old.bytes;
      } else {
        node.segments[kept++] = old;
      }
    }
    node.count = kept;
    if (kept == 0) remove_node(list, id);
    id = previous;
  }
  return bytes;
}

std::uint64_t SegmentTable::drop_before(List& list, base::Offset offset) {
  std::uint64_t bytes = 0;
  while (list.first != none) {
    Node& node = nodes_[list.first];
    std::uint32_t gone = 0;
    while (gone < node.count && node.segments[gone].end_offset <= offset) {
      bytes += node.segments[gone++].bytes;
    }
    if (gone == 0) break;
    std::copy(node.segments + gone, node.segments + node.count, node.segments);
    node.count -= gone;
    if (node.count != 0) break;
    remove_node(list, list.first);
  }
  return bytes;
}

std::uint64_t SegmentTable::clear(List& list) {
  return drop_before(list, std::numeric_limits<base::Offset>::max());
}

std::optional<Segment> SegmentTable::find_offset(const List& list, base::Offset offset) const {
  std::uint32_t id = list.last;
  while (id != none && nodes_[id].segments[0].first_offset > offset) id = nodes_[id].previous;
  if (id == none) return {};
  const Node& node = nodes_[id];
  const Packed* after =
      std::upper_bound(node.segments, node.segments + node.count, offset,
                       [](base::Offset o, const Packed& s) { return o < s.first_offset; });
  const Packed* found = after - 1;
  if (offset >= found->end_offset) return {};
  return unpack(*found);
}

std::optional<Segment> SegmentTable::find_after(const List& list, base::Offset offset) const {
  for (std::uint32_t id = list.first; id != none; id = nodes_[id].next) {
    for (std::uint32_t i = 0; i < nodes_[id].count; ++i) {
      if (nodes_[id].segments[i].first_offset > offset) return unpack(nodes_[id].segments[i]);
    }
  }
  return {};
}

std::optional<Segment> SegmentTable::find_time(const List& list, std::int64_t timestamp_ms) const {
  for (std::uint32_t id = list.first; id != none; id = nodes_[id].next) {
    for (std::uint32_t i = 0; i < nodes_[id].count; ++i) {
      if (nodes_[id].segments[i].max_timestamp_ms >= timestamp_ms) {
        return unpack(nodes_[id].segments[i]);
      }
    }
  }
  return {};
}

std::optional<Segment> SegmentTable::first(const List& list) const {
  if (list.first == none) return {};
  return unpack(nodes_[list.first].segments[0]);
}

std::optional<Segment> SegmentTable::last(const List& list) const {
  if (list.last == none) return {};
  return unpack(nodes_[list.last].segments[nodes_[list.last].count - 1]);
}

std::uint32_t SegmentTable::insert_node(List& list, std::uint32_t after) {
  std::uint32_t id = free_;
  if (id != none) {
    free_ = nodes_[id].next;
  } else {
    CHECK(unused_ < nodes_.size());
    id = unused_++;
  }
  --free_nodes_;
  new (&nodes_[id]) Node();
  Node& node = nodes_[id];
  node.previous = after;
  node.next = after == none ? list.first : nodes_[after].next;
  (node.previous == none ? list.first : nodes_[node.previous].next) = id;
  (node.next == none ? list.last : nodes_[node.next].previous) = id;
  return id;
}

void SegmentTable::remove_node(List& list, std::uint32_t id) {
  Node& node = nodes_[id];
  (node.previous == none ? list.first : nodes_[node.previous].next) = node.next;
  (node.next == none ? list.last : nodes_[node.next].previous) = node.previous;
  node.next = free_;
  free_ = id;
  ++free_nodes_;
}

}  // namespace millrace::storage

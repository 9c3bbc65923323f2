#include "storage/batch_index.h"

#include <algorithm>

namespace millrace::storage {

BatchIndex::BatchIndex(base::Arena& arena, std::uint32_t chunks_max)
    : chunks_(arena.allocate_untouched<Chunk>(chunks_max)) {}

std::uint32_t BatchIndex::allocate_chunk() {
  std::uint32_t id = free_;
  if (id != none) {
    free_ = chunks_[id].next;
  } else {
    CHECK(unused_ < chunks_.size());
    id = unused_++;
  }
  new (&chunks_[id]) Chunk();
  return id;
}

void BatchIndex::add(List& list, base::Offset base_offset, const BatchEntry& entry) {
  const bool chunk_full =
      list.last == none || chunks_[list.last].count == entries_per_chunk ||
      base_offset - chunks_[list.last].first_offset > std::numeric_limits<std::uint32_t>::max();
  if (chunk_full) {
    const std::uint32_t id = allocate_chunk();
    Chunk& chunk = chunks_[id];
    chunk.first_offset = base_offset;
    chunk.previous = list.last;
    chunk.bytes_before = list.bytes_added;
    if (list.last == none) {
      list.first = id;
    } else {
      Chunk& before = chunks_[list.last];
      before.next = id;
      chunk.depth = before.depth + 1;
      chunk.jump = list.last;
      chunk.jump_depth = before.depth;
      if (can_jump(list, before)) {
        const Chunk& middle = chunks_[before.jump];
        if (can_jump(list, middle) &&
            before.depth - middle.depth == middle.depth - middle.jump_depth) {
          chunk.jump = middle.jump;
          chunk.jump_depth = middle.jump_depth;
        }
      }
    }
    list.last = id;
  }
  Chunk& chunk = chunks_[list.last];
  BatchEntry& slot = chunk.entries[chunk.count];
  slot = entry;
  slot.offset_delta = static_cast<std::uint32_t>(base_offset - chunk.first_offset);
  std::int64_t highest_before = std::numeric_limits<std::int64_t>::min();
  if (chunk.count > 0) {
    highest_before = chunk.entries[chunk.count - 1].max_timestamp_ms;
  } else if (chunk.previous != none && chunk.depth > list.first_depth) {
    highest_before =
        chunks_[chunk.previous].entries[chunks_[chunk.previous].count - 1].max_timestamp_ms;
  }
  slot.max_timestamp_ms = std::max(slot.max_timestamp_ms, highest_before);
  ++chunk.count;
  list.bytes_added += entry.bytes;
}

void BatchIndex::clear(List& list) {
  if (list.first == none) return;
  chunks_[list.last].next = free_;
  free_ = list.first;
  list = List();
}

std::uint64_t BatchIndex::bytes_before(const List& list, Place place) const {
  if (!place.valid()) return list.bytes_added;
  const Chunk& chunk = chunks_[place.chunk];
  std::uint64_t bytes = chunk.bytes_before;
  for (std::uint32_t i = 0; i < place.entry; ++i) bytes += chunk.entries[i].bytes;
  return bytes;
}

std::uint64_t BatchIndex::drop_before(List& list, base::Offset offset) {
  if (list.first == none) return 0;
  Place keep = find_offset(list, offset);
  if (offset_at(keep) < offset) keep = next(keep);
  const std::uint64_t dropped = bytes_before(list, keep) - bytes_before(list, first(list));
  if (!keep.valid()) {
    clear(list);
    return dropped;
  }
  if (keep.chunk != list.first) {
    chunks_[chunks_[keep.chunk].previous].next = free_;
    free_ = list.first;
    list.first = keep.chunk;
    list.first_depth = chunks_[keep.chunk].depth;
  }
  list.first_entry = keep.entry;
  return dropped;
}

// The newest chunk for which before(chunk) holds; `before` holds for a prefix of the list. None
// when for none.
template <typename Before>
std::uint32_t BatchIndex::last_chunk_where(const List& list, Before before) const {
  std::uint32_t id = list.last;
  while (id != none && !before(chunks_[id])) {
    const Chunk& chunk = chunks_[id];
    if (id == list.first) return none;
    id = can_jump(list, chunk) && !before(chunks_[chunk.jump]) ? chunk.jump : chunk.previous;
  }
  return id;
}

BatchIndex::Place BatchIndex::find_offset(const List& list, base::Offset offset) const {
  std::uint32_t id =
      last_chunk_where(list, [&](const Chunk& c) { return c.first_offset <= offset; });
  if (id == none) return first(list);
  const Chunk& chunk = chunks_[id];
  const std::uint32_t from = id == list.first ? list.first_entry : 0;
  const auto delta = static_cast<std::uint64_t>(offset - chunk.first_offset);
  const BatchEntry* after =
      std::upper_bound(chunk.entries + from, chunk.entries + chunk.count, delta,
                       [](std::uint64_t d, const BatchEntry& e) { return d < e.offset_delta; });
  return {id, std::max(static_cast<std::uint32_t>(after - chunk.entries), from + 1) - 1};
}

BatchIndex::Place BatchIndex::find_time(const List& list, std::int64_t timestamp_ms) const {
  const std::uint32_t id = last_chunk_where(
      list, [&](const Chunk& c) { return c.entries[c.count - 1].max_timestamp_ms < timestamp_ms; });
  const std::uint32_t holder = id == none ? list.first : chunks_[id].next;
  if (holder == none) return {};
  const Chunk& chunk = chunks_[holder];
  const std::uint32_t from = holder == list.first ? list.first_entry : 0;
  const BatchEntry* at =
      std::lower_bound(chunk.entries + from, chunk.entries + chunk.count, timestamp_ms,
                       [](const BatchEntry& e, std::int64_t t) { return e.max_timestamp_ms < t; });
  return {holder, static_cast<std::uint32_t>(at - chunk.entries)};
}

BatchIndex::Place BatchIndex::next(Place place) const {
  const Chunk& chunk = chunks_[place.chunk];
  if (place.entry + 1 < chunk.count) return {place.chunk, place.entry + 1};
  return {chunk.next, 0};
}

}  // namespace millrace::storage

// Reading: of a Log, from memory, journal and segments.
#include <algorithm>
#include <cstring>
#include <utility>

#include "dataplane/base/units.h"
#include "storage/log.h"

namespace millrace::storage {

Log::Cursor Log::cursor_at(std::uint32_t slot, base::Offset offset) const {
  const Partition& partition = partitions_[slot];
  if (offset >= partition.log_end) return {.offset = partition.log_end};
  if (offset < partition.journal_start) return {.offset = offset};
  const auto place = index_.find_offset(partition.index, offset);
  if (!place.valid()) return {.offset = partition.log_end};
  return {.offset = index_.offset_at(place), .place = place};
}

Log::Cursor Log::cursor_at_time(std::uint32_t slot, std::int64_t timestamp_ms) const {
  const Partition& partition = partitions_[slot];
  if (const auto segment = segments_.find_time(partition.segments, timestamp_ms)) {
    return {.offset = std::max(segment->first_offset, partition.log_start),
            .from_ms = timestamp_ms};
  }
  return journal_cursor_at_time(partition, timestamp_ms);
}

Log::Cursor Log::journal_cursor_at_time(const Partition& partition,
                                        std::int64_t timestamp_ms) const {
  const auto place = index_.find_time(partition.index, timestamp_ms);
  if (!place.valid()) return {.offset = partition.log_end};
  return {.offset = index_.offset_at(place), .place = place};
}

// What was new enough in the segments before the offset lies before the log's start.
Log::Cursor Log::later_cursor_at_time(const Partition& partition, base::Offset offset,
                                      std::int64_t timestamp_ms) const {
  while (const auto segment = segments_.find_offset(partition.segments, offset)) {
    if (segment->max_timestamp_ms >= timestamp_ms)
      return {.offset = offset, .from_ms = timestamp_ms};
    offset = segment->end_offset;
  }
  return journal_cursor_at_time(partition, timestamp_ms);
}

Log::ReadStatus Log::read(std::uint32_t slot, Cursor& cursor, std::uint32_t max_bytes,
                          Slice& slice) {
  const Partition& partition = partitions_[slot];
  if (cursor.offset >= partition.log_end) {
    return cursor.offset == partition.log_end ? ReadStatus::at_end : ReadStatus::out_of_range;
  }
  std::optional<ReadStatus> read;
  while (!read && cursor.offset < partition.journal_start) {
    read = read_segment(partition, cursor, max_bytes, slice);
  }
  if (!read && cursor.offset == partition.log_end) return ReadStatus::at_end;
  const ReadStatus status = read ? *read : read_journal(partition, cursor, max_bytes, slice);
  if (cursor.offset >= partition.log_start) return status;
  // The batch in which the log starts is read from its beginning; what is missing before it is
  // missed by nobody.
  const bool holds_start = status == ReadStatus::ready && slice.end_offset > partition.log_start;
  return holds_start || status == ReadStatus::pending ? status : ReadStatus::out_of_range;
}

Log::ReadStatus Log::read_journal(const Partition& partition, Cursor& cursor,
                                  std::uint32_t max_bytes, Slice& slice) {
  cursor.found = false;
  cursor.from_ms = no_time;
  if (!cursor.place.valid()) {
    cursor.place = index_.find_offset(partition.index, cursor.offset);
    if (!cursor.place.valid()) return ReadStatus::out_of_range;
  }
  const base::Offset base_offset = index_.offset_at(cursor.place);
  const ReadStatus missing = partition.damaged ? ReadStatus::damaged : ReadStatus::out_of_range;
  if (base_offset > cursor.offset) return missing;
  if (base_offset != cursor.offset && cursor.skip_bytes != 0) return ReadStatus::out_of_range;
  const BatchEntry& entry = index_.entry(cursor.place);
  if (cursor.skip_bytes >= entry.bytes) return ReadStatus::out_of_range;
  const std::byte* batch = journal_->in_tail(entry.position, entry.bytes);
  slice.buffer = none;
  if (batch == nullptr) {
    const std::uint64_t file_bytes = options_.journal.file_bytes;
    const Source source{
        .of_journal = true,
        .end = std::min(base::align_down(entry.position, file_bytes) + file_bytes,
                        base::align_down(journal_->durable_position(), block_bytes))};
    ReadStatus status = ReadStatus::ready;
    batch = fetch(source, entry.position, entry.bytes, slice.buffer, status);
    if (batch == nullptr) return status;
    if (!is_sound(slice.buffer, batch, entry.position, entry.bytes)) return ReadStatus::damaged;
  }
  if (BatchView(batch).last_offset() < cursor.offset) return missing;
  cursor.offset = base_offset;
  fill(slice, cursor, batch, entry.bytes, max_bytes);
  slice.position = entry.position;
  return ReadStatus::ready;
}

void Log::fill(Slice& slice, const Cursor& cursor, const std::byte* batch,
               std::uint32_t batch_bytes, std::uint32_t max_bytes) {
  slice.bytes = batch + cursor.skip_bytes;
  slice.byte_count = std::min(batch_bytes - cursor.skip_bytes, max_bytes);
  slice.skip_bytes = cursor.skip_bytes;
  slice.batch_bytes = batch_bytes;
  slice.asked_offset = cursor.asked_offset();
  slice.base_offset = cursor.offset;
  slice.end_offset = BatchView(batch).last_offset() + 1;
}

void Log::advance(Cursor& cursor, const Slice& slice) const {
  if (slice.skip_bytes + slice.byte_count < slice.batch_bytes) {
    cursor.skip_bytes = slice.skip_bytes + slice.byte_count;
    return;
  }
  cursor.offset = slice.end_offset;
  cursor.gap_from = -1;
  cursor.skip_bytes = 0;
  if (cursor.place.valid()) {
    cursor.place = index_.next(cursor.place);
  } else {
    cursor.position += slice.batch_bytes;
    cursor.batch_offset = slice.end_offset;
  }
}

// --- reading segments ---

std::optional<Log::ReadStatus> Log::read_segment(const Partition& partition, Cursor& cursor,
                                                 std::uint32_t max_bytes, Slice& slice) {
  const auto segment = segments_.find_offset(partition.segments, cursor.offset);
  if (!segment) return ReadStatus::damaged;
  const std::uint64_t segment_end = segment->position + segment->bytes;
  const bool is_here =
      !cursor.place.valid() && cursor.version == partition.segments_version &&
      cursor.file == segment->file && cursor.position >= segment->position &&
      (cursor.position < segment_end || (cursor.position == segment_end && segment->is_sparse));
  if (!is_here) {
    const bool at_start = cursor.offset == segment->first_offset && cursor.from_ms == no_time;
    cursor.place = {};
    cursor.file = segment->file;
    cursor.version = partition.segments_version;
    cursor.position = 0;
    if (at_start) go_to_first(*segment, cursor);
    cursor.found = at_start;
    cursor.distrusts_index = false;
  }
  ReadStatus status = ReadStatus::ready;
  if (!cursor.found) status = look_up(*segment, cursor);
  if (status != ReadStatus::ready) return status;
  if (cursor.position == segment_end) {
    if (cursor.from_ms == no_time) {
      jump(cursor, segment->end_offset);
      cursor.batch_offset = segment->end_offset;
    } else {
      const base::Offset gap_from = cursor.asked_offset();
      cursor = later_cursor_at_time(partition, segment->end_offset, cursor.from_ms);
      cursor.gap_from = gap_from;
    }
    return {};
  }

  const Source source{.file = segment->file, .end = base::align_up(segment_end, block_bytes)};
  const std::byte* batch = fetch(source, cursor.position, batch_header_bytes, slice.buffer, status);
  if (batch == nullptr) return status;
  if (!is_plausible(BatchView(batch), *segment, cursor)) return ReadStatus::damaged;
  const std::uint32_t bytes = BatchView(batch).bytes();
  batch = fetch(source, cursor.position, bytes, slice.buffer, status);
  if (batch == nullptr) return status;
  const BatchView view(batch);
  if (!is_sound(slice.buffer, batch, cursor.position, bytes)) return ReadStatus::damaged;
  if (view.last_offset() < cursor.offset) return ReadStatus::damaged;
  const bool fits =
      cursor.skip_bytes == 0 || (cursor.skip_bytes < bytes && view.base_offset() == cursor.offset);
  if (segment->is_sparse) {
    // Compaction may have come since its first bytes were read: then it is read anew.
    if (!fits) cursor.skip_bytes = 0;
    if (view.base_offset() > cursor.offset) jump(cursor, view.base_offset());
  } else if (view.base_offset() > cursor.offset) {
    return ReadStatus::damaged;
  } else if (!fits) {
    return ReadStatus::out_of_range;
  }
  cursor.offset = view.base_offset();
  fill(slice, cursor, batch, bytes, max_bytes);
  slice.position = cursor.position;
  read_ahead(source, buffers_[slice.buffer], cursor.position + bytes, segment_end);
  return ReadStatus::ready;
}

// Over offsets that have no record, or none that is wanted.
void Log::jump(Cursor& cursor, base::Offset offset) {
  if (cursor.gap_from < 0) cursor.gap_from = cursor.offset;
  cursor.offset = offset;
  cursor.skip_bytes = 0;
  cursor.from_ms = no_time;
}

// May the bytes where the cursor stands be a batch of the segment? What a batch's CRC does not
// cover, its offset, has to follow from the batch before.
bool Log::is_plausible(const BatchView& batch, const Segment& segment, const Cursor& cursor) {
  const std::uint64_t left = segment.position + segment.bytes - cursor.position;
  const bool follows = segment.is_sparse ? batch.base_offset() >= cursor.batch_offset
                                         : batch.base_offset() == cursor.batch_offset;
  return batch.bytes() >= batch_header_bytes && batch.bytes() <= batch_bytes_max &&
         batch.bytes() <= left && follows && batch.last_offset() >= batch.base_offset() &&
         batch.last_offset() < segment.end_offset;
}

void Log::go_to_first(const Segment& segment, Cursor& cursor) {
  cursor.position = segment.position;
  cursor.batch_offset = segment.first_offset;
}

// Finds the batch that holds the cursor's offset, or the first at or past its time.
Log::ReadStatus Log::look_up(const Segment& segment, Cursor& cursor) {
  if (cursor.position == 0) {
    if (segment.index_count == 0 || cursor.distrusts_index) {
      go_to_first(segment, cursor);
    } else if (const auto status = read_index(segment, cursor); status != ReadStatus::ready) {
      return status;
    }
  }
  const ReadStatus status = walk(segment, cursor);
  if (status != ReadStatus::damaged || cursor.distrusts_index) return status;
  // It may have been the index that misled.
  cursor.distrusts_index = true;
  go_to_first(segment, cursor);
  return walk(segment, cursor);
}

Log::ReadStatus Log::walk(const Segment& segment, Cursor& cursor) {
  const std::uint64_t segment_end = segment.position + segment.bytes;
  const Source source{.file = segment.file, .end = base::align_up(segment_end, block_bytes)};
  while (cursor.position < segment_end) {
    std::uint32_t buffer = none;
    ReadStatus status = ReadStatus::ready;
    const std::byte* at = fetch(source, cursor.position, batch_header_bytes, buffer, status);
    if (at == nullptr) return status;
    const BatchView batch(at);
    if (!is_plausible(batch, segment, cursor)) return ReadStatus::damaged;
    const bool by_time = cursor.from_ms != no_time;
    if (!by_time && !segment.is_sparse && batch.base_offset() > cursor.offset) {
      return ReadStatus::damaged;
    }
    // Batches before the log's start may still be in the segment.
    const bool is_new_enough = !by_time || batch.max_timestamp_ms() >= cursor.from_ms;
    if (is_new_enough && batch.last_offset() >= cursor.offset) {
      cursor.found = true;
      if (by_time) jump(cursor, batch.base_offset());
      return ReadStatus::ready;
    }
    cursor.position += batch.bytes();
    cursor.batch_offset = batch.last_offset() + 1;
  }
  if (!segment.is_sparse && cursor.from_ms == no_time) return ReadStatus::damaged;
  cursor.found = true;
  return ReadStatus::ready;
}

// Only a hint: what cannot be read or leads nowhere is done without.
Log::ReadStatus Log::read_index(const Segment& segment, Cursor& cursor) {
  const auto bytes = static_cast<std::uint32_t>(segment.index_count * sizeof(IndexEntry));
  const Source source{.file = segment.file,
                      .end = base::align_up(segment.index_at + bytes, block_bytes)};
  std::uint32_t buffer = none;
  ReadStatus status = ReadStatus::ready;
  const std::byte* index = fetch(source, segment.index_at, bytes, buffer, status);
  if (status == ReadStatus::pending) return status;
  go_to_first(segment, cursor);
  cursor.distrusts_index = index == nullptr;
  std::uint32_t low = 0;
  std::uint32_t high = index == nullptr ? 0 : segment.index_count;
  while (low < high) {
    const std::uint32_t middle = low + (high - low) / 2;
    IndexEntry entry;
    std::memcpy(&entry, index + middle * sizeof entry, sizeof entry);
    const bool before = cursor.from_ms != no_time ? entry.max_timestamp_before_ms < cursor.from_ms
                                                  : entry.first_offset <= cursor.offset;
    if (before) {
      const bool inside =
          entry.position >= segment.position && entry.position < segment.position + segment.bytes;
      if (inside) {
        cursor.position = entry.position;
        cursor.batch_offset = entry.first_offset;
      }
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return ReadStatus::ready;
}

// Whoever reads one window will soon want the next.
void Log::read_ahead(const Source& source, ReadBuffer& buffer, std::uint64_t position,
                     std::uint64_t end) {
  if (buffer.was_read_ahead) return;
  buffer.was_read_ahead = true;
  const std::uint64_t loaded_end = buffer.position + buffer.bytes;
  while (position + batch_header_bytes <= std::min(loaded_end, end)) {
    const std::uint32_t bytes =
        BatchView(buffer.memory.data() + (position - buffer.position)).bytes();
    if (bytes < batch_header_bytes || bytes > batch_bytes_max) return;
    if (position + bytes > loaded_end) break;
    position += bytes;
  }
  if (position >= end) return;
  start_read(source, position, 1, std::min(2 * buffer.bytes, read_window_bytes_max));
}

// --- buffers ---

// Where the bytes lie in what was read; starts the read when they are nowhere.
const std::byte* Log::fetch(const Source& source, std::uint64_t position, std::uint32_t bytes,
                            std::uint32_t& buffer, ReadStatus& status) {
  status = ReadStatus::pending;
  for (std::uint32_t i = 0; i < options_.read_buffers; ++i) {
    ReadBuffer& candidate = buffers_[i];
    if (candidate.state == ReadBuffer::State::empty || candidate.of_journal != source.of_journal ||
        candidate.file != source.file || position < candidate.position ||
        position + bytes > candidate.position + candidate.bytes) {
      continue;
    }
    if (candidate.state == ReadBuffer::State::reading) return nullptr;
    if (candidate.failed) {
      const std::uint64_t needed_bytes =
          base::align_up(position + bytes, block_bytes) - base::align_down(position, block_bytes);
      if (candidate.bytes == needed_bytes) {
        status = ReadStatus::damaged;
        return nullptr;
      }
      // Until it can be read again it stays, as what is to be read in a smaller piece.
      if (reading() && gives_way()) return nullptr;
      candidate.state = ReadBuffer::State::empty;
      start_read(source, position, bytes, 0);
      return nullptr;
    }
    candidate.last_used = ++use_count_;
    buffer = i;
    status = ReadStatus::ready;
    return candidate.memory.data() + (position - candidate.position);
  }
  start_read(source, position, bytes, read_window_bytes);
  return nullptr;
}

// Of one batch, in pieces, the CRC is computed once.
bool Log::is_sound(std::uint32_t buffer, const std::byte* batch, std::uint64_t position,
                   std::uint32_t bytes) {
  ReadBuffer& holder = buffers_[buffer];
  if (holder.sound_at == position) return true;
  if (check_batch({batch, bytes}, Offsets::some) != BatchFault::none) return false;
  holder.sound_at = position;
  return true;
}

// Whoever appends would wait for all that the device has been asked to read before.
bool Log::gives_way() const {
  return journal_->write_in_flight() || !read_in_peace_ ||
         journal_->durable_position() != durable_at_read_;
}

void Log::start_read(const Source& source, std::uint64_t position, std::uint32_t bytes,
                     std::uint32_t window_bytes) {
  if (gives_way()) {
    if (reading()) return;
    window_bytes = std::min(window_bytes, read_window_bytes);
  }
  ReadBuffer* oldest = nullptr;
  for (std::uint32_t i = 0; i < options_.read_buffers; ++i) {
    ReadBuffer& candidate = buffers_[i];
    bool lent = false;
    for (std::uint32_t r = 0; r < readers_max; ++r) lent |= candidate.lent_until[r] > consumed_[r];
    if (lent || candidate.state == ReadBuffer::State::reading) continue;
    if (oldest == nullptr || candidate.last_used < oldest->last_used) oldest = &candidate;
  }
  if (oldest == nullptr) return;  // all in use; asked again when one completes or is given back
  const std::uint64_t first = base::align_down(position, block_bytes);
  const std::uint64_t needed_end = base::align_up(position + bytes, block_bytes);
  const std::uint64_t wanted_end = std::min(first + window_bytes, source.end);
  oldest->state = ReadBuffer::State::reading;
  oldest->failed = false;
  oldest->of_journal = source.of_journal;
  oldest->file = source.file;
  oldest->position = first;
  oldest->sound_at = ~0ULL;
  oldest->was_read_ahead = false;
  oldest->bytes = static_cast<std::uint32_t>(std::max(needed_end, wanted_end) - first);
  oldest->last_used = ++use_count_;
  ++reads_started_;
  const auto into = oldest->memory.first(oldest->bytes);
  const auto token = static_cast<std::uint64_t>(oldest - buffers_.data());
  if (source.of_journal) {
    oldest->parts_in_flight = 1;
    journal_->read(first, into, *this, token);
    return;
  }
  // Several at once keep the device busy while one is answered.
  for (std::uint32_t at = 0; at < into.size(); at += read_part_bytes) {
    const std::size_t count = std::min<std::size_t>(into.size() - at, read_part_bytes);
    ++oldest->parts_in_flight;
    disk_.read(source.file, first + at, into.subspan(at, count), *this, token);
  }
}

void Log::on_disk(std::uint64_t token, std::int32_t result) {
  ReadBuffer& buffer = buffers_[token];
  buffer.failed |= result < 0;
  if (--buffer.parts_in_flight != 0) return;
  buffer.state = ReadBuffer::State::ready;
  ++reads_completed_;
  const base::Position durable = journal_->durable_position();
  read_in_peace_ = durable == std::exchange(durable_at_read_, durable);
}

void Log::lend(const Slice& slice, std::uint32_t reader, std::uint64_t mark) {
  if (slice.buffer != none) {
    buffers_[slice.buffer].lent_until[reader] = mark;
    return;
  }
  Lent& lent = lent_[reader];
  lent.current_lowest = std::min(lent.current_lowest, slice.position);
  lent.current_end = mark;
  // At once: an append may come before the next set_consumed().
  pinned_from_ = std::min(pinned_from_, slice.position);
  journal_->set_pinned_from(pinned_from_);
}

void Log::set_consumed(std::uint32_t reader, std::uint64_t mark) {
  consumed_[reader] = mark;
  Lent& lent = lent_[reader];
  if (lent.previous_lowest == ~0ULL && lent.current_lowest == ~0ULL) return;
  if (mark >= lent.previous_end) {
    lent.previous_lowest = mark >= lent.current_end ? ~0ULL : lent.current_lowest;
    lent.previous_end = lent.current_end;
    lent.current_lowest = ~0ULL;
  }
  pinned_from_ = ~0ULL;
  for (const Lent& each : lent_)
    pinned_from_ = std::min({pinned_from_, each.previous_lowest, each.current_lowest});
  journal_->set_pinned_from(pinned_from_);
}

}  // namespace millrace::storage

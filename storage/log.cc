#include "storage/log.h"

#include <algorithm>
#include <bit>

#include "dataplane/base/units.h"

namespace millrace::storage {
namespace {

// One batch of the largest size may begin and end anywhere within a block.
constexpr std::uint32_t read_buffer_bytes = batch_bytes_max + 2 * block_bytes;

std::uint32_t index_chunks(const LogOptions& options) {
  if (options.index_chunks_max != 0) return options.index_chunks_max;
  const std::uint64_t bytes = options.journal.file_bytes * options.journal.files_max;
  return static_cast<std::uint32_t>(bytes / 256 / BatchIndex::entries_per_chunk +
                                    options.partitions_max);
}

std::uint32_t slot_table_size(const LogOptions& options) {
  return std::bit_ceil(options.partitions_max * 2);
}

}  // namespace

std::uint64_t Log::arena_bytes(const LogOptions& options) {
  return Journal::arena_bytes(options.journal) + BatchIndex::arena_bytes(index_chunks(options)) +
         options.partitions_max * sizeof(Partition) +
         slot_table_size(options) * sizeof(std::uint32_t) +
         static_cast<std::uint64_t>(options.read_buffers) * read_buffer_bytes + 64 * base::kib;
}

Log::Log(const LogOptions& options, base::Arena& arena, RecoveryVisitor* observer)
    : options_(options), observer_(observer), index_(arena, index_chunks(options)) {
  CHECK(options.read_buffers <= read_buffers_max);
  partitions_ = arena.allocate<Partition>(options.partitions_max);
  slot_table_ = arena.allocate<std::uint32_t>(slot_table_size(options));
  for (std::uint32_t i = 0; i < options.read_buffers; ++i) {
    buffers_[i].memory = arena.allocate_bytes(read_buffer_bytes, block_bytes);
  }
}

base::Result<std::unique_ptr<Log>> Log::open(const LogOptions& options, Disk& disk,
                                             base::Arena& arena, RecoveryVisitor* observer) {
  std::unique_ptr<Log> log(new Log(options, arena, observer));
  auto journal = Journal::open(options.journal, disk, arena, *log);
  if (!journal) return journal.error();
  if (log->overflowed_) {
    return base::Error(base::ErrorCode::no_space,
                       "the journal of shard {} holds more partitions or batches, deleted ones "
                       "included, than there is room for with at most {} partitions; allow more "
                       "with --max-partitions",
                       base::raw(options.journal.shard), options.partitions_max);
  }
  log->journal_ = std::move(*journal);
  log->settle_damage();
  return log;
}

// --- writing ---

Log::Appended Log::append_batch(std::uint32_t slot, std::span<const std::byte> batch, bool urgent) {
  Partition& partition = partitions_[slot];
  const base::Offset base_offset = partition.log_end;
  const auto placed = journal_->append_batch(partition.id, batch, base_offset, 0, urgent);
  take_in(partition, placed.position, placed.durable_at, BatchView(batch.data()));
  return {base_offset, placed.durable_at};
}

void Log::take_in(Partition& partition, base::Position position, base::Position durable_at,
                  const BatchView& batch) {
  index_.add(
      partition.index, partition.log_end,
      {.position = position, .max_timestamp_ms = batch.max_timestamp_ms(), .bytes = batch.bytes()});
  partition.log_end += batch.record_count();
  partition.bytes += batch.bytes();
  partition.last_durable_at = durable_at;
}

void Log::refresh_durable_end(std::uint32_t slot) {
  Partition& partition = partitions_[slot];
  if (partition.last_durable_at <= journal_->durable_position())
    partition.durable_end = partition.log_end;
}

// --- partitions ---

std::uint32_t Log::hash_slot(base::PartitionId id) const {
  return static_cast<std::uint32_t>((base::raw(id) * 0x9e37'79b9'7f4a'7c15ULL) >> 32) &
         static_cast<std::uint32_t>(slot_table_.size() - 1);
}

std::uint32_t Log::slot_of(base::PartitionId id) const {
  for (std::uint32_t at = hash_slot(id);;
       at = (at + 1) & static_cast<std::uint32_t>(slot_table_.size() - 1)) {
    if (slot_table_[at] == 0) return none;
    const std::uint32_t slot = slot_table_[at] - 1;
    if (partitions_[slot].used && partitions_[slot].id == id) return slot;
  }
}

std::uint32_t Log::create_partition(base::PartitionId id) {
  if (const std::uint32_t slot = slot_of(id); slot != none) return slot;
  std::uint32_t slot = none;
  if (first_free_ != none) {
    slot = first_free_;
    first_free_ = partitions_[slot].next_free;
  } else if (slots_used_ < partitions_.size()) {
    slot = slots_used_++;
  } else {
    return none;
  }
  Partition& partition = partitions_[slot];
  partition = Partition();
  partition.id = id;
  partition.used = true;
  // Of a partition that damage of unknown reach may have held, not even its existence can be
  // trusted.
  if (unknown_damage_) {
    partition.damaged = true;
  }
  std::uint32_t at = hash_slot(id);
  while (slot_table_[at] != 0) at = (at + 1) & static_cast<std::uint32_t>(slot_table_.size() - 1);
  slot_table_[at] = slot + 1;
  return slot;
}

void Log::remove_partition(std::uint32_t slot) {
  const auto mask = static_cast<std::uint32_t>(slot_table_.size() - 1);
  std::uint32_t hole = hash_slot(partitions_[slot].id);
  while (slot_table_[hole] != slot + 1) hole = (hole + 1) & mask;
  // Close the gap: whatever probed past this place must still be found.
  for (std::uint32_t at = (hole + 1) & mask; slot_table_[at] != 0; at = (at + 1) & mask) {
    const std::uint32_t home = hash_slot(partitions_[slot_table_[at] - 1].id);
    if (((at - home) & mask) >= ((at - hole) & mask)) {
      slot_table_[hole] = slot_table_[at];
      hole = at;
    }
  }
  slot_table_[hole] = 0;
  index_.clear(partitions_[slot].index);
  partitions_[slot] = Partition();
  partitions_[slot].next_free = first_free_;
  first_free_ = slot;
  trim_wanted_ = true;
}

void Log::drop_uncatalogued() {
  for (std::uint32_t slot = 0; slot < slots_used_; ++slot) {
    if (partitions_[slot].used && !partitions_[slot].in_catalog) remove_partition(slot);
  }
  unknown_damage_ = false;  // partitions made from here on are new
}

void Log::trim_journal() {
  if (!trim_wanted_) return;
  trim_wanted_ = false;
  base::Position oldest = journal_->append_position();
  for (std::uint32_t slot = 0; slot < slots_used_; ++slot) {
    const Partition& partition = partitions_[slot];
    if (!partition.used || partition.index.first == BatchIndex::none) continue;
    oldest = std::min(oldest, index_.entry(index_.first(partition.index)).position);
  }
  journal_->trim(oldest);
}

// --- recovery ---

void Log::on_batch(base::PartitionId id, base::Position position, const BatchView& batch) {
  const std::uint32_t slot = create_partition(id);
  // Partitions that were deleted take part until the catalog has been heard.
  if (slot == none || !index_.has_room()) {
    overflowed_ = true;
    return;
  }
  Partition& partition = partitions_[slot];
  partition.damaged = partition.damaged && partition.index.first != BatchIndex::none;
  if (partition.index.first == BatchIndex::none && !damage_seen_) {
    partition.log_start = partition.log_end = batch.base_offset();
  } else if (batch.base_offset() != partition.log_end) {
    partition.damaged = true;
    partition.damage_first = partition.log_end;
    partition.damage_last = batch.base_offset() - 1;
    partition.log_end = batch.base_offset();
  }
  take_in(partition, position, position + batch.bytes(), batch);
  partition.durable_end = partition.log_end;
  if (observer_ != nullptr) observer_->on_batch(id, position, batch);
}

void Log::on_damage(const base::PartitionId* id, base::Position first, base::Position last) {
  damage_seen_ = true;
  damage_end_ = std::max(damage_end_, last);
  if (id == nullptr) {
    unknown_damage_ = true;
  } else if (const std::uint32_t slot = create_partition(*id); slot != none) {
    partitions_[slot].damaged = true;
    partitions_[slot].damage_first = partitions_[slot].damage_last = partitions_[slot].log_end;
  }
  if (observer_ != nullptr) observer_->on_damage(id, first, last);
}

void Log::on_progress(std::uint64_t done, std::uint64_t total) {
  if (observer_ != nullptr) observer_->on_progress(done, total);
}

// Damage whose partition is not known touches each partition of which no later batch proves the
// contrary.
void Log::settle_damage() {
  if (!unknown_damage_) return;
  for (std::uint32_t slot = 0; slot < slots_used_; ++slot) {
    Partition& partition = partitions_[slot];
    if (!partition.used || partition.damaged || partition.last_durable_at > damage_end_) continue;
    partition.damaged = true;
    partition.damage_first = partition.damage_last = partition.log_end;
  }
}

// --- reading ---

Log::Cursor Log::cursor_at(std::uint32_t slot, base::Offset offset) const {
  const Partition& partition = partitions_[slot];
  if (offset >= partition.log_end) return {partition.log_end, 0, {}};
  const auto place = index_.find_offset(partition.index, offset);
  if (!place.valid()) return {partition.log_end, 0, {}};
  return {index_.offset_at(place), 0, place};
}

Log::Cursor Log::cursor_at_time(std::uint32_t slot, std::int64_t timestamp_ms) const {
  const Partition& partition = partitions_[slot];
  const auto place = index_.find_time(partition.index, timestamp_ms);
  if (!place.valid()) return {partition.log_end, 0, {}};
  return {index_.offset_at(place), 0, place};
}

Log::ReadStatus Log::read(std::uint32_t slot, Cursor& cursor, std::uint32_t max_bytes,
                          Slice& slice) {
  const Partition& partition = partitions_[slot];
  if (cursor.offset >= partition.log_end) {
    return cursor.offset == partition.log_end ? ReadStatus::at_end : ReadStatus::out_of_range;
  }
  if (!cursor.place.valid()) {
    cursor.place = index_.find_offset(partition.index, cursor.offset);
    if (!cursor.place.valid()) return ReadStatus::out_of_range;
  }
  if (index_.offset_at(cursor.place) != cursor.offset) {
    return partition.damaged ? ReadStatus::damaged : ReadStatus::out_of_range;
  }
  const BatchEntry& entry = index_.entry(cursor.place);
  if (cursor.skip_bytes >= entry.bytes) return ReadStatus::out_of_range;
  const std::byte* batch = journal_->in_tail(entry.position, entry.bytes);
  slice.buffer = none;
  if (batch == nullptr) {
    ReadStatus status = ReadStatus::ready;
    batch = find_in_buffers(entry.position, entry.bytes, slice.buffer, status);
    if (batch == nullptr) return status;
  }
  slice.bytes = batch + cursor.skip_bytes;
  slice.byte_count = std::min(entry.bytes - cursor.skip_bytes, max_bytes);
  slice.skip_bytes = cursor.skip_bytes;
  slice.batch_bytes = entry.bytes;
  slice.record_count = static_cast<std::uint32_t>(BatchView(batch).record_count());
  slice.base_offset = cursor.offset;
  slice.position = entry.position;
  return ReadStatus::ready;
}

void Log::advance(Cursor& cursor, const Slice& slice) const {
  if (slice.skip_bytes + slice.byte_count < slice.batch_bytes) {
    cursor.skip_bytes = slice.skip_bytes + slice.byte_count;
    return;
  }
  cursor.offset = slice.base_offset + slice.record_count;
  cursor.skip_bytes = 0;
  cursor.place = index_.next(cursor.place);
}

// Looks for the batch in what was read; starts the read when it is nowhere.
const std::byte* Log::find_in_buffers(base::Position position, std::uint32_t bytes,
                                      std::uint32_t& buffer, ReadStatus& status) {
  status = ReadStatus::pending;
  for (std::uint32_t i = 0; i < options_.read_buffers; ++i) {
    ReadBuffer& candidate = buffers_[i];
    if (candidate.state == ReadBuffer::State::empty || position < candidate.position ||
        position + bytes > candidate.position + candidate.bytes) {
      continue;
    }
    if (candidate.state == ReadBuffer::State::reading) return nullptr;
    if (candidate.failed && candidate.bytes > bytes + 2 * block_bytes) {
      candidate.state = ReadBuffer::State::empty;
      start_read(position, bytes, true);
      return nullptr;
    }
    const std::byte* batch = candidate.memory.data() + (position - candidate.position);
    if (candidate.failed || check_batch({batch, bytes}) != BatchFault::none) {
      status = ReadStatus::damaged;
      return nullptr;
    }
    candidate.last_used = ++use_count_;
    buffer = i;
    return batch;
  }
  start_read(position, bytes, false);
  return nullptr;
}

void Log::start_read(base::Position position, std::uint32_t bytes, bool narrow) {
  ReadBuffer* oldest = nullptr;
  for (std::uint32_t i = 0; i < options_.read_buffers; ++i) {
    ReadBuffer& candidate = buffers_[i];
    bool lent = false;
    for (std::uint32_t r = 0; r < readers_max; ++r) lent |= candidate.lent_until[r] > consumed_[r];
    if (lent || candidate.state == ReadBuffer::State::reading) continue;
    if (oldest == nullptr || candidate.last_used < oldest->last_used) oldest = &candidate;
  }
  if (oldest == nullptr) return;  // all in use; asked again when one completes or is given back
  const std::uint64_t file_bytes = options_.journal.file_bytes;
  const base::Position first = base::align_down(position, block_bytes);
  const base::Position file_end = base::align_down(position, file_bytes) + file_bytes;
  const base::Position needed_end = base::align_up(position + bytes, block_bytes);
  const base::Position durable_end = base::align_down(journal_->durable_position(), block_bytes);
  const base::Position wanted_end =
      narrow ? needed_end : std::min({first + read_window_bytes, file_end, durable_end});
  oldest->state = ReadBuffer::State::reading;
  oldest->failed = false;
  oldest->position = first;
  oldest->bytes = static_cast<std::uint32_t>(std::max(needed_end, wanted_end) - first);
  oldest->last_used = ++use_count_;
  ++reads_started_;
  journal_->read(first, oldest->memory.first(oldest->bytes), *this,
                 static_cast<std::uint64_t>(oldest - buffers_.data()));
}

void Log::on_disk(std::uint64_t token, std::int32_t result) {
  ReadBuffer& buffer = buffers_[token];
  buffer.state = ReadBuffer::State::ready;
  buffer.failed = result < 0;
  ++reads_completed_;
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

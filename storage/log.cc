#include "storage/log.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "dataplane/base/units.h"

namespace millrace::storage {
namespace {

// One batch of the largest size may begin and end anywhere within a block.
constexpr std::uint32_t read_buffer_bytes = batch_bytes_max + 2 * block_bytes;
constexpr std::uint32_t messages_per_turn = 32;
constexpr std::uint32_t retained_slots = 64;    // looked at by one retain()
constexpr std::uint32_t surplus_steps = 4096;   // batches deleted by one visit
constexpr std::uint32_t surplus_segments = 16;  // and segments

std::uint32_t index_chunks(const LogOptions& options) {
  if (options.index_chunks_max != 0) return options.index_chunks_max;
  const std::uint64_t bytes = options.journal.file_bytes * options.journal.files_max;
  return static_cast<std::uint32_t>(bytes / 256 / BatchIndex::entries_per_chunk +
                                    options.partitions_max);
}

// Nodes that a partition has for itself are seldom full.
std::uint32_t segment_nodes(const LogOptions& options) {
  if (!options.has_sorter) return 0;
  return options.segments_max / SegmentTable::segments_per_node * 2 + options.partitions_max;
}

std::uint32_t slot_table_size(const LogOptions& options) {
  return std::bit_ceil(options.partitions_max * 2);
}

}  // namespace

std::uint64_t Log::arena_bytes(const LogOptions& options) {
  return Journal::arena_bytes(options.journal) + BatchIndex::arena_bytes(index_chunks(options)) +
         SegmentTable::arena_bytes(segment_nodes(options)) +
         options.partitions_max * (sizeof(Partition) + sizeof(PartitionMark)) +
         slot_table_size(options) * sizeof(std::uint32_t) +
         static_cast<std::uint64_t>(options.read_buffers) * read_buffer_bytes + 64 * base::kib;
}

Log::Log(const LogOptions& options, Disk& disk, base::Arena& arena, RecoveryVisitor* observer)
    : options_(options),
      observer_(observer),
      disk_(disk),
      index_(arena, index_chunks(options)),
      segments_(arena, segment_nodes(options)) {
  CHECK(options.read_buffers <= read_buffers_max);
  partitions_ = arena.allocate_untouched<Partition>(options.partitions_max);
  slot_table_ = arena.allocate<std::uint32_t>(slot_table_size(options));
  if (options.has_sorter) {
    link_.marks = arena.allocate_untouched<PartitionMark>(options.partitions_max);
  }
  for (std::uint32_t i = 0; i < options.read_buffers; ++i) {
    buffers_[i].memory = arena.allocate_bytes(read_buffer_bytes, block_bytes);
  }
}

base::Result<std::unique_ptr<Log>> Log::open(const LogOptions& options, Disk& disk,
                                             base::Arena& arena, RecoveryVisitor* observer) {
  std::unique_ptr<Log> log(new Log(options, disk, arena, observer));
  JournalOptions journal_options = options.journal;
  if (options.has_sorter) {
    if (auto opened = log->open_segments(); !opened) return opened.error();
    const SegmentStore& store = *log->store_;
    const bool was_sorted = store.checkpoint().sorted_to != 0 || !store.broken().empty();
    if (was_sorted) journal_options.recover_from = store.checkpoint().sorted_to;
  }
  auto journal = Journal::open(journal_options, disk, arena, *log);
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
  if (options.has_sorter) {
    log->settle_segments();
    // Housekeeping may look at it before the log's first turn.
    log->link_.durable.set(log->journal_->durable_position());
    log->sorter_ = std::make_unique<Sorter>(options.sorter, disk, *log->journal_, *log->store_,
                                            log->link_, log->announcements_);
    log->compactor_ = std::make_unique<Compactor>(options.compactor, log->journal_->options(), disk,
                                                  *log->store_, log->link_, log->announcements_);
    log->scrubber_ = std::make_unique<Scrubber>(options.scrubber, disk, *log->store_, log->link_);
  }
  return log;
}

base::Result<bool> Log::keep_house(std::uint64_t now_ns, std::int64_t wall_ms) {
  auto prepared = journal_->prepare_files();
  if (!prepared || sorter_ == nullptr) return prepared;
  if (*prepared) sorter_->look_again();
  auto sorted = sorter_->step(now_ns);
  if (!sorted) return sorted;
  auto compacted = compactor_->step(now_ns, wall_ms);
  if (!compacted) return compacted;
  if (*compacted) sorter_->look_again();
  return *prepared || *sorted || *compacted || scrubber_->step(now_ns);
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
  mark(partition);
  // Of a partition that damage of unknown reach may have held, not even its existence can be
  // trusted.
  if (unknown_damage_) set_damage(partition, 0, 0);
  std::uint32_t at = hash_slot(id);
  while (slot_table_[at] != 0) at = (at + 1) & static_cast<std::uint32_t>(slot_table_.size() - 1);
  slot_table_[at] = slot + 1;
  return slot;
}

void Log::remove_partition(std::uint32_t slot) {
  // Whoever reads the files without the catalog is to miss nothing of it. Where the journal has no
  // room for that, the next pass of the sorter says so.
  raise_log_start(partitions_[slot], partitions_[slot].log_end);
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
  segments_.clear(partitions_[slot].segments);
  if (!link_.marks.empty()) {
    link_.marks[slot].id_plus_one.set(0);
    link_.marks_changed.add();
  }
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
  if (sorter_ != nullptr) return;  // which leaves out what is no longer wanted, and trims
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
  const bool is_new = slot_of(id) == none;
  const std::uint32_t slot = create_partition(id);
  // Partitions that were deleted take part until the catalog has been heard.
  if (slot == none || !index_.has_room()) {
    overflowed_ = true;
    return;
  }
  Partition& partition = partitions_[slot];
  if (is_new) partition.damaged = false;
  if (is_new && !damage_seen_) {
    partition.log_start = partition.journal_start = partition.log_end = batch.base_offset();
  } else if (batch.base_offset() != partition.log_end) {
    set_damage(partition, partition.log_end, batch.base_offset() - 1);
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
    set_damage(partitions_[slot], partitions_[slot].log_end, partitions_[slot].log_end);
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
    set_damage(partition, partition.log_end, partition.log_end);
  }
}

void Log::on_producer(const ProducerState& producer) {
  if (observer_ != nullptr) observer_->on_producer(producer);
}

void Log::set_damage(Partition& partition, base::Offset first, base::Offset last) {
  partition.damaged = true;
  partition.damage_first = first;
  partition.damage_last = last;
  mark(partition);
}

void Log::mark(const Partition& partition) {
  if (link_.marks.empty()) return;
  const auto slot = static_cast<std::size_t>(&partition - partitions_.data());
  PartitionMark& mark = link_.marks[slot];
  mark.log_start.set(static_cast<std::uint64_t>(partition.log_start));
  mark.damaged.set(partition.damaged ? 1 : 0);
  mark.damage_first.set(static_cast<std::uint64_t>(partition.damage_first));
  mark.damage_last.set(static_cast<std::uint64_t>(partition.damage_last));
  mark.tombstones_ms_plus_one.set(
      static_cast<std::uint64_t>(partition.retention.tombstones_ms + 1));
  mark.id_plus_one.set(std::uint64_t{base::raw(partition.id)} + 1);
  if (link_.marks_used.get() <= slot) link_.marks_used.set(slot + 1);
  link_.marks_changed.add();
}

void Log::on_log_start(base::PartitionId id, base::Offset offset) {
  const std::uint32_t slot = slot_of(id);
  if (slot == none) return;
  Partition& partition = partitions_[slot];
  partition.log_end = std::max(partition.log_end, offset);
  apply_log_start(partition, offset);
}

// --- segments ---

base::Result<void> Log::open_segments() {
  const JournalOptions& journal = options_.journal;
  store_ = std::make_unique<SegmentStore>(disk_, journal_seed(journal.cluster_id, journal.shard));
  if (auto opened = store_->open(); !opened) return opened;
  const Checkpoint& checkpoint = store_->checkpoint();
  for (const PartitionState& state : checkpoint.partitions) {
    const std::uint32_t slot = create_partition(base::PartitionId{state.partition});
    if (slot == none) {
      overflowed_ = true;
      return {};
    }
    Partition& partition = partitions_[slot];
    partition.log_start = state.log_start;
    partition.log_end = partition.journal_start = partition.durable_end = state.log_end;
    if (state.damaged != 0) set_damage(partition, state.damage_first, state.damage_last);
  }
  if (!store_->broken().empty()) learn_from_segments();
  for (const SegmentFile& file : store_->files()) {
    for (const SegmentEntry& entry : file.segments) {
      const std::uint32_t slot = slot_of(base::PartitionId{entry.partition});
      if (slot == none || entry.end_offset <= partitions_[slot].log_start) continue;
      if (segments_.free_nodes() == 0) {
        return base::Error(base::ErrorCode::no_space,
                           "shard {} has more than {} segments; allow more",
                           base::raw(journal.shard), options_.segments_max);
      }
      put_segment(partitions_[slot], segment_of(file, entry));
    }
  }
  for (const ProducerState& producer : checkpoint.producers) on_producer(producer);
  link_.free_segments.set(segments_.free_nodes());
  return {};
}

// A file that knew of partitions cannot be read: what the others hold of them is there all the
// same.
void Log::learn_from_segments() {
  std::vector<bool> is_unknown(partitions_.size());
  for (const SegmentFile& file : store_->files()) {
    for (const SegmentEntry& entry : file.segments) {
      const base::PartitionId id{entry.partition};
      const bool is_new = slot_of(id) == none;
      const std::uint32_t slot = create_partition(id);
      if (slot == none) {
        overflowed_ = true;
        return;
      }
      Partition& partition = partitions_[slot];
      if (is_new) is_unknown[slot] = true;
      const base::Offset known_start = is_new ? entry.first_offset : partition.log_start;
      if (is_unknown[slot]) partition.log_start = std::min(known_start, entry.first_offset);
      partition.log_end = std::max(partition.log_end, entry.end_offset);
      partition.journal_start = partition.durable_end = partition.log_end;
    }
  }
}

// What should be in segments and is in none was lost with a file.
void Log::settle_segments() {
  for (const PartitionState& state : store_->checkpoint().partitions) {
    Partition& partition = partitions_[slot_of(base::PartitionId{state.partition})];
    for (base::Offset next = partition.log_start; next < state.log_end;) {
      const auto segment = segments_.find_offset(partition.segments, next);
      if (segment) {
        next = segment->end_offset;
        continue;
      }
      const auto after = segments_.find_after(partition.segments, next);
      const base::Offset found = after ? after->first_offset : state.log_end;
      set_damage(partition, next, found - 1);
      next = found;
    }
    mark(partition);
  }
}

void Log::put_segment(Partition& partition, const Segment& segment) {
  const auto replaced = segments_.put(partition.segments, segment);
  CHECK(replaced);
  partition.bytes += segment.bytes;
  partition.bytes -= *replaced;
  ++partition.segments_version;
}

bool Log::take_messages() {
  if (sorter_ == nullptr) return false;
  link_.durable.set(journal_->durable_position());
  std::uint32_t taken = 0;
  for (; taken < messages_per_turn; ++taken) {
    const SorterMessage* message = link_.messages.peek();
    if (message == nullptr || !take(*message)) break;
    link_.messages.release(1);
  }
  return taken != 0;
}

// False: not yet.
bool Log::take(const SorterMessage& message) {
  switch (message.kind) {
    case SorterMessage::Kind::segment: {
      const std::uint32_t slot = slot_of(message.partition);
      if (slot == none) return true;
      Partition& partition = partitions_[slot];
      const base::Offset end = message.segment.end_offset;
      partition.bytes -= index_.drop_before(partition.index, end);
      partition.journal_start = std::max(partition.journal_start, end);
      if (end > partition.log_start) put_segment(partition, message.segment);
      link_.free_segments.set(segments_.free_nodes());
      return true;
    }
    case SorterMessage::Kind::lost:
      note_lost(message.first, message.last);
      return true;
    case SorterMessage::Kind::sorted:
      drop_lost(message.last);
      journal_->trim(message.last);
      return true;
    case SorterMessage::Kind::forget:
      return forget_file(message.segment.file);
    case SorterMessage::Kind::surplus: {
      const std::uint32_t slot = slot_of(message.partition);
      if (slot != none) delete_records(slot, message.segment.end_offset);
      return true;
    }
  }
  return true;
}

// The sorter found that the journal has rotted there since it was written.
void Log::note_lost(base::Position first, base::Position last) {
  lost_ = true;
  for (std::uint32_t slot = 0; slot < slots_used_; ++slot) {
    Partition& partition = partitions_[slot];
    if (!partition.used) continue;
    for (auto place = index_.first(partition.index);
         place.valid() && index_.entry(place).position < last; place = index_.next(place)) {
      if (index_.entry(place).position < first) continue;
      const auto next = index_.next(place);
      const base::Offset offset = index_.offset_at(place);
      const base::Offset end = next.valid() ? index_.offset_at(next) : partition.log_end;
      set_damage(partition, partition.damaged ? std::min(partition.damage_first, offset) : offset,
                 end - 1);
    }
  }
}

// Batches before `to` that came into no segment are lost.
void Log::drop_lost(base::Position to) {
  if (!lost_) return;
  lost_ = false;
  for (std::uint32_t slot = 0; slot < slots_used_; ++slot) {
    Partition& partition = partitions_[slot];
    if (!partition.used) continue;
    auto place = index_.first(partition.index);
    while (place.valid() && index_.entry(place).position < to) place = index_.next(place);
    const base::Offset kept = place.valid() ? index_.offset_at(place) : partition.log_end;
    partition.bytes -= index_.drop_before(partition.index, kept);
    if (partition.journal_start < kept) partition.journal_start = kept;
  }
}

// --- retention ---

void Log::set_retention(std::uint32_t slot, const Retention& retention) {
  partitions_[slot].retention = retention;
  mark(partitions_[slot]);
}

void Log::delete_records(std::uint32_t slot, base::Offset offset) {
  Partition& partition = partitions_[slot];
  partition.wanted_start = std::max(partition.wanted_start, std::min(offset, partition.log_end));
  raise_log_start(partition, partition.wanted_start);
}

void Log::retain(std::int64_t wall_ms) {
  const std::uint32_t visits = std::min(slots_used_, retained_slots);
  for (std::uint32_t i = 0; i < visits; ++i) {
    Partition& partition = partitions_[retain_at_++ % slots_used_];
    if (!partition.used || !partition.in_catalog) continue;
    raise_log_start(partition, std::max({partition.wanted_start, expired_before(partition, wall_ms),
                                         surplus_before(partition)}));
  }
  // Without a sorter nobody else gives the journal back.
  if (sorter_ == nullptr && visits != 0 && retain_at_ % slots_used_ < visits) trim_journal();
}

bool Log::raise_log_start(Partition& partition, base::Offset offset) {
  if (offset <= partition.log_start) return true;
  if (!journal_->append_log_start(partition.id, offset)) return false;
  apply_log_start(partition, offset);
  trim_wanted_ = true;
  // Nothing is removed before what says that it may be is durable.
  link_.marks_written_at.set(journal_->append_position());
  return true;
}

void Log::apply_log_start(Partition& partition, base::Offset offset) {
  if (offset <= partition.log_start) return;
  partition.log_start = offset;
  const std::uint64_t in_segments = segments_.drop_before(partition.segments, offset);
  if (in_segments != 0) ++partition.segments_version;
  // The batch that holds the offset stays.
  base::Offset kept = partition.log_end;
  if (offset < partition.log_end) {
    const auto place = index_.find_offset(partition.index, offset);
    if (place.valid()) kept = index_.offset_at(place);
  }
  partition.bytes -= in_segments + index_.drop_before(partition.index, kept);
  const auto first = index_.first(partition.index);
  partition.journal_start = std::max(partition.journal_start,
                                     first.valid() ? index_.offset_at(first) : partition.log_end);
  mark(partition);
}

// Where what is too old ends.
base::Offset Log::expired_before(const Partition& partition, std::int64_t wall_ms) const {
  if (partition.retention.ms < 0) return 0;
  const std::int64_t oldest_ms = wall_ms - partition.retention.ms;
  if (const auto kept = segments_.find_time(partition.segments, oldest_ms)) {
    return kept->first_offset;
  }
  const auto place = index_.find_time(partition.index, oldest_ms);
  return place.valid() ? index_.offset_at(place) : partition.log_end;
}

// Where what is too much ends.
base::Offset Log::surplus_before(const Partition& partition) const {
  if (partition.retention.bytes < 0) return 0;
  std::uint64_t surplus =
      partition.bytes -
      std::min(partition.bytes, static_cast<std::uint64_t>(partition.retention.bytes));
  base::Offset start = partition.log_start;
  auto segment = segments_.find_after(partition.segments, -1);
  for (std::uint32_t steps = 0; steps < surplus_segments && segment; ++steps) {
    if (segment->bytes > surplus) break;
    surplus -= segment->bytes;
    start = segment->end_offset;
    segment = segments_.find_after(partition.segments, segment->first_offset);
  }
  if (segment) return start;
  auto place = index_.first(partition.index);
  for (std::uint32_t steps = 0; place.valid() && steps < surplus_steps; ++steps) {
    if (index_.entry(place).bytes > surplus) break;
    surplus -= index_.entry(place).bytes;
    place = index_.next(place);
    start = place.valid() ? index_.offset_at(place) : partition.log_end;
  }
  return start;
}

bool Log::forget_file(FileId file) {
  const auto is_of_file = [file](const ReadBuffer& buffer) {
    return buffer.state != ReadBuffer::State::empty && !buffer.of_journal && buffer.file == file;
  };
  for (const ReadBuffer& buffer : buffers_) {
    if (is_of_file(buffer) && buffer.state == ReadBuffer::State::reading) return false;
  }
  for (ReadBuffer& buffer : buffers_) {
    if (is_of_file(buffer)) buffer.state = ReadBuffer::State::empty;
  }
  return true;
}

}  // namespace millrace::storage

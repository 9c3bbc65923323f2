#include "storage/sorter.h"

#include <algorithm>
#include <utility>

#include "dataplane/base/check.h"

namespace millrace::storage {

Sorter::Sorter(const SorterOptions& options, Disk& disk, Journal& journal, SegmentStore& store,
               SorterLink& link, Announcements& announcements)
    : options_(options),
      disk_(disk),
      journal_(journal),
      store_(store),
      link_(link),
      announcements_(announcements) {
  last_seen_.resize(store_.checkpoint().producers.size());
  link_.sorted_to.set(store_.checkpoint().sorted_to);
}

base::Result<bool> Sorter::step(std::uint64_t now_ns) {
  if (now_ns >= space_at_ns_) {
    space_at_ns_ = now_ns + space_interval_ns;
    if (auto looked = look_at_space(); !looked) return looked.error();
  }
  listen(now_ns);
  if (now_ns < retry_at_ns_) return false;
  if (pace_.rests(now_ns, rest_times())) return false;
  auto worked = work();
  if (worked) {
    if (*worked) pace_.works(now_ns);
    link_.stuck.set(0);
    return worked;
  }
  give_up();
  link_.stuck.set(1);
  retry_at_ns_ = now_ns + retry_ns;
  return worked;
}

void Sorter::listen(std::uint64_t now_ns) {
  const base::Position durable = link_.durable.get();
  if (durable != heard_ || heard_at_ns_ == 0) {
    heard_ = durable;
    heard_at_ns_ = now_ns;
  }
  is_quiet_ = now_ns - heard_at_ns_ >= options_.quiet_ns;
}

// The emptier the journal is the longer, so that the device is the appends' as long as they leave
// it time. The fuller half is sorted without a rest.
std::uint64_t Sorter::rest_times() const {
  if (!options_.is_paced || is_quiet_) return 0;
  const JournalOptions& journal = journal_.options();
  const std::uint64_t eighths =
      (link_.durable.get() - link_.sorted_to.get()) * 8 / (journal.file_bytes * journal.files_max);
  return eighths < 5 ? 3 : eighths < 6 ? 1 : 0;
}

// Once low, it stays so until a quarter more is free.
base::Result<void> Sorter::look_at_space() {
  const auto space = disk_.space();
  if (!space) return space.error();
  std::uint64_t reserve = options_.reserve_bytes;
  if (reserve == 0) {
    reserve = std::max(std::min(space->total_bytes / 20, base::gib), 2 * options_.pass_bytes);
  }
  const std::uint64_t enough = link_.is_disk_low.get() != 0 ? reserve + reserve / 4 : reserve;
  link_.is_disk_low.set(space->free_bytes < enough ? 1 : 0);
  const auto beyond = [&](std::uint64_t kept) {
    return space->free_bytes - std::min(space->free_bytes, kept);
  };
  may_write_ = space->free_bytes >= reserve / 2 + options_.pass_bytes;
  link_.free_bytes.set(space->free_bytes);
  link_.spare_bytes.set(beyond(reserve + reserve / 4));
  link_.usable_bytes.set(beyond(reserve / 2 + options_.pass_bytes));
  std::uint64_t bytes = 0;
  for (const SegmentFile& file : store_.files()) bytes += file.header.file_bytes();
  link_.segment_bytes.set(bytes);
  link_.segment_files.set(store_.files().size());
  return {};
}

base::Result<bool> Sorter::work() {
  if (!announcements_.tell()) return false;
  switch (state_) {
    case State::idle:
      if (!wants_pass()) return false;
      scan();
      return true;
    case State::asking:
      // What the log has noted of damage is in the marks once it has taken the messages.
      if (!announcements_.are_taken()) return false;
      if (auto planned = plan(); !planned) return planned.error();
      return true;
    case State::writing:
      if (auto written = write_some(); !written) return written.error();
      return true;
  }
  return false;
}

// What comes after a quiet time finds the journal as empty as can be.
bool Sorter::wants_pass() const {
  const std::uint64_t unsorted = link_.durable.get() - link_.sorted_to.get();
  return may_write_ &&
         (unsorted >= options_.start_bytes || (is_quiet_ && unsorted >= options_.pass_bytes));
}

// --- a pass ---

void Sorter::scan() {
  if (memory_.size() == 0) memory_ = BlockBuffer(options_.pass_bytes);
  next_ = known();
  entries_.clear();
  from_ = link_.sorted_to.get();
  to_ = journal_.scan(from_, link_.durable.get(), memory_.span(), *this);
  CHECK(to_ > from_);
  state_ = State::asking;
}

void Sorter::on_batch(base::PartitionId id, base::Position position, const BatchView& batch) {
  const std::uint32_t partition = base::raw(id);
  entries_.push_back({.partition = partition,
                      .bytes = batch.bytes(),
                      .base_offset = batch.base_offset(),
                      .batch = batch.data()});
  auto [known, is_new] = next_.partitions.try_emplace(partition);
  PartitionState& state = known->second;
  if (is_new) {
    state.partition = partition;
    state.log_start = batch.base_offset();
  } else if (batch.base_offset() != state.log_end) {
    state.damaged = 1;
    state.damage_first = state.log_end;
    state.damage_last = batch.base_offset() - 1;
  }
  state.log_end = batch.last_offset() + 1;
  if (batch.producer_id() != base::no_producer_id) note_producer(partition, position, batch);
}

void Sorter::on_log_start(base::PartitionId partition, base::Offset offset) {
  const auto known = next_.partitions.find(base::raw(partition));
  if (known == next_.partitions.end()) return;
  known->second.log_start = std::max(known->second.log_start, offset);
}

void Sorter::note_producer(std::uint32_t partition, base::Position position,
                           const BatchView& batch) {
  Producer& producer = next_.producers[{batch.producer_id(), partition}];
  ProducerState& state = producer.state;
  producer.last_seen = position;
  if (state.producer_id == base::no_producer_id || batch.producer_epoch() != state.epoch) {
    state = ProducerState{.producer_id = batch.producer_id(),
                          .partition = partition,
                          .epoch = batch.producer_epoch()};
  }
  if (state.batch_count == ProducerState::batches_max) {
    std::copy(state.batches.begin() + 1, state.batches.end(), state.batches.begin());
    --state.batch_count;
  }
  state.batches[state.batch_count++] = {.base_sequence = batch.base_sequence(),
                                        .last_sequence = batch.last_sequence(),
                                        .base_offset = batch.base_offset()};
}

void Sorter::on_damage(const base::PartitionId*, base::Position first, base::Position last) {
  announcements_.add({.kind = SorterMessage::Kind::lost, .first = first, .last = last});
}

// Leaves out what nobody wants any more, and begins the file.
base::Result<void> Sorter::plan() {
  const Marks marks = read_marks(link_);
  take_marks(marks);
  forget_silent_producers();
  std::erase_if(entries_, [&](const Entry& entry) {
    const auto mark = marks.find(entry.partition);
    if (mark == marks.end()) return true;
    return BatchView(entry.batch).last_offset() <
           static_cast<base::Offset>(mark->second->log_start.get());
  });
  std::ranges::sort(entries_, {}, [](const Entry& entry) {
    return std::pair(entry.partition, entry.base_offset);
  });
  std::uint64_t bytes = 0;
  std::uint64_t segments = 0;
  const Entry* before = nullptr;
  for (const Entry& entry : entries_) {
    bytes += entry.bytes;
    const bool continues = before != nullptr && before->partition == entry.partition &&
                           BatchView(before->batch).last_offset() + 1 == entry.base_offset;
    if (!continues) ++segments;
    before = &entry;
  }
  if (segments > link_.free_segments.get()) {
    return base::Error(base::ErrorCode::no_space,
                       "shard {} holds as many segments as it has room for; lower the retention of "
                       "some topics, or allow more segments",
                       base::raw(journal_.options().shard));
  }
  written_ = 0;
  writer_ =
      std::make_unique<SegmentWriter>(disk_, store_.journal_seed(), *journal_.options().background);
  if (auto started = writer_->start(unfinished_segment_name,
                                    {.cluster_id = journal_.options().cluster_id,
                                     .shard = base::raw(journal_.options().shard),
                                     .number = store_.take_number(),
                                     .from = from_,
                                     .to = to_},
                                    bytes);
      !started) {
    return started;
  }
  state_ = State::writing;
  return look_at_space();  // others are not to count on what it has taken
}

// The log knows more of damage than the journal's remains do, and where partitions begin now.
void Sorter::take_marks(const Marks& marks) {
  std::erase_if(next_.partitions, [&](const auto& one) { return !marks.contains(one.first); });
  std::erase_if(next_.producers,
                [&](const auto& one) { return !marks.contains(one.first.partition); });
  for (auto& [partition, state] : next_.partitions) {
    const PartitionMark& mark = *marks.at(partition);
    state.log_start = std::max(state.log_start, static_cast<base::Offset>(mark.log_start.get()));
    const auto damage_first = static_cast<base::Offset>(mark.damage_first.get());
    if (mark.damaged.get() == 0 || damage_first > state.log_end) continue;
    state.damaged = 1;
    state.damage_first = damage_first;
    state.damage_last = static_cast<base::Offset>(mark.damage_last.get());
    state.log_end = std::max(state.log_end, state.damage_last + 1);
  }
}

void Sorter::forget_silent_producers() {
  if (next_.producers.size() <= options_.producers_max) return;
  std::vector<base::Position> seen;
  for (const auto& [key, producer] : next_.producers) seen.push_back(producer.last_seen);
  const auto oldest_kept = seen.end() - options_.producers_max;
  std::ranges::nth_element(seen, oldest_kept);
  std::erase_if(next_.producers,
                [&](const auto& one) { return one.second.last_seen < *oldest_kept; });
}

base::Result<void> Sorter::write_some() {
  for (std::uint64_t bytes = 0; written_ < entries_.size() && bytes < write_bytes_per_step;
       ++written_) {
    const Entry& entry = entries_[written_];
    if (auto added = writer_->add(base::PartitionId{entry.partition}, {entry.batch, entry.bytes});
        !added) {
      return added;
    }
    bytes += entry.bytes;
  }
  if (written_ == entries_.size()) return finish();
  return {};
}

base::Result<void> Sorter::finish() {
  Checkpoint reached = checkpoint();
  auto file = writer_->finish(reached.partitions, reached.producers);
  if (!file) return file.error();
  writer_.reset();
  announcements_.add(*file);
  announcements_.add({.kind = SorterMessage::Kind::sorted, .last = file->header.to});
  last_seen_.clear();
  for (const ProducerState& state : reached.producers) {
    last_seen_.push_back(next_.producers.at({state.producer_id, state.partition}).last_seen);
  }
  store_.add(std::move(*file), std::move(reached));
  next_ = {};
  entries_.clear();
  link_.sorted_to.set(to_);
  state_ = State::idle;
  return {};
}

void Sorter::give_up() {
  if (writer_ != nullptr) writer_->abandon();
  writer_.reset();
  next_ = {};
  entries_.clear();
  state_ = State::idle;
}

// --- what is known besides ---

// As of the store's checkpoint.
Sorter::Known Sorter::known() const {
  const Checkpoint& checkpoint = store_.checkpoint();
  Known known;
  for (const PartitionState& state : checkpoint.partitions) {
    known.partitions.emplace(state.partition, state);
  }
  for (std::size_t i = 0; i < checkpoint.producers.size(); ++i) {
    const ProducerState& state = checkpoint.producers[i];
    known.producers.emplace(ProducerKey{state.producer_id, state.partition},
                            Producer{.state = state, .last_seen = last_seen_[i]});
  }
  return known;
}

// As of the end of the pass.
Checkpoint Sorter::checkpoint() const {
  Checkpoint reached{.sorted_to = to_, .partitions = {}, .producers = {}};
  for (const auto& [partition, state] : next_.partitions) reached.partitions.push_back(state);
  std::ranges::sort(reached.partitions, {}, &PartitionState::partition);
  for (const auto& [key, producer] : next_.producers) reached.producers.push_back(producer.state);
  std::ranges::sort(reached.producers, {}, [](const ProducerState& state) {
    return std::pair(state.partition, state.producer_id);
  });
  return reached;
}

}  // namespace millrace::storage

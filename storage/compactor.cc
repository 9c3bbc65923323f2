#include "storage/compactor.h"

#include <algorithm>
#include <bit>
#include <unordered_map>
#include <utility>

#include "dataplane/base/check.h"

namespace millrace::storage {

Compactor::Compactor(const CompactorOptions& options, const JournalOptions& journal, Disk& disk,
                     SegmentStore& store, SorterLink& link, Announcements& announcements)
    : options_(options),
      cluster_id_(journal.cluster_id),
      shard_(journal.shard),
      background_(*journal.background),
      disk_(disk),
      store_(store),
      link_(link),
      announcements_(announcements) {
  CHECK(std::has_single_bit(options.merge.files_per_merge) && options.merge.files_per_merge > 1);
}

base::Result<bool> Compactor::step(std::uint64_t now_ns, std::int64_t wall_ms) {
  if (now_ns < retry_at_ns_) return false;
  if (pace_.rests(now_ns, options_.is_paced && !is_in_a_hurry() ? rest_times : 0)) return false;
  auto worked = work(now_ns, wall_ms);
  if (worked) {
    if (*worked) pace_.works(now_ns);
    return worked;
  }
  give_up();
  retry_at_ns_ = now_ns + retry_ns;
  return worked;
}

base::Result<bool> Compactor::work(std::uint64_t now_ns, std::int64_t wall_ms) {
  if (!announcements_.tell()) return false;
  auto collected = collect();
  if (!collected || *collected) return collected;
  if (job_ != nullptr) {
    if (auto ran = run(wall_ms); !ran) return ran.error();
    return true;
  }
  if (!options_.rewrites || now_ns < look_at_ns_) return false;
  look_at_ns_ = now_ns + options_.interval_ns;
  return plan();
}

// --- files of which nothing is wanted ---

bool Compactor::is_dead(const SegmentEntry& segment, const Marks& marks) const {
  const auto mark = marks.find(segment.partition);
  // A partition that nobody knows was deleted, unless a file that knew it is gone.
  if (mark == marks.end()) return store_.broken().empty();
  return segment.end_offset <= static_cast<base::Offset>(mark->second->log_start.get());
}

// One at a time: first the log lets go of it.
base::Result<bool> Compactor::collect() {
  if (leaving_) {
    if (!announcements_.are_taken()) return false;
    if (link_.durable.get() < link_.marks_written_at.get()) return false;
    if (auto removed = store_.remove(*std::exchange(leaving_, std::nullopt)); !removed) {
      return removed.error();
    }
    return true;
  }
  const std::uint64_t change = link_.marks_changed.get() + store_.change_count();
  if (change == collected_at_) return false;
  const Marks marks = read_marks(link_);
  if (link_.durable.get() < link_.marks_written_at.get()) return false;
  const auto& files = store_.files();
  for (std::size_t i = 0; i + 1 < files.size(); ++i) {
    const bool is_wanted = std::ranges::any_of(
        files[i].segments, [&](const SegmentEntry& segment) { return !is_dead(segment, marks); });
    const bool is_read =
        job_ != nullptr && std::ranges::any_of(job_->readers, [&](const SegmentReader& reader) {
          return reader.file_number() == files[i].header.number;
        });
    if (is_wanted || is_read) continue;
    leaving_ = files[i].header.number;
    announcements_.add({.kind = SorterMessage::Kind::forget, .segment = {.file = files[i].file}});
    return true;
  }
  collected_at_ = change;
  give_up_surplus();
  return !announcements_.are_taken();
}

// Asks the log to do without the oldest files where they are too many.
void Compactor::give_up_surplus() {
  if (job_ != nullptr) return;  // what it rewrites is there twice for a while
  const auto& files = store_.files();
  std::uint64_t bytes = 0;
  for (const SegmentFile& file : files) bytes += file.header.file_bytes();
  std::erase_if(surplus_, [&](std::uint64_t number) { return store_.find(number) == nullptr; });
  for (std::size_t i = 0; i + 1 < files.size() && bytes > options_.bytes_max; ++i) {
    bytes -= files[i].header.file_bytes();
    if (!surplus_.insert(files[i].header.number).second) continue;
    for (const SegmentEntry& entry : files[i].segments) {
      announcements_.add({.kind = SorterMessage::Kind::surplus,
                          .partition = base::PartitionId{entry.partition},
                          .segment = segment_of(files[i], entry)});
    }
  }
}

// --- what to rewrite ---

base::Result<bool> Compactor::plan() {
  const std::uint64_t change = link_.marks_changed.get() + store_.change_count();
  if (change == planned_at_) return false;
  planned_at_ = change;
  if (store_.files().empty()) return false;
  const Marks marks = read_marks(link_);
  if (const auto partitions = choose_partitions(marks); !partitions.empty()) {
    auto begun = begin(job_of(partitions, marks));
    if (!begun || *begun) return begun;
  }
  const std::vector<FileWeight> weights = weigh(marks);
  if (const Files files = choose_half_empty(weights); !files.empty()) {
    auto job = job_of(files, marks);
    job->makes_room = link_.is_disk_low.get() != 0;
    auto begun = begin(std::move(job));
    if (!begun || *begun) return begun;
  }
  Files files;
  for (const std::size_t place : choose_merge(options_.merge, weights)) {
    files.push_back(&store_.files()[place]);
  }
  return files.empty() ? false : begin(job_of(files, marks));
}

// There is not much room left for what it makes small.
bool Compactor::is_in_a_hurry() const {
  return job_ != nullptr && job_->makes_room &&
         link_.spare_bytes.get() < 4 * options_.compacted_bytes_max;
}

bool Compactor::may_be_rewritten(const SegmentFile& file) const {
  return !rotten_.contains(file.header.number) && leaving_ != file.header.number;
}

std::vector<FileWeight> Compactor::weigh(const Marks& marks) const {
  std::vector<FileWeight> weights;
  for (const SegmentFile& file : store_.files()) {
    FileWeight& weight = weights.emplace_back();
    weight.may_be_rewritten = may_be_rewritten(file);
    for (const SegmentEntry& segment : file.segments) {
      if (is_dead(segment, marks)) continue;
      weight.bytes += segment.bytes;
      ++weight.segments;
    }
  }
  return weights;
}

Compactor::Files Compactor::choose_half_empty(const std::vector<FileWeight>& weights) const {
  const auto& files = store_.files();
  for (std::size_t i = 0; i + 1 < files.size(); ++i) {
    const bool is_half_empty = weights[i].bytes + block_bytes <= files[i].header.data_bytes / 2;
    if (!is_half_empty || weights[i].segments == 0 || !may_be_rewritten(files[i])) continue;
    return {&files[i]};
  }
  return {};
}

std::set<std::uint32_t> Compactor::choose_partitions(const Marks& marks) const {
  struct Held {
    std::uint64_t compacted_bytes = 0;
    std::uint64_t new_bytes = 0;
    bool has_rotten = false;
  };
  std::unordered_map<std::uint32_t, Held> held;
  for (const auto& [partition, mark] : marks) {
    if (mark->tombstones_ms_plus_one.get() != 0) held.try_emplace(partition);
  }
  if (held.empty()) return {};
  for (const SegmentFile& file : store_.files()) {
    for (const SegmentEntry& segment : file.segments) {
      const auto found = held.find(segment.partition);
      if (found == held.end() || is_dead(segment, marks)) continue;
      Held& one = found->second;
      (segment.is_compacted() ? one.compacted_bytes : one.new_bytes) += segment.bytes;
      one.has_rotten |= !may_be_rewritten(file);
    }
  }
  std::set<std::uint32_t> chosen;
  std::uint64_t bytes = 0;
  for (const auto& [partition, one] : held) {
    const bool is_due = one.new_bytes != 0 && one.new_bytes >= one.compacted_bytes;
    if (!is_due || one.has_rotten) continue;
    bytes += one.new_bytes + one.compacted_bytes;
    if (!chosen.empty() && bytes > options_.compacted_bytes_max) break;
    chosen.insert(partition);
  }
  return chosen;
}

void Compactor::add_source(Job& job, const SegmentFile& file, const SegmentEntry& segment) const {
  if (job.readers.empty() || job.readers.back().file_number() != file.header.number) {
    job.readers.emplace_back(disk_, store_, file);
  }
  job.sources.push_back({.reader = job.readers.size() - 1, .segment = segment});
}

std::unique_ptr<Compactor::Job> Compactor::job_of(const Files& files, const Marks& marks) const {
  auto job = std::make_unique<Job>();
  for (const SegmentFile* file : files) {
    for (const SegmentEntry& segment : file->segments) {
      if (!is_dead(segment, marks)) add_source(*job, *file, segment);
    }
  }
  return job;
}

std::unique_ptr<Compactor::Job> Compactor::job_of(const std::set<std::uint32_t>& partitions,
                                                  const Marks& marks) const {
  auto job = std::make_unique<Job>();
  job->by_key = job->makes_room = true;
  for (const SegmentFile& file : store_.files()) {
    for (const SegmentEntry& segment : file.segments) {
      if (!partitions.contains(segment.partition) || is_dead(segment, marks)) continue;
      add_source(*job, file, segment);
      job->sources.back().tombstones_ms =
          static_cast<std::int64_t>(marks.at(segment.partition)->tombstones_ms_plus_one.get() - 1);
    }
  }
  return job;
}

base::Result<bool> Compactor::begin(std::unique_ptr<Job> job) {
  job->identity = {.cluster_id = cluster_id_, .shard = base::raw(shard_), .from = ~0ULL};
  const SegmentFile* newest = nullptr;  // of those that stand for a stretch of the journal
  for (const SegmentReader& reader : job->readers) {
    const SegmentFile* file = store_.find(reader.file_number());
    job->identity.from = std::min(job->identity.from, file->header.from);
    if (file->header.from == file->header.to) continue;
    if (newest == nullptr || newest->header.to <= file->header.to) newest = file;
  }
  if (job->by_key || newest == nullptr) {
    // It has some partitions of that stretch, and does not stand for it.
    job->identity.to = job->identity.from;
  } else if (newest->header.to == store_.checkpoint().sorted_to) {
    job->identity.to = newest->header.to;
    job->known = store_.checkpoint();
  } else {
    job->identity.to = newest->header.to;
    auto meta = store_.read_meta(newest->file, newest->header, MetaParts::without_index_and_crcs);
    if (!meta) {
      rotten_.insert(newest->header.number);
      return meta.error();
    }
    job->known.partitions = std::move(meta->partitions);
    job->known.producers = std::move(meta->producers);
  }
  std::ranges::sort(job->sources, {}, [](const Source& source) {
    return std::pair(source.segment.partition, source.segment.first_offset);
  });
  job_ = std::move(job);
  auto begun = begin_file();
  if (begun && *begun && job_->by_key) begin_group();
  return begun;
}

// For as many of the sources as there is room for, when they may be in several files. False when
// there is room for none.
base::Result<bool> Compactor::begin_file() {
  const std::uint64_t room = job_->makes_room ? link_.usable_bytes.get() : link_.spare_bytes.get();
  const std::uint64_t bytes_max =
      job_->by_key ? std::min(room, options_.compacted_bytes_max) : room;
  std::uint64_t bytes = 0;
  job_->file_end = job_->next;
  for (; job_->file_end < job_->sources.size(); ++job_->file_end) {
    const std::uint64_t more = job_->sources[job_->file_end].segment.bytes;
    const bool is_first_of_some = bytes == 0 && job_->by_key;
    if (bytes + more > (is_first_of_some ? room : bytes_max)) break;
    bytes += more;
  }
  const bool fits =
      job_->by_key ? job_->file_end != job_->next : job_->file_end == job_->sources.size();
  if (!fits) {
    give_up();
    return false;
  }
  job_->identity.number = store_.take_number();
  job_->writer = std::make_unique<SegmentWriter>(disk_, store_.journal_seed(), background_);
  if (auto started = job_->writer->start(unfinished_rewrite_name, job_->identity, bytes);
      !started) {
    return started.error();
  }
  return true;
}

// --- rewriting ---

base::Result<void> Compactor::run(std::int64_t wall_ms) {
  for (std::uint64_t bytes = 0; bytes < bytes_per_step;) {
    if (job_->next >= job_->file_end) return finish();
    auto done = job_->is_mapping ? map_some() : write_some(wall_ms);
    if (!done) return done.error();
    bytes += *done;
  }
  return {};
}

// The next batch of the source at hand; nothing behind its last one.
base::Result<std::span<const std::byte>> Compactor::next_batch(const Source& source) {
  const SegmentEntry& segment = source.segment;
  SegmentReader& reader = job_->readers[source.reader];
  if (job_->position == segment.position + segment.bytes) {
    // Its window may hold the next partition's segment too; behind a large one it does not.
    if (segment.bytes >= SegmentReader::window_bytes) reader.release();
    return std::span<const std::byte>();
  }
  auto batch = reader.batch_at(segment, job_->position);
  if (batch) {
    job_->position += batch->size();
  } else {
    rotten_.insert(reader.file_number());
  }
  return batch;
}

// From the first source of a partition to the last.
void Compactor::begin_group() {
  const std::uint32_t partition = job_->sources[job_->next].segment.partition;
  job_->is_mapping = true;
  job_->mapped = job_->next;
  job_->group_end = job_->next;
  std::uint64_t new_bytes = 0;
  for (; job_->group_end < job_->sources.size(); ++job_->group_end) {
    const SegmentEntry& segment = job_->sources[job_->group_end].segment;
    if (segment.partition != partition) break;
    if (!segment.is_compacted()) new_bytes += segment.bytes;
  }
  constexpr std::uint64_t record_bytes_min = 8;
  job_->keys.emplace(cluster_id_, static_cast<std::uint32_t>(std::min<std::uint64_t>(
                                      options_.keys_max, new_bytes / record_bytes_min + 1)));
  job_->mapped_end = job_->sources[job_->group_end - 1].segment.end_offset;
  job_->position = 0;
}

// Finds out where the last record of each key is.
base::Result<std::uint64_t> Compactor::map_some() {
  if (job_->mapped == job_->group_end) {
    job_->is_mapping = false;
    job_->position = 0;
    return 0;
  }
  const Source& source = job_->sources[job_->mapped];
  if (source.segment.is_compacted()) {
    ++job_->mapped;
    return 0;
  }
  if (job_->position == 0) job_->position = source.segment.position;
  const auto batch = next_batch(source);
  if (!batch) return batch.error();
  if (batch->empty()) {
    ++job_->mapped;
    job_->position = 0;
    return 0;
  }
  const BatchView view(batch->data());
  if (!map_keys(view)) {
    // No room for more: this source is the last one, and the others are another time's.
    job_->mapped_end = view.base_offset();
    job_->group_end = job_->mapped + 1;
    job_->mapped = job_->group_end;
  }
  return batch->size();
}

// False: they are too many.
bool Compactor::map_keys(const BatchView& batch) {
  if (batch.is_control()) return true;
  RecordReader reader(batch);
  for (Record record; reader.next(record);) {
    if (record.key && !job_->keys->put(*record.key, record.offset)) return false;
  }
  return true;
}

base::Result<std::uint64_t> Compactor::write_some(std::int64_t wall_ms) {
  const Source& source = job_->sources[job_->next];
  const SegmentEntry& segment = source.segment;
  if (job_->position == 0) {
    job_->position = segment.position;
    const std::uint16_t by_key = SegmentEntry::sparse | SegmentEntry::compacted;
    job_->writer->cover(base::PartitionId{segment.partition}, segment.first_offset,
                        segment.end_offset, job_->by_key ? by_key : segment.flags);
  }
  const auto batch = next_batch(source);
  if (!batch) return batch.error();
  if (batch->empty()) {
    job_->position = 0;
    ++job_->next;
    if (!job_->by_key || job_->next != job_->group_end) return 0;
    // Sources that did not fit into the map stay as they are.
    while (job_->next < job_->sources.size() &&
           job_->sources[job_->next].segment.partition == segment.partition) {
      ++job_->next;
    }
    if (job_->next < job_->sources.size()) begin_group();
    return 0;
  }
  const auto left = job_->by_key ? compacted(*batch, source, wall_ms) : *batch;
  if (!left.empty()) {
    if (auto put = job_->writer->put(left); !put) return put.error();
  }
  return batch->size();
}

bool Compactor::is_wanted(const Record& record, bool are_tombstones_over) const {
  if (!record.key) return true;
  const auto last = job_->keys->find(*record.key);
  if (last && *last > record.offset) return false;
  return record.value || !are_tombstones_over;
}

// What is left of a batch. One whose records cannot be told stays whole.
std::span<const std::byte> Compactor::compacted(std::span<const std::byte> bytes,
                                                const Source& source, std::int64_t wall_ms) {
  const BatchView batch(bytes.data());
  if (batch.is_control()) return bytes;
  const bool has_horizon = batch.has_delete_horizon();
  const bool are_tombstones_over = has_horizon && batch.base_timestamp_ms() <= wall_ms;
  bool has_tombstone = false;
  std::int32_t wanted = 0;
  RecordReader all(batch);
  for (Record record; all.next(record);) {
    if (!is_wanted(record, are_tombstones_over)) continue;
    ++wanted;
    has_tombstone |= record.key && !record.value;
  }
  // A tombstone that was not mapped never goes: what it stands for may still be there.
  const bool is_mapped = !source.segment.is_compacted() && batch.last_offset() < job_->mapped_end;
  const bool needs_horizon = has_tombstone && !has_horizon && is_mapped;
  if (all.malformed() || (wanted == batch.record_count() && !needs_horizon)) return bytes;
  if (filtered_.size() == 0) filtered_ = BlockBuffer(batch_bytes_max);
  const auto filter = [&](std::optional<std::int64_t> horizon_ms) {
    BatchFilter left(batch, horizon_ms, filtered_.span());
    RecordReader again(batch);
    bool fits = true;
    for (Record record; fits && again.next(record);) {
      fits = !is_wanted(record, are_tombstones_over) || left.keep(record);
    }
    return fits ? std::optional(left.finish()) : std::nullopt;
  };
  if (needs_horizon) {
    if (const auto left = filter(wall_ms + source.tombstones_ms)) return *left;
  }
  // Times written anew may take more room than there is in a batch: then its tombstones stay.
  return *filter({});
}

base::Result<void> Compactor::finish() {
  auto file =
      job_->writer->finish(std::move(job_->known.partitions), std::move(job_->known.producers));
  if (!file) return file.error();
  job_->writer.reset();
  announcements_.add(*file);
  store_.add_rewritten(std::move(*file));
  if (job_->next == job_->sources.size()) {
    job_.reset();
    return {};
  }
  if (auto begun = begin_file(); !begun) return begun.error();
  return {};
}

void Compactor::give_up() {
  if (job_ != nullptr && job_->writer != nullptr) job_->writer->abandon();
  job_.reset();
  collected_at_ = planned_at_ = ~0ULL;
}

}  // namespace millrace::storage

// AtRest: see at_rest.h.
#include "perf/bench/at_rest.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "perf/bench/interrupt.h"
#include "perf/bench/run.h"
#include "perf/bench/scratch.h"
#include "storage/merge_choice.h"
#include "storage/segment_writer.h"

namespace millrace::bench {

using base::Error;
using base::ErrorCode;
using base::Result;
using storage::LogOptions;

namespace {

constexpr std::uint64_t journal_file_bytes = 64 * base::mib;
constexpr std::uint32_t ring_entries = 256;
constexpr std::uint32_t fill_batch_bytes = 16 * 1024;
constexpr std::uint64_t floor_read_bytes = base::mib;
constexpr std::uint32_t floor_depth = 4;
constexpr std::uint64_t cluster_id = 0x62656e6368;
constexpr std::uint32_t filled_partitions = 16;  // of a journal

LogOptions log_options(std::uint64_t journal_bytes, bool has_sorter) {
  LogOptions options;
  options.journal.cluster_id = cluster_id;
  options.journal.file_bytes = journal_file_bytes;
  options.journal.files_max = static_cast<std::uint32_t>(journal_bytes / journal_file_bytes);
  options.journal.tail_bytes = 64 * base::mib;
  options.journal.files_ahead = options.journal.files_max;
  options.has_sorter = has_sorter;
  options.sorter.start_bytes = 1;
  return options;
}

std::vector<std::byte> filling() {
  std::vector<std::byte> buffer(2 * fill_batch_bytes);
  storage::BatchBuilder builder(buffer);
  const std::string value(1000, 'f');
  while (builder.bytes() + 1100 < fill_batch_bytes) {
    if (!builder.add(std::nullopt, value, 1)) break;
  }
  const auto batch = builder.finish(base::no_producer_id, -1, -1);
  return {batch.begin(), batch.end()};
}

// The same files, read in order as fast as the device gives them.
class ReadFloor final : public Subject, private storage::DiskHandler {
 public:
  ReadFloor(LogAtRest& at_rest, std::string_view prefix) : at_rest_(at_rest), prefix_(prefix) {}

  Result<void> measure(std::uint64_t, Measured& into) override {
    auto names = at_rest_.disk().list();
    if (!names) return names.error();
    std::ranges::sort(*names);
    const std::uint64_t start_ns = clock_.monotonic_ns();
    for (const std::string& name : *names) {
      if (!name.starts_with(prefix_)) continue;
      if (auto read = read_file(name, into); !read) return read;
    }
    into.elapsed_ns += clock_.monotonic_ns() - start_ns;
    return {};
  }

 private:
  Result<void> read_file(const std::string& name, Measured& into) {
    const auto file = at_rest_.disk().open(name);
    if (!file) return file.error();
    const auto bytes = at_rest_.disk().size(*file);
    if (!bytes) return bytes.error();
    std::uint64_t next = 0;
    while (next < *bytes || in_flight_ != 0) {
      for (std::uint32_t i = 0; i < floor_depth && next < *bytes; ++i) {
        if (busy_[i]) continue;
        const std::uint64_t count = std::min(floor_read_bytes, *bytes - next);
        busy_[i] = true;
        ++in_flight_;
        at_rest_.disk().read(*file, next, buffers_.span().subspan(i * floor_read_bytes, count),
                             *this, i);
        next += count;
      }
      at_rest_.uring().wait(base::second_ns, ring_entries);
      if (failed_) return Error(ErrorCode::io, "cannot read {}", name);
    }
    at_rest_.disk().close(*file);
    into.bytes += *bytes;
    ++into.count;
    return {};
  }
  void on_disk(std::uint64_t token, std::int32_t result) override {
    busy_[token] = false;
    --in_flight_;
    failed_ |= result < 0;
  }

  LogAtRest& at_rest_;
  std::string prefix_;
  base::SystemClock clock_;
  storage::BlockBuffer buffers_{floor_depth * floor_read_bytes};
  std::array<bool, floor_depth> busy_{};
  std::uint32_t in_flight_ = 0;
  bool failed_ = false;
};

class RecoverySubject final : public Subject {
 public:
  RecoverySubject(LogAtRest& at_rest, std::uint64_t bytes) : at_rest_(at_rest), bytes_(bytes) {}

  Result<void> measure(std::uint64_t, Measured& into) override {
    at_rest_.drop();
    const std::uint64_t start_ns = clock_.monotonic_ns();
    if (auto opened = at_rest_.open(); !opened) return opened;
    into.elapsed_ns += clock_.monotonic_ns() - start_ns;
    into.bytes += bytes_;
    ++into.count;
    return {};
  }

 private:
  LogAtRest& at_rest_;
  std::uint64_t bytes_;
  base::SystemClock clock_;
};

// One reader, from the first offset to the last.
class ColdReadSubject final : public Subject {
 public:
  explicit ColdReadSubject(LogAtRest& at_rest) : at_rest_(at_rest) {}

  Result<void> measure(std::uint64_t, Measured& into) override {
    storage::Log& log = at_rest_.log();
    const std::uint32_t slot = log.slot_of(base::PartitionId{0});
    storage::Log::Cursor cursor = log.cursor_at(slot, 0);
    const std::uint64_t start_ns = clock_.monotonic_ns();
    while (cursor.offset < log.partition(slot).journal_start) {
      storage::Log::Slice slice;
      const auto status = log.read(slot, cursor, storage::batch_bytes_max, slice);
      if (status == storage::Log::ReadStatus::pending) {
        at_rest_.uring().wait(base::second_ns, ring_entries);
        continue;
      }
      if (status != storage::Log::ReadStatus::ready) {
        return Error(ErrorCode::io, "offset {} cannot be read", cursor.offset);
      }
      into.bytes += slice.byte_count;
      ++into.count;
      log.advance(cursor, slice);
    }
    into.elapsed_ns += clock_.monotonic_ns() - start_ns;
    return {};
  }

 private:
  LogAtRest& at_rest_;
  base::SystemClock clock_;
};

Result<Report> alternate(const BenchOptions& options, LogAtRest& at_rest, Subject& ours,
                         std::string_view floor_files, Progress& progress) {
  ReadFloor floor(at_rest, floor_files);
  std::vector<Part> parts = {{&ours, 1}, {&floor, 1}};
  if (auto done = take_turns(parts, options.rounds, progress); !done) return done.error();
  Report report;
  report.options = options;
  report.result = parts[0].measured;
  report.floor = parts[1].measured;
  report.floor_name = "the same files, 4 direct reads of 1 MiB at a time";
  report.durability = storage::name(at_rest.disk().durability());
  report.device = at_rest.disk().device();
  return report;
}

Result<Report> run_recovery(const BenchOptions& options, const Scratch& scratch,
                            Progress& progress) {
  const std::uint64_t bytes = std::bit_ceil(std::max(options.bytes, 4 * journal_file_bytes));
  auto at_rest = LogAtRest::make(scratch.path() + "/log", log_options(bytes, false));
  if (!at_rest) return at_rest.error();
  if (auto opened = (*at_rest)->open(); !opened) return opened.error();
  for (std::uint32_t i = 0; i < filled_partitions; ++i) {
    const std::uint64_t share = bytes / filled_partitions * 99 / 100;
    if (auto filled = (*at_rest)->fill(i, share, progress); !filled) return filled.error();
  }
  RecoverySubject recovery(**at_rest, bytes);
  return alternate(options, **at_rest, recovery, "journal-", progress);
}

Result<Report> run_cold_read(const BenchOptions& options, const Scratch& scratch,
                             Progress& progress) {
  auto at_rest = LogAtRest::make(scratch.path() + "/log", log_options(512 * base::mib, true));
  if (!at_rest) return at_rest.error();
  if (auto opened = (*at_rest)->open(); !opened) return opened.error();
  if (auto filled = (*at_rest)->fill(0, options.bytes, progress); !filled) return filled.error();
  ColdReadSubject reader(**at_rest);
  return alternate(options, **at_rest, reader, "segment-", progress);
}

// A segment file as sorting and merging leave it: what it holds of the journal, in passes.
struct FileAtRest {
  std::uint64_t number = 0;
  std::uint64_t first_pass = 0;
  std::uint64_t end_pass = 0;
  std::uint64_t data_bytes = 0;
};

// What is wanted of a segment file, as the compactor weighs it.
storage::FileWeight weight_of(std::uint64_t bytes, std::uint64_t partitions) {
  const std::uint64_t pieces = bytes / partitions / storage::SegmentWriter::segment_bytes_max + 1;
  return {.bytes = bytes, .segments = pieces * partitions};
}

// Pass after pass is sorted, and after each is merged what the compactor would merge.
std::vector<FileAtRest> files_at_rest(const LogOptions& log, std::uint64_t bytes,
                                      std::uint32_t partitions) {
  std::vector<FileAtRest> files;
  std::uint64_t number = 0;
  const std::uint64_t passes = std::max<std::uint64_t>(1, bytes / log.sorter.pass_bytes);
  for (std::uint64_t pass = 0; pass < passes; ++pass) {
    files.push_back({++number, pass, pass + 1, log.sorter.pass_bytes});
    while (true) {
      std::vector<storage::FileWeight> weights;
      for (const FileAtRest& file : files) {
        weights.push_back(weight_of(file.data_bytes, partitions));
      }
      const auto run = storage::choose_merge(log.compactor.merge, weights);
      if (run.empty()) break;
      FileAtRest merged{++number, files[run.front()].first_pass, files[run.back()].end_pass, 0};
      for (const std::size_t place : run) merged.data_bytes += files[place].data_bytes;
      const auto first = files.begin() + static_cast<std::ptrdiff_t>(run.front());
      files.insert(files.erase(first, first + static_cast<std::ptrdiff_t>(run.size())), merged);
    }
  }
  return files;
}

// The same for the same values, and otherwise anything: nothing at rest is regular.
std::uint64_t scatter(std::uint64_t a, std::uint64_t b) {
  std::uint64_t mixed = (a + 1) * 0x9e37'79b9'7f4a'7c15ULL ^ (b + 1) * 0xc2b2'ae3d'27d4'eb4fULL;
  mixed = (mixed ^ (mixed >> 31)) * 0xbf58'476d'1ce4'e5b9ULL;
  return mixed ^ (mixed >> 29);
}

constexpr std::uint64_t records_per_pass_max = 64;  // of a partition

base::Offset offset_at(std::uint32_t partition, std::uint64_t pass) {
  const std::uint64_t records = 2 + scatter(partition, 0) % records_per_pass_max;
  const std::uint64_t more = pass == 0 ? 0 : scatter(partition, pass) % (records - 1);
  return static_cast<base::Offset>(pass * records + more);
}

// Where in the file a partition's batches begin.
std::uint64_t place_of(const FileAtRest& file, std::uint32_t partition, std::uint32_t partitions) {
  const std::uint64_t each = file.data_bytes / partitions;
  if (partition == 0) return 0;
  if (partition == partitions) return file.data_bytes;
  return partition * each + scatter(partition, file.number) % each;
}

void add_partition(storage::SegmentMeta& meta, const FileAtRest& file, std::uint32_t partition,
                   std::uint32_t partitions) {
  constexpr std::int64_t began_ms = 1'700'000'000'000;
  constexpr std::uint64_t pass_ms = 1000;
  base::Offset next = offset_at(partition, file.first_pass);
  const base::Offset end = offset_at(partition, file.end_pass);
  const std::uint64_t data_end = place_of(file, partition + 1, partitions);
  for (std::uint64_t at = place_of(file, partition, partitions); at < data_end;) {
    const std::uint64_t bytes = std::min(data_end - at, storage::SegmentWriter::segment_bytes_max);
    const base::Offset first = next;
    next = at + bytes == data_end ? end : std::min(first + 1, end - 1);
    if (first == next) break;
    const auto index_count = static_cast<std::uint16_t>(
        std::min<std::uint64_t>(bytes / storage::index_spacing_bytes, storage::index_entries_max));
    const auto ms = static_cast<std::int64_t>(file.end_pass * pass_ms +
                                              scatter(partition, file.end_pass) % pass_ms);
    meta.segments.push_back({.partition = partition,
                             .first_offset = first,
                             .end_offset = next,
                             .position = storage::segment_data_at + at,
                             .bytes = bytes,
                             .max_timestamp_ms = began_ms + ms,
                             .index_first = static_cast<std::uint32_t>(meta.index.size()),
                             .index_count = index_count});
    meta.index.resize(meta.index.size() + index_count);
    at += bytes;
  }
  meta.partitions.push_back({.partition = partition, .log_end = end});
}

// With a meta that says much of data that is a hole.
Result<void> make_sparse_file(const std::string& folder, const FileAtRest& file,
                              std::uint32_t partitions) {
  storage::SegmentFileHeader header{.cluster_id = cluster_id,
                                    .number = file.number,
                                    .from = file.first_pass * storage::block_bytes,
                                    .to = file.end_pass * storage::block_bytes,
                                    .data_bytes = file.data_bytes};
  storage::SegmentMeta meta;
  for (std::uint32_t i = 0; i < partitions; ++i) add_partition(meta, file, i, partitions);
  meta.block_crcs.resize((file.data_bytes + storage::crc_block_bytes - 1) /
                         storage::crc_block_bytes);
  const std::uint32_t seed = storage::journal_seed(cluster_id, base::ShardId{0});
  storage::BlockBuffer bytes(meta.bytes());
  storage::BlockBuffer block(storage::block_bytes);
  storage::write_segment_meta(meta, seed, bytes.span(), header);
  storage::write_segment_header(header, seed, block.span());
  const std::string path = folder + "/" + storage::segment_file_name(file.number);
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  const auto put = [fd](const storage::BlockBuffer& from, std::uint64_t at) {
    return ::pwrite(fd, from.data(), from.size(), static_cast<off_t>(at)) ==
           static_cast<ssize_t>(from.size());
  };
  const bool written = fd >= 0 && ::ftruncate(fd, static_cast<off_t>(header.file_bytes())) == 0 &&
                       put(block, 0) && put(bytes, header.meta_at(0)) &&
                       put(bytes, header.meta_at(1)) && put(block, header.meta_at(2));
  const int number_of_error = errno;
  if (fd >= 0) ::close(fd);
  if (written) return {};
  return Error(ErrorCode::io, "cannot write {}: {}", path, std::strerror(number_of_error));
}

std::uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t pages = 0;  // first of all that is mapped, then of what is resident
  statm >> pages >> pages;
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

class StartSubject final : public Subject {
 public:
  StartSubject(LogAtRest& at_rest, std::uint64_t bytes) : at_rest_(at_rest), bytes_(bytes) {}

  Result<void> measure(std::uint64_t, Measured& into) override {
    at_rest_.drop();
    ::malloc_trim(0);
    const std::uint64_t before = resident_bytes();
    const std::uint64_t start_ns = clock_.monotonic_ns();
    if (auto opened = at_rest_.open(); !opened) return opened;
    const std::uint64_t took_ns = clock_.monotonic_ns() - start_ns;
    into.latency_ns.record(took_ns);
    into.elapsed_ns += took_ns;
    into.bytes += bytes_;
    ++into.count;
    grown_bytes_ = resident_bytes() - std::min(before, resident_bytes());
    return {};
  }
  // In the last round, what was freed meanwhile and not given back included.
  std::uint64_t grown_bytes() const { return grown_bytes_; }

 private:
  LogAtRest& at_rest_;
  std::uint64_t bytes_;
  std::uint64_t grown_bytes_ = 0;
  base::SystemClock clock_;
};

// As it was opened, and not only as it was meant.
bool is_at_rest(const storage::SegmentStore& store, const LogOptions& log) {
  std::vector<storage::FileWeight> weights;
  for (const storage::SegmentFile& file : store.files()) {
    storage::FileWeight& weight = weights.emplace_back();
    for (const storage::SegmentEntry& segment : file.segments) {
      weight.bytes += segment.bytes;
      ++weight.segments;
    }
  }
  return storage::choose_merge(log.compactor.merge, weights).empty();
}

Result<Report> run_start(const BenchOptions& options, const Scratch& scratch, Progress& progress) {
  LogOptions wanted = log_options(256 * base::mib, true);
  const auto files = files_at_rest(wanted, options.bytes, options.partitions);
  wanted.segments_max = 0;
  for (const FileAtRest& file : files) {
    wanted.segments_max +=
        static_cast<std::uint32_t>(weight_of(file.data_bytes, options.partitions).segments);
  }
  const std::string folder = scratch.path() + "/log";
  auto at_rest = LogAtRest::make(folder, wanted);
  if (!at_rest) return at_rest.error();
  if (auto opened = (*at_rest)->open(); !opened) return opened.error();
  // The journal is as it is once it has come round.
  for (auto more = (*at_rest)->log().journal().prepare_files(); more && *more;) {
    more = (*at_rest)->log().journal().prepare_files();
  }
  const auto make_files = [&](std::uint32_t partitions) -> Result<void> {
    for (const FileAtRest& file : files) {
      if (auto made = make_sparse_file(folder, file, partitions); !made) return made;
    }
    return {};
  };
  // What all of it takes with one partition is not a partition's.
  if (auto made = make_files(1); !made) return made.error();
  StartSubject alone(**at_rest, 0);
  Measured unused;
  if (auto done = alone.measure(1, unused); !done) return done.error();
  if (auto made = make_files(options.partitions); !made) return made.error();
  StartSubject start(**at_rest, options.bytes);
  std::vector<Part> parts = {{&start, 1}};
  if (auto done = take_turns(parts, options.rounds, progress); !done) return done.error();
  if (!is_at_rest((*at_rest)->log().store(), wanted)) {
    return Error(ErrorCode::corrupt, "the compactor would merge some of what was measured");
  }
  Report report;
  report.options = options;
  report.result = parts[0].measured;
  report.files = files.size();
  report.partition_bytes =
      (start.grown_bytes() - std::min(start.grown_bytes(), alone.grown_bytes())) /
      options.partitions;
  return report;
}

}  // namespace

Result<std::unique_ptr<LogAtRest>> LogAtRest::make(const std::string& folder,
                                                   const LogOptions& options) {
  std::unique_ptr<LogAtRest> made(new LogAtRest());
  made->folder_ = folder;
  made->options_ = options;
  made->housekeepers_ = std::make_unique<storage::Housekeepers>(std::vector<std::uint32_t>());
  made->options_.journal.background = made->housekeepers_.get();
  return made;
}

void LogAtRest::drop() {
  log_.reset();
  arena_.reset();
  disk_.reset();
  uring_.reset();
}

Result<void> LogAtRest::open() {
  auto uring = base::Uring::create(ring_entries);
  if (!uring) return uring.error();
  uring_ = std::move(*uring);
  auto disk = storage::UringDisk::open({.folder = folder_}, *uring_);
  if (!disk) return disk.error();
  disk_ = std::move(*disk);
  auto arena =
      base::Arena::create({.bytes = storage::Log::arena_bytes(options_), .huge_pages = false});
  if (!arena) return arena.error();
  arena_ = std::make_unique<base::Arena>(std::move(*arena));
  auto log = storage::Log::open(options_, *disk_, *arena_, nullptr);
  if (!log) return log.error();
  log_ = std::move(*log);
  return {};
}

Result<bool> LogAtRest::turn() {
  if (interrupted()) return Error(ErrorCode::unavailable, "interrupted");
  const std::uint64_t now_ns = clock_.monotonic_ns();
  log_->journal().submit_writes(now_ns);
  uring_->submit();
  uring_->reap(ring_entries);
  log_->journal().reap_writes(now_ns);
  const bool told = log_->take_messages();
  const auto kept = log_->keep_house(now_ns, 0);
  if (!kept) return kept.error();
  return told || *kept;
}

Result<void> LogAtRest::fill(std::uint32_t partition, std::uint64_t bytes, Progress& progress) {
  const std::uint32_t slot = log_->create_partition(base::PartitionId{partition});
  const auto batch = filling();
  while (log_->partition(slot).bytes < bytes) {
    while (log_->has_room(batch.size()) && log_->partition(slot).bytes < bytes) {
      log_->append_batch(slot, batch, true);
    }
    if (auto turned = turn(); !turned) return turned.error();
    if (log_->full()) return Error(ErrorCode::no_space, "the journal is full");
    progress.step("writing what is to be read");
  }
  bool busy = true;
  while (busy || log_->durable_position() != log_->append_position()) {
    auto turned = turn();
    if (!turned) return turned.error();
    busy = *turned;
  }
  return {};
}

Result<Report> run_at_rest(const BenchOptions& options) {
  Progress progress;
  auto scratch = Scratch::create();
  if (!scratch) return scratch.error();
  switch (options.verb) {
    case Verb::recovery:
      return run_recovery(options, *scratch, progress);
    case Verb::cold_read:
      return run_cold_read(options, *scratch, progress);
    default:
      return run_start(options, *scratch, progress);
  }
}

}  // namespace millrace::bench

#include "storage/tool/shard_survey.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "dataplane/base/arena.h"
#include "storage/log.h"
#include "storage/tool/batch_window.h"

namespace millrace::storage {
namespace {

constexpr std::uint64_t check_bytes = 1ULL << 20;
static_assert(check_bytes % crc_block_bytes == 0);
constexpr std::uint64_t tail_bytes_min = 8ULL << 20;

class Surveyor final : private RecoveryVisitor {
 public:
  Surveyor(OverlayDisk& disk, const ShardIdentity& identity, const OnProgress& on_progress)
      : disk_(disk),
        seed_(journal_seed(identity.cluster_id, identity.shard)),
        on_progress_(on_progress) {
    found_.identity = identity;
  }

  base::Result<ShardSurvey> run();

 private:
  void on_batch(base::PartitionId partition, base::Position position,
                const BatchView& batch) override;
  void on_damage(const base::PartitionId* partition, base::Position first,
                 base::Position last) override;
  void on_progress(std::uint64_t done, std::uint64_t total) override {
    on_progress_(segment_bytes_done_ + done, segment_bytes_done_ + total);
  }

  base::Result<void> look_at_superblock();
  base::Result<void> look_at_segments();
  void look_at_file(const SegmentFile& file);
  void look_at_headers(const SegmentFile& file, const std::string& name);
  std::optional<SegmentMeta> look_at_meta(const SegmentFile& file, const std::string& name);
  void look_at_data(const SegmentFile& file, const SegmentMeta& meta, const std::string& name);
  void look_at_batches(const SegmentFile& file, const SegmentMeta& meta,
                       const SegmentEntry& segment, BatchWindow& window, const std::string& name);
  void add_rotten(const SegmentFile& file, const SegmentEntry& segment);
  void look_at_broken(const std::string& name);
  static void add_batch(std::vector<BatchRun>& runs, FileId file, std::uint64_t at,
                        const BatchView& batch);
  void look_at_journal();
  void take_partitions(const Log& log);
  void settle();
  static void keep_each_once(std::vector<BatchRun>& runs);
  static void find_missing(PartitionSurvey& partition);
  void add_lost(std::uint32_t partition, const OffsetSpan& span, std::string what);
  FileId journal_file(base::Position position);

  OverlayDisk& disk_;
  std::uint32_t seed_;
  const OnProgress& on_progress_;
  ShardSurvey found_;
  std::uint64_t segment_bytes_done_ = 0;
  std::uint64_t segment_bytes_ = 0;
};

base::Result<ShardSurvey> Surveyor::run() {
  if (auto looked = look_at_superblock(); !looked) return looked.error();
  if (auto looked = look_at_segments(); !looked) return looked.error();
  look_at_journal();
  settle();
  return std::move(found_);
}

base::Result<void> Surveyor::look_at_superblock() {
  const auto file = disk_.open(superblock_file_name);
  if (!file) {
    found_.findings.push_back({.kind = Finding::Kind::unusable,
                               .place = std::string(superblock_file_name),
                               .what = std::string(file.error().message())});
    return {};
  }
  found_.superblock = load_superblock(disk_, *file);
  if (!found_.superblock) {
    found_.findings.push_back({.kind = Finding::Kind::unusable,
                               .place = std::string(superblock_file_name),
                               .what = "no two of its copies agree: restore it from a copy of the "
                                       "data folder"});
    return {};
  }
  const BlockBuffer block(block_bytes);
  for (std::uint32_t copy = 0; copy < superblock_copies; ++copy) {
    const bool is_good = disk_.read_now(*file, std::uint64_t{copy} * block_bytes, block.span()) &&
                         read_superblock_copy(block.span()) == found_.superblock;
    if (is_good) continue;
    found_.findings.push_back({.kind = Finding::Kind::copy,
                               .place = fmt::format("superblock copy {}", copy),
                               .what = "differs from the others"});
  }
  return {};
}

// --- segments ---

base::Result<void> Surveyor::look_at_segments() {
  SegmentStore store(disk_, seed_);
  if (auto opened = store.open(); !opened) return opened;
  for (const SegmentFile& file : store.files()) segment_bytes_ += file.header.file_bytes();
  found_.segment_bytes = segment_bytes_;
  for (const PartitionState& state : store.checkpoint().partitions) {
    found_.partitions[state.partition] = {.log_start = state.log_start,
                                          .log_end = state.log_end,
                                          .runs = {},
                                          .held = {},
                                          .damaged = {},
                                          .missing = {}};
  }
  for (const SegmentFile& file : store.files()) look_at_file(file);
  for (const std::string& name : store.broken()) look_at_broken(name);
  return {};
}

void Surveyor::look_at_file(const SegmentFile& file) {
  const std::string name = segment_file_name(file.header.number);
  found_.files.push_back(file.header);
  look_at_headers(file, name);
  const auto meta = look_at_meta(file, name);
  if (!meta) return;
  look_at_data(file, *meta, name);
  BatchWindow window(disk_, file.file, segment_data_at + file.header.data_bytes);
  for (const SegmentEntry& segment : file.segments) {
    look_at_batches(file, *meta, segment, window, name);
  }
  segment_bytes_done_ += file.header.file_bytes();
  on_progress_(segment_bytes_done_, segment_bytes_);
}

void Surveyor::look_at_headers(const SegmentFile& file, const std::string& name) {
  const BlockBuffer block(block_bytes);
  for (const std::uint64_t at : {std::uint64_t{0}, file.header.meta_at(2)}) {
    const bool is_good = disk_.read_now(file.file, at, block.span()) &&
                         read_segment_header(block.span(), seed_) == file.header;
    if (is_good) continue;
    found_.findings.push_back({.kind = Finding::Kind::copy,
                               .place = fmt::format("{}, byte {}", name, at),
                               .what = "a header is damaged"});
  }
}

std::optional<SegmentMeta> Surveyor::look_at_meta(const SegmentFile& file,
                                                  const std::string& name) {
  if (file.header.meta_bytes == 0) return read_segment_meta(file.header, seed_, {});
  const BlockBuffer buffer(file.header.meta_bytes);
  std::optional<SegmentMeta> sound;
  for (std::uint32_t copy = 0; copy < 2; ++copy) {
    std::optional<SegmentMeta> meta;
    if (disk_.read_now(file.file, file.header.meta_at(copy), buffer.span())) {
      meta = read_segment_meta(file.header, seed_, buffer.span());
    }
    if (meta) {
      sound = std::move(meta);
    } else {
      found_.findings.push_back(
          {.kind = Finding::Kind::copy,
           .place = fmt::format("{}, byte {}", name, file.header.meta_at(copy)),
           .what = "a copy of the meta is damaged"});
    }
  }
  return sound;
}

// Bytes that are nobody's any more may be anything.
void Surveyor::look_at_data(const SegmentFile& file, const SegmentMeta& meta,
                            const std::string& name) {
  const BlockBuffer buffer(check_bytes);
  for (std::uint64_t at = 0; at < file.header.data_bytes; at += check_bytes) {
    const auto window = buffer.span().first(std::min(check_bytes, file.header.data_bytes - at));
    const bool was_read = disk_.read_now(file.file, segment_data_at + at, window).has_value();
    for (std::uint64_t from = 0; from < window.size(); from += crc_block_bytes) {
      const auto bytes = window.subspan(from, std::min(crc_block_bytes, window.size() - from));
      const std::uint64_t block = (at + from) / crc_block_bytes;
      const std::uint64_t place = segment_data_at + at + from;
      const bool is_read = was_read || disk_.read_now(file.file, place, bytes).has_value();
      if (is_read &&
          data_block_crc(seed_, file.header.number, block, bytes) == meta.block_crcs[block]) {
        continue;
      }
      bool is_wanted = false;
      for (const SegmentEntry& segment : file.segments) {
        if (segment.position >= place + bytes.size() || segment.position + segment.bytes <= place) {
          continue;
        }
        is_wanted = true;
        add_rotten(file, segment);
      }
      if (!is_wanted) continue;
      found_.findings.push_back(
          {.place = fmt::format("{}, bytes {} to {}", name, place, place + bytes.size() - 1),
           .what = is_read ? "data is not what was written" : "data cannot be read"});
    }
    on_progress_(segment_bytes_done_ + at, segment_bytes_);
  }
}

void Surveyor::add_rotten(const SegmentFile& file, const SegmentEntry& segment) {
  const SegmentPlace place{file.header.number, segment.partition, segment.first_offset};
  if (std::ranges::find(found_.rotten, place) == found_.rotten.end())
    found_.rotten.push_back(place);
}

void Surveyor::look_at_batches(const SegmentFile& file, const SegmentMeta& meta,
                               const SegmentEntry& segment, BatchWindow& window,
                               const std::string& name) {
  PartitionSurvey& partition = found_.partitions[segment.partition];
  partition.held.push_back({segment.first_offset, segment.end_offset});
  auto entry = meta.index.begin() + segment.index_first;
  const auto index_end = entry + segment.index_count;
  bool leads_right = true;
  const auto on_batch = [&](std::uint64_t at, const BatchView& batch) {
    add_batch(partition.runs, file.file, at, batch);
    while (entry != index_end && entry->position < at) ++entry;
    if (entry != index_end && entry->position == at) {
      leads_right &= entry->first_offset == batch.base_offset();
    }
    return base::Result<void>();
  };
  const auto on_damage = [&](std::uint64_t from, std::uint64_t to, base::Offset first,
                             base::Offset end) {
    add_rotten(file, segment);
    if (first < end) partition.damaged.push_back({first, end});
    found_.findings.push_back(
        {.place = fmt::format("{}, bytes {} to {}", name, from, to),
         .what = fmt::format("no intact batch of partition {}", segment.partition)});
  };
  static_cast<void>(
      window.visit_sound(range_of(segment), {.on_batch = on_batch, .on_damage = on_damage}));
  if (leads_right) return;
  add_rotten(file, segment);
  found_.findings.push_back({.place = fmt::format("{}, partition {}", name, segment.partition),
                             .what = "an index entry leads to another batch"});
}

// Without any meta: whose its batches are nobody knows.
void Surveyor::look_at_broken(const std::string& name) {
  found_.broken.push_back(name);
  found_.findings.push_back({.kind = Finding::Kind::unusable,
                             .place = name,
                             .what = "neither header, or neither copy of the meta, is sound"});
  const auto file = disk_.open(name);
  if (!file) return;
  const std::uint64_t end = base::align_down(disk_.size(*file).value(), block_bytes);
  BatchWindow window(disk_, *file, end);
  static_cast<void>(window.visit_sound(
      {.begin = std::min(segment_data_at, end), .end = end, .order = BatchRange::Order::any},
      {.on_batch = [&](std::uint64_t at, const BatchView& batch) {
        add_batch(found_.unassigned, *file, at, batch);
        return base::Result<void>();
      }}));
}

void Surveyor::add_batch(std::vector<BatchRun>& runs, FileId file, std::uint64_t at,
                         const BatchView& batch) {
  const bool goes_on = !runs.empty() && runs.back().file == file &&
                       runs.back().position + runs.back().bytes == at &&
                       runs.back().end_offset == batch.base_offset();
  if (!goes_on) runs.push_back({.file = file, .position = at, .first_offset = batch.base_offset()});
  runs.back().bytes += batch.bytes();
  runs.back().end_offset = batch.last_offset() + 1;
}

// --- the journal ---

void Surveyor::look_at_journal() {
  if (!found_.superblock) return;
  LogOptions options = log_options_of(*found_.superblock);
  options.journal.cluster_id = found_.identity.cluster_id;
  options.journal.shard = found_.identity.shard;
  auto arena = base::Arena::create({.bytes = Log::arena_bytes(options), .huge_pages = false});
  std::optional<base::Error> error;
  if (!arena) {
    error = arena.error();
  } else if (auto log = Log::open(options, disk_, *arena, this); log) {
    found_.journal_end = (*log)->durable_position();
    take_partitions(**log);
  } else {
    error = log.error();
  }
  if (!error) return;
  found_.findings.push_back(
      {.kind = Finding::Kind::unusable, .place = "journal", .what = std::string(error->message())});
}

FileId Surveyor::journal_file(base::Position position) {
  const Superblock& from = *found_.superblock;
  return disk_.open(fmt::format("journal-{:04}", position / from.file_bytes % from.files_max))
      .value();
}

void Surveyor::on_batch(base::PartitionId partition, base::Position position,
                        const BatchView& batch) {
  PartitionSurvey& to = found_.partitions[base::raw(partition)];
  to.held.push_back({batch.base_offset(), batch.last_offset() + 1});
  add_batch(to.runs, journal_file(position), position % found_.superblock->file_bytes, batch);
}

void Surveyor::on_damage(const base::PartitionId* partition, base::Position first,
                         base::Position last) {
  found_.is_journal_damaged = true;
  Finding finding{.kind = partition == nullptr ? Finding::Kind::unknown : Finding::Kind::rot,
                  .place = fmt::format("journal positions {} to {}", first, last - 1),
                  .what = "acknowledged bytes cannot be read"};
  if (partition != nullptr) {
    finding.what += fmt::format(", of partition {}", base::raw(*partition));
  }
  found_.findings.push_back(std::move(finding));
}

void Surveyor::take_partitions(const Log& log) {
  for (std::uint32_t slot = 0; slot < log.slots_used(); ++slot) {
    const Log::Partition& from = log.partition(slot);
    if (!from.used) continue;
    PartitionSurvey& to = found_.partitions[base::raw(from.id)];
    to.log_start = from.log_start;
    to.log_end = from.log_end;
    to.refuses_appends = from.damaged;
  }
}

// --- what is missing ---

void Surveyor::settle() {
  for (auto& [id, partition] : found_.partitions) {
    keep_each_once(partition.runs);
    find_missing(partition);
    for (const OffsetSpan& span : partition.missing) {
      add_lost(id, span, fmt::format("offsets {} to {} are missing", span.first, span.end - 1));
    }
    if (partition.refuses_appends && partition.missing.empty()) {
      const base::Offset end = partition.log_end;
      add_lost(id, {end, end + 1}, fmt::format("records from offset {} on may be missing", end));
    }
  }
}

void Surveyor::keep_each_once(std::vector<BatchRun>& runs) {
  std::ranges::sort(runs, {}, &BatchRun::first_offset);
  base::Offset next = std::numeric_limits<base::Offset>::min();
  std::erase_if(runs, [&](const BatchRun& run) {
    if (run.first_offset < next) return true;
    next = run.end_offset;
    return false;
  });
}

void Surveyor::find_missing(PartitionSurvey& partition) {
  std::vector<OffsetSpan> missing = partition.damaged;
  std::ranges::sort(partition.held);
  base::Offset next = partition.log_start;
  for (const OffsetSpan& held : partition.held) {
    if (held.first > next) missing.push_back({next, held.first});
    next = std::max(next, held.end);
  }
  if (next < partition.log_end) missing.push_back({next, partition.log_end});
  std::ranges::sort(missing);
  for (OffsetSpan span : missing) {
    span.first = std::max(span.first, partition.log_start);
    if (span.first < span.end) partition.missing.push_back(span);
  }
}

void Surveyor::add_lost(std::uint32_t partition, const OffsetSpan& span, std::string what) {
  found_.findings.push_back({.kind = Finding::Kind::lost,
                             .place = fmt::format("partition {}", partition),
                             .what = std::move(what),
                             .partition = base::PartitionId{partition},
                             .first_offset = span.first,
                             .last_offset = span.end - 1});
}

}  // namespace

bool ShardSurvey::loses() const {
  return std::ranges::any_of(findings,
                             [](const Finding& one) { return one.kind != Finding::Kind::copy; });
}

LogOptions log_options_of(const Superblock& superblock) {
  LogOptions options;
  options.journal.shard = base::ShardId{static_cast<std::uint16_t>(superblock.shard)};
  options.journal.cluster_id = superblock.cluster_id;
  options.journal.file_bytes = superblock.file_bytes;
  options.journal.files_max = superblock.files_max;
  options.journal.tail_bytes = std::bit_ceil(std::max(superblock.boundary_bytes, tail_bytes_min));
  options.journal.frame_bytes_max = superblock.frame_bytes_max;
  options.has_sorter = true;
  options.sorter.pass_bytes = options.journal.tail_bytes;
  options.sorter.start_bytes = 1;
  options.compactor.rewrites = false;
  return options;
}

base::Result<ShardSurvey> survey_shard(OverlayDisk& disk, const ShardIdentity& identity,
                                       const OnProgress& on_progress) {
  return Surveyor(disk, identity, on_progress).run();
}

}  // namespace millrace::storage

#include "storage/tool/shard_repair.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "dataplane/base/arena.h"
#include "storage/log.h"
#include "storage/segment_writer.h"
#include "storage/tool/batch_window.h"

namespace millrace::storage {
namespace {

constexpr std::string_view lost_prefix = "lost-";
constexpr int idle_steps = 3;
constexpr std::uint64_t step_ns = 10'000'000;

base::Result<void> write_and_flush(Disk& disk, FileId file, std::uint64_t at,
                                   std::span<const std::byte> bytes) {
  if (auto written = disk.write_now(file, at, bytes); !written) return written;
  return disk.flush_now(file);
}

base::Result<void> repair_superblock(Disk& disk) {
  const auto file = disk.open(superblock_file_name);
  if (!file) return file.error();
  const auto good = load_superblock(disk, *file);
  if (!good) return {};
  const BlockBuffer block(block_bytes);
  for (std::uint32_t copy = 0; copy < superblock_copies; ++copy) {
    const std::uint64_t at = std::uint64_t{copy} * block_bytes;
    if (disk.read_now(*file, at, block.span()) && read_superblock_copy(block.span()) == good) {
      continue;
    }
    write_superblock_copy(*good, block.span());
    if (auto written = write_and_flush(disk, *file, at, block.span()); !written) return written;
  }
  return {};
}

base::Result<void> repair_headers(Disk& disk, std::uint32_t seed, const SegmentFile& file) {
  const BlockBuffer block(block_bytes);
  for (const std::uint64_t at : {std::uint64_t{0}, file.header.meta_at(2)}) {
    if (disk.read_now(file.file, at, block.span()) &&
        read_segment_header(block.span(), seed) == file.header) {
      continue;
    }
    write_segment_header(file.header, seed, block.span());
    if (auto written = write_and_flush(disk, file.file, at, block.span()); !written) {
      return written;
    }
  }
  return {};
}

base::Result<void> repair_meta(Disk& disk, std::uint32_t seed, const SegmentFile& file) {
  if (file.header.meta_bytes == 0) return {};
  const BlockBuffer copies[2] = {BlockBuffer(file.header.meta_bytes),
                                 BlockBuffer(file.header.meta_bytes)};
  bool is_good[2] = {};
  for (std::uint32_t i = 0; i < 2; ++i) {
    is_good[i] = disk.read_now(file.file, file.header.meta_at(i), copies[i].span()) &&
                 read_segment_meta(file.header, seed, copies[i].span());
  }
  for (std::uint32_t bad = 0; bad < 2; ++bad) {
    if (is_good[bad] || !is_good[1 - bad]) continue;
    if (auto written =
            write_and_flush(disk, file.file, file.header.meta_at(bad), copies[1 - bad].span());
        !written) {
      return written;
    }
  }
  return {};
}

base::Result<void> sort_journal(Disk& disk, const Superblock& superblock) {
  const LogOptions options = log_options_of(superblock);
  auto arena = base::Arena::create({.bytes = Log::arena_bytes(options), .huge_pages = false});
  if (!arena) return arena.error();
  auto log = Log::open(options, disk, *arena, nullptr);
  if (!log) return log.error();
  std::uint64_t now_ns = step_ns;
  for (int idle = 0; idle < idle_steps; now_ns += step_ns) {
    const auto worked = (*log)->keep_house(now_ns, 0);
    if (!worked) return worked.error();
    const bool told = (*log)->take_messages();
    disk.drain();
    idle = *worked || told ? 0 : idle + 1;
  }
  if ((*log)->sorter_link().sorted_to.get() < (*log)->durable_position()) {
    return base::Error(base::ErrorCode::no_space,
                       "the disk has too little room to sort the journal; free some of it");
  }
  return (*log)->journal().close();
}

// What the new file covers of a partition: a hole, or a segment with damaged bytes.
struct Cover {
  OffsetSpan span;
  const SegmentFile* file = nullptr;  // null: a hole
  SegmentEntry segment{};
};

std::map<std::uint32_t, std::vector<Cover>> find_covers(const SegmentStore& store,
                                                        const std::vector<SegmentPlace>& rotten) {
  std::map<std::uint32_t, std::vector<Cover>> covers;
  std::map<std::uint32_t, std::vector<OffsetSpan>> held;
  for (const SegmentFile& file : store.files()) {
    for (const SegmentEntry& segment : file.segments) {
      const OffsetSpan span{segment.first_offset, segment.end_offset};
      held[segment.partition].push_back(span);
      const SegmentPlace place{file.header.number, segment.partition, segment.first_offset};
      if (std::ranges::find(rotten, place) == rotten.end()) continue;
      covers[segment.partition].push_back({span, &file, segment});
    }
  }
  for (const PartitionState& state : store.checkpoint().partitions) {
    auto& spans = held[state.partition];
    spans.push_back({state.log_end, state.log_end});
    std::ranges::sort(spans);
    base::Offset next = state.log_start;
    for (const OffsetSpan& span : spans) {
      if (span.first > next)
        covers[state.partition].push_back({.span = {next, span.first}, .segment = {}});
      next = std::max(next, span.end);
    }
  }
  for (auto& [partition, of_one] : covers) std::ranges::sort(of_one, {}, &Cover::span);
  return covers;
}

base::Result<void> write_covers(Disk& disk, SegmentWriter& writer,
                                const std::map<std::uint32_t, std::vector<Cover>>& covers) {
  for (const auto& [partition, of_one] : covers) {
    for (const Cover& cover : of_one) {
      const std::uint16_t flags = cover.segment.flags;
      writer.cover(base::PartitionId{partition}, cover.span.first, cover.span.end,
                   flags | SegmentEntry::sparse);
      if (cover.file == nullptr) continue;
      BatchWindow window(disk, cover.file->file, segment_data_at + cover.file->header.data_bytes);
      const auto on_batch = [&](std::uint64_t, const BatchView& batch) {
        return writer.put({batch.data(), batch.bytes()});
      };
      const auto visited = window.visit_sound(range_of(cover.segment), {.on_batch = on_batch});
      if (!visited) return visited;
    }
  }
  return {};
}

base::Result<void> write_decision(Disk& disk, const ShardIdentity& identity,
                                  const std::vector<SegmentPlace>& rotten) {
  const std::uint32_t seed = journal_seed(identity.cluster_id, identity.shard);
  SegmentStore store(disk, seed);
  if (auto opened = store.open(); !opened || store.files().empty()) return opened;
  const auto covers = find_covers(store, rotten);
  std::uint64_t bytes = 0;
  for (const auto& [partition, of_one] : covers) {
    for (const Cover& cover : of_one) bytes += cover.segment.bytes;
  }
  // Where the newest file is, and after it by its number.
  SegmentFileHeader place = store.files().back().header;
  place.number = store.take_number();
  SegmentWriter writer(disk, seed, inline_background);
  if (auto started = writer.start(unfinished_rewrite_name, place, bytes); !started) return started;
  if (auto written = write_covers(disk, writer, covers); !written) {
    writer.abandon();
    return written;
  }
  Checkpoint known = store.checkpoint();
  for (PartitionState& state : known.partitions) {
    state.damaged = 0;
    state.damage_first = state.damage_last = 0;
  }
  auto file = writer.finish(std::move(known.partitions), std::move(known.producers));
  if (!file) return file.error();
  return {};
}

}  // namespace

base::Result<void> repair_copies(Disk& disk, const ShardIdentity& identity) {
  if (auto repaired = repair_superblock(disk); !repaired) return repaired;
  const std::uint32_t seed = journal_seed(identity.cluster_id, identity.shard);
  SegmentStore store(disk, seed);
  if (auto opened = store.open(); !opened) return opened;
  for (const SegmentFile& file : store.files()) {
    if (auto repaired = repair_headers(disk, seed, file); !repaired) return repaired;
    if (auto repaired = repair_meta(disk, seed, file); !repaired) return repaired;
  }
  return {};
}

base::Result<void> accept_loss(Disk& disk, const ShardSurvey& survey) {
  if (!survey.superblock) {
    return base::Error(base::ErrorCode::corrupt,
                       "the superblock cannot be had back; restore it from a copy of the data "
                       "folder, or salvage what there is");
  }
  if (survey.is_journal_damaged) {
    if (auto sorted = sort_journal(disk, *survey.superblock); !sorted) return sorted;
  }
  if (auto decided = write_decision(disk, survey.identity, survey.rotten); !decided) {
    return decided;
  }
  for (const std::string& name : survey.broken) {
    if (auto renamed = disk.rename(name, std::string(lost_prefix) + name); !renamed) {
      return renamed;
    }
  }
  return {};
}

}  // namespace millrace::storage

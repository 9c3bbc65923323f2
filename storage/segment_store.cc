#include "storage/segment_store.h"

#include <malloc.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "dataplane/base/check.h"
#include "storage/block_buffer.h"

namespace millrace::storage {
namespace {

std::uint64_t number_of(const SegmentFile& file) { return file.header.number; }

// Files that were made of others begin where the first of those did.
std::tuple<base::Position, base::Position, std::uint64_t> place_of(const SegmentFile& file) {
  return {file.header.from, file.header.to, file.header.number};
}

}  // namespace

base::Result<void> SegmentStore::open() {
  auto names = disk_.list();
  if (!names) return names.error();
  std::ranges::sort(*names);
  for (const std::string& name : *names) {
    const auto number = segment_file_number(name);
    if (!number) continue;
    next_number_ = std::max(next_number_, *number + 1);
    if (auto opened = open_file(name, *number); !opened) return opened;
  }
  for (const std::string_view unfinished : {unfinished_segment_name, unfinished_rewrite_name}) {
    if (!disk_.exists(unfinished)) continue;
    if (auto removed = disk_.remove(unfinished); !removed) return removed;
  }
  std::ranges::sort(files_, {}, place_of);
  drop_superseded();
  ::malloc_trim(0);  // opening took several times what stays
  return {};
}

base::Result<void> SegmentStore::open_file(const std::string& name, std::uint64_t number) {
  auto file = disk_.open(name);
  if (!file) return file.error();
  const auto give_up = [&] {
    disk_.close(*file);
    broken_.push_back(name);
    return base::Result<void>();
  };
  const auto header = read_header(*file);
  if (!header || header->number != number) return give_up();
  auto meta = read_meta(*file, *header, MetaParts::without_index_and_crcs);
  if (!meta) return give_up();
  // What was made of all that there is says nothing of the journal.
  if (header->from < header->to && header->to >= checkpoint_.sorted_to) {
    checkpoint_ = {.sorted_to = header->to,
                   .partitions = std::move(meta->partitions),
                   .producers = std::move(meta->producers)};
  }
  files_.push_back({.file = *file, .header = *header, .segments = SegmentList(meta->segments)});
  return {};
}

// At the file's beginning, and where that is unreadable, at its end.
std::optional<SegmentFileHeader> SegmentStore::read_header(FileId file) {
  const auto bytes = disk_.size(file);
  if (!bytes || *bytes < 2 * block_bytes || *bytes % block_bytes != 0) return {};
  const BlockBuffer block(block_bytes);
  for (const std::uint64_t at : {std::uint64_t{0}, *bytes - block_bytes}) {
    if (!disk_.read_now(file, at, block.span())) continue;
    const auto header = read_segment_header(block.span(), seed_);
    if (header && header->file_bytes() == *bytes) return header;
  }
  return {};
}

base::Result<SegmentMeta> SegmentStore::read_meta(FileId file, const SegmentFileHeader& header,
                                                  MetaParts parts) {
  if (header.meta_bytes == 0) return SegmentMeta();
  const BlockBuffer buffer(header.meta_bytes);
  for (std::uint32_t copy = 0; copy < 2; ++copy) {
    if (!disk_.read_now(file, header.meta_at(copy), buffer.span())) continue;
    if (auto meta = read_segment_meta(header, seed_, buffer.span(), parts)) return *std::move(meta);
  }
  return base::Error(base::ErrorCode::corrupt, "{} has no sound copy of its meta left",
                     segment_file_name(header.number));
}

void SegmentStore::drop_superseded() {
  struct Held {
    std::uint32_t partition;
    std::uint32_t file;  // its place
    base::Offset first;
    base::Offset end;
  };
  std::size_t count = 0;
  for (const SegmentFile& file : files_) count += file.segments.size();
  std::vector<Held> held;
  held.reserve(count);
  for (std::uint32_t i = 0; i < files_.size(); ++i) {
    for (const SegmentEntry& segment : files_[i].segments) {
      held.push_back({segment.partition, i, segment.first_offset, segment.end_offset});
    }
  }
  std::ranges::sort(held, [this](const Held& a, const Held& b) {
    return std::tuple(a.partition, number_of(files_[b.file])) <
           std::tuple(b.partition, number_of(files_[a.file]));
  });
  std::map<base::Offset, base::Offset> covered;  // of one partition, by files of higher numbers
  std::map<std::uint32_t, std::set<std::pair<std::uint32_t, base::Offset>>> superseded;  // by file
  for (std::size_t i = 0; i < held.size(); ++i) {
    const Held& one = held[i];
    if (i == 0 || held[i - 1].partition != one.partition) covered.clear();
    const auto after = covered.upper_bound(one.first);
    if (after != covered.begin() && std::prev(after)->second >= one.end) {
      superseded[one.file].emplace(one.partition, one.first);
    } else {
      covered.emplace(one.first, one.end);
    }
  }
  for (const auto& [file, segments] : superseded) {
    std::vector<SegmentEntry> kept;
    for (const SegmentEntry& segment : files_[file].segments) {
      if (!segments.contains({segment.partition, segment.first_offset})) kept.push_back(segment);
    }
    files_[file].segments = SegmentList(kept);
  }
}

const SegmentFile* SegmentStore::find(std::uint64_t number) const {
  const auto file = std::ranges::find(files_, number, number_of);
  return file == files_.end() ? nullptr : &*file;
}

void SegmentStore::add(SegmentFile file, Checkpoint checkpoint) {
  files_.push_back(std::move(file));
  checkpoint_ = std::move(checkpoint);
  ++change_count_;
}

void SegmentStore::add_rewritten(SegmentFile file) {
  const auto at = std::ranges::upper_bound(files_, place_of(file), {}, place_of);
  files_.insert(at, std::move(file));
  drop_superseded();
  ++change_count_;
}

base::Result<void> SegmentStore::remove(std::uint64_t number) {
  const auto at = std::ranges::find(files_, number, number_of);
  CHECK(at != files_.end());
  const FileId file = at->file;
  files_.erase(at);
  ++change_count_;
  auto removed = disk_.remove(segment_file_name(number));
  disk_.close(file);
  return removed;
}

}  // namespace millrace::storage

#include "storage/segment_store.h"

#include <algorithm>
#include <utility>

#include "storage/block_buffer.h"

namespace millrace::storage {

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
  if (disk_.exists(unfinished_segment_name)) {
    if (auto removed = disk_.remove(unfinished_segment_name); !removed) return removed;
  }
  std::ranges::sort(files_, {}, [](const SegmentFile& file) { return file.header.from; });
  return remove_superseded();
}

base::Result<void> SegmentStore::open_file(const std::string& name, std::uint64_t number) {
  auto file = disk_.open(name);
  if (!file) return file.error();
  const auto header = read_header(*file);
  auto meta = header && header->number == number ? read_meta(*file, *header) : std::nullopt;
  if (!meta) {
    disk_.close(*file);
    broken_.push_back(name);
    return {};
  }
  if (header->to >= checkpoint_.sorted_to) {
    checkpoint_ = {.sorted_to = header->to,
                   .partitions = std::move(meta->partitions),
                   .producers = std::move(meta->producers)};
  }
  files_.push_back({.file = *file, .header = *header, .segments = std::move(meta->segments)});
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

std::optional<SegmentMeta> SegmentStore::read_meta(FileId file, const SegmentFileHeader& header) {
  if (header.meta_bytes == 0) return read_segment_meta(header, seed_, {});
  const BlockBuffer buffer(header.meta_bytes);
  for (std::uint32_t copy = 0; copy < 2; ++copy) {
    if (!disk_.read_now(file, header.meta_at(copy), buffer.span())) continue;
    if (auto meta = read_segment_meta(header, seed_, buffer.span())) return meta;
  }
  return {};
}

base::Result<void> SegmentStore::remove_superseded() {
  for (std::size_t i = files_.size(); i-- > 0;) {
    const SegmentFileHeader& old = files_[i].header;
    const bool superseded = std::ranges::any_of(files_, [&](const SegmentFile& other) {
      return other.header.number > old.number && other.header.from <= old.from &&
             old.to <= other.header.to;
    });
    if (!superseded) continue;
    if (auto removed = remove(i); !removed) return removed;
  }
  return {};
}

void SegmentStore::add(SegmentFile file, Checkpoint checkpoint) {
  next_number_ = file.header.number + 1;
  files_.push_back(std::move(file));
  checkpoint_ = std::move(checkpoint);
}

base::Result<void> SegmentStore::remove(std::size_t index) {
  const SegmentFile file = std::move(files_[index]);
  files_.erase(files_.begin() + static_cast<std::ptrdiff_t>(index));
  auto removed = disk_.remove(segment_file_name(file.header.number));
  disk_.close(file.file);
  return removed;
}

}  // namespace millrace::storage

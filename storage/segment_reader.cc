#include "storage/segment_reader.h"

#include <algorithm>
#include <utility>

#include "dataplane/base/check.h"
#include "dataplane/base/units.h"
#include "storage/batch.h"

namespace millrace::storage {

base::Result<std::span<const std::byte>> SegmentReader::batch_at(const SegmentEntry& segment,
                                                                 std::uint64_t position) {
  const base::Error damaged(base::ErrorCode::corrupt,
                            "{} is damaged at byte {}, of partition {} between offsets {} and {}",
                            segment_file_name(header_.number), position, segment.partition,
                            segment.first_offset, segment.end_offset - 1);
  const std::uint64_t left = segment.position + segment.bytes - position;
  if (left < batch_header_bytes) return damaged;
  const auto head = bytes_at(position, batch_header_bytes);
  if (!head) return head.error();
  const std::uint64_t bytes = BatchView(head->data()).bytes();
  if (bytes > std::min<std::uint64_t>(left, batch_bytes_max)) return damaged;
  const auto batch = bytes_at(position, bytes);
  if (!batch) return batch.error();
  const BatchView view(batch->data());
  const bool is_first = position == segment.position;
  const bool is_next = !is_first && position == next_at_;
  const base::Offset from = is_next ? next_offset_ : segment.first_offset;
  const bool is_known = (is_first || is_next) && !segment.is_sparse();
  const bool follows = is_known ? view.base_offset() == from : view.base_offset() >= from;
  if (check_batch(*batch, Offsets::some) != BatchFault::none || !follows ||
      view.last_offset() >= segment.end_offset) {
    return damaged;
  }
  if (segment.is_sparse()) {
    const auto sound = are_blocks_sound(position, bytes);
    if (!sound) return sound.error();
    if (!*sound) return damaged;
  }
  next_at_ = position + bytes;
  next_offset_ = view.last_offset() + 1;
  return batch;
}

base::Result<std::span<const std::byte>> SegmentReader::bytes_at(std::uint64_t position,
                                                                 std::uint64_t count) {
  if (position < window_at_ || position + count > window_at_ + loaded_bytes_) {
    const std::uint64_t first =
        segment_data_at + base::align_down(position - segment_data_at, crc_block_bytes);
    const std::uint64_t wanted =
        std::max(window_bytes, base::align_up(position + count - first, crc_block_bytes));
    const std::uint64_t bytes = std::min(wanted, header_.meta_at(0) - first);
    CHECK(position + count <= first + bytes);
    if (window_.size() < bytes) window_ = BlockBuffer(bytes);
    loaded_bytes_ = 0;
    if (auto read = disk_.read_now(file_, first, window_.span().first(bytes)); !read) {
      return read.error();
    }
    window_at_ = first;
    loaded_bytes_ = bytes;
    checked_.assign((bytes + crc_block_bytes - 1) / crc_block_bytes, false);
  }
  return std::span<const std::byte>(window_.span()).subspan(position - window_at_, count);
}

base::Result<bool> SegmentReader::are_blocks_sound(std::uint64_t position, std::uint64_t count) {
  if (block_crcs_.empty()) {
    auto meta = store_.read_meta(file_, header_, MetaParts::all);
    if (!meta) return meta.error();
    block_crcs_ = std::move(meta->block_crcs);
  }
  const std::uint64_t first_block = (window_at_ - segment_data_at) / crc_block_bytes;
  const auto window = window_.span().first(loaded_bytes_);
  for (std::uint64_t i = (position - window_at_) / crc_block_bytes;
       i * crc_block_bytes < position + count - window_at_; ++i) {
    if (checked_[i]) continue;
    const auto rest = window.subspan(i * crc_block_bytes);
    const auto block = rest.first(std::min<std::uint64_t>(rest.size(), crc_block_bytes));
    if (data_block_crc(store_.journal_seed(), header_.number, first_block + i, block) !=
        block_crcs_[first_block + i]) {
      return false;
    }
    checked_[i] = true;
  }
  return true;
}

}  // namespace millrace::storage

#include "storage/tool/batch_window.h"

#include <algorithm>
#include <cstring>

namespace millrace::storage {

std::span<const std::byte> BatchWindow::bytes(std::uint64_t at, std::uint64_t count) {
  CHECK(at + count <= file_bytes_ && count <= batch_bytes_max);
  if (at < from_ || at + count > from_ + loaded_) load(base::align_down(at, block_bytes));
  return buffer_.span().subspan(at - from_, count);
}

void BatchWindow::load(std::uint64_t from) {
  from_ = from;
  loaded_ = std::min(window_bytes, file_bytes_ - from);
  if (disk_.read_now(file_, from, buffer_.span().first(loaded_))) return;
  for (std::uint64_t i = 0; i < loaded_; i += block_bytes) {
    const auto block = buffer_.span().subspan(i, block_bytes);
    if (disk_.read_now(file_, from + i, block)) continue;
    std::memset(block.data(), 0, block.size());
  }
}

// The batch there when it is whole, intact and may be one of the range.
std::optional<BatchView> BatchWindow::sound_batch(std::uint64_t at, const BatchRange& range) {
  if (at + batch_header_bytes > range.end) return {};
  const BatchView header(bytes(at, batch_header_bytes).data());
  const std::uint64_t count = header.bytes();
  const std::uint64_t count_max = std::min<std::uint64_t>(batch_bytes_max, range.end - at);
  if (count < batch_header_bytes || count > count_max) return {};
  if (header.base_offset() < range.first_offset || header.last_offset() < header.base_offset() ||
      header.last_offset() >= range.end_offset) {
    return {};
  }
  const auto batch = bytes(at, count);
  const Offsets offsets = range.order == BatchRange::Order::complete ? Offsets::all : Offsets::some;
  if (check_batch(batch, offsets) != BatchFault::none) return {};
  return BatchView(batch.data());
}

// The first place from `at` on; range.end when there is none.
std::uint64_t BatchWindow::find_sound(std::uint64_t at, const BatchRange& range) {
  for (; at + batch_header_bytes <= range.end; ++at) {
    // The one byte that is always the same tells nearly all places apart.
    if (bytes(at, batch_header_bytes)[batch_field::magic] != std::byte{2}) continue;
    if (sound_batch(at, range)) return at;
  }
  return range.end;
}

base::Result<void> BatchWindow::visit_sound(BatchRange range, const Visitor& visitor) {
  using Order = BatchRange::Order;
  std::optional<std::uint64_t> damaged_from;
  for (std::uint64_t at = range.begin; at < range.end;) {
    auto batch = sound_batch(at, range);
    // Its first offset is not under its CRC.
    const bool is_next = range.order != Order::complete || damaged_from ||
                         (batch && batch->base_offset() == range.first_offset);
    if (!batch || !is_next) {
      if (!damaged_from) damaged_from = at;
      at = find_sound(at + 1, range);
      continue;
    }
    if (damaged_from) {
      visitor.on_damage(*damaged_from, at, range.first_offset, batch->base_offset());
      damaged_from.reset();
    }
    if (range.order != Order::any) range.first_offset = batch->last_offset() + 1;
    const std::uint64_t end = at + batch->bytes();
    if (auto visited = visitor.on_batch(at, *batch); !visited) return visited;
    at = end;
  }
  const bool is_short = range.order == Order::complete && range.first_offset != range.end_offset;
  if (damaged_from || is_short) {
    visitor.on_damage(damaged_from.value_or(range.end), range.end, range.first_offset,
                      range.end_offset);
  }
  return {};
}

BatchRange range_of(const SegmentEntry& segment) {
  return {.begin = segment.position,
          .end = segment.position + segment.bytes,
          .first_offset = segment.first_offset,
          .end_offset = segment.end_offset,
          .order = segment.is_sparse() ? BatchRange::Order::rising : BatchRange::Order::complete};
}

}  // namespace millrace::storage

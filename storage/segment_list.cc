#include "storage/segment_list.h"

#include "dataplane/base/check.h"

namespace millrace::storage {
namespace {

constexpr std::uint32_t bits_per_byte = 7;
constexpr std::uint64_t more_follow = 0x80;
constexpr std::uint32_t flags_at = 16;  // above the index count

// Small differences either way become small numbers, and those few bytes.
void put(std::vector<std::byte>& to, std::uint64_t value, std::uint64_t likely) {
  const std::uint64_t difference = value - likely;
  std::uint64_t left = difference << 1 ^ (difference >> 63 != 0 ? ~0ULL : 0);
  for (; left >= more_follow; left >>= bits_per_byte) {
    to.push_back(static_cast<std::byte>(left | more_follow));
  }
  to.push_back(static_cast<std::byte>(left));
}

std::uint64_t take(const std::byte*& at, std::uint64_t likely) {
  std::uint64_t folded = 0;
  for (std::uint32_t shift = 0;; shift += bits_per_byte) {
    const auto byte = static_cast<std::uint64_t>(*at++);
    folded |= (byte & ~more_follow) << shift;
    if ((byte & more_follow) == 0) break;
  }
  return likely + (folded >> 1 ^ ((folded & 1) != 0 ? ~0ULL : 0));
}

std::uint64_t bits(std::int64_t value) { return static_cast<std::uint64_t>(value); }

}  // namespace

SegmentList::SegmentList(std::span<const SegmentEntry> entries) : count_(entries.size()) {
  SegmentEntry before;
  for (const SegmentEntry& entry : entries) {
    const bool goes_on = entry.partition == before.partition;
    put(bytes_, entry.partition, before.partition);
    put(bytes_, bits(entry.last_epoch), bits(before.last_epoch));
    put(bytes_, bits(entry.first_offset), bits(goes_on ? before.end_offset : before.first_offset));
    put(bytes_, bits(entry.end_offset), bits(entry.first_offset));
    put(bytes_, entry.position, before.position + before.bytes);
    put(bytes_, entry.bytes, before.bytes);
    put(bytes_, bits(entry.max_timestamp_ms), bits(before.max_timestamp_ms));
    put(bytes_, entry.index_first, before.index_first + before.index_count);
    put(bytes_, std::uint64_t{entry.flags} << flags_at | entry.index_count, 0);
    before = entry;
  }
  bytes_.shrink_to_fit();
}

void SegmentList::Iterator::take() {
  const SegmentEntry before = entry_;
  const auto next = [this](std::uint64_t likely) { return storage::take(at_, likely); };
  entry_.partition = static_cast<std::uint32_t>(next(before.partition));
  const bool goes_on = entry_.partition == before.partition;
  entry_.last_epoch = static_cast<std::int32_t>(next(bits(before.last_epoch)));
  entry_.first_offset =
      static_cast<base::Offset>(next(bits(goes_on ? before.end_offset : before.first_offset)));
  entry_.end_offset = static_cast<base::Offset>(next(bits(entry_.first_offset)));
  entry_.position = next(before.position + before.bytes);
  entry_.bytes = next(before.bytes);
  entry_.max_timestamp_ms = static_cast<std::int64_t>(next(bits(before.max_timestamp_ms)));
  entry_.index_first = static_cast<std::uint32_t>(next(before.index_first + before.index_count));
  const std::uint64_t both = next(0);
  entry_.index_count = static_cast<std::uint16_t>(both);
  entry_.flags = static_cast<std::uint16_t>(both >> flags_at);
}

SegmentList::Iterator& SegmentList::Iterator::operator++() {
  CHECK(left_ != 0);
  if (--left_ != 0) take();
  return *this;
}

SegmentEntry SegmentList::at(std::size_t index) const {
  CHECK(index < count_);
  Iterator entry = begin();
  while (index-- != 0) ++entry;
  return *entry;
}

}  // namespace millrace::storage

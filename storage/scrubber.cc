#include "storage/scrubber.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "storage/crc32c.h"

namespace millrace::storage {
namespace {

constexpr std::uint64_t second_ns = 1'000'000'000;
// What was not read in time is not made up for beyond this.
constexpr std::uint64_t lag_ns_max = 100'000'000;
static_assert(Scrubber::window_bytes % crc_block_bytes == 0);
// Of a finding's text, so that the count of what is left out fits behind them.
constexpr std::size_t names_bytes_max = 220;

// The offsets of a segment that may lie in [from, to) of its file, as far as its index tells.
std::pair<base::Offset, base::Offset> offsets_between(const SegmentMeta& meta,
                                                      const SegmentEntry& segment,
                                                      std::uint64_t from, std::uint64_t to) {
  base::Offset first = segment.first_offset;
  base::Offset end = segment.end_offset;
  for (std::uint32_t i = 0; i < segment.index_count; ++i) {
    const IndexEntry& entry = meta.index[segment.index_first + i];
    if (entry.position <= from) first = entry.first_offset;
    if (entry.position >= to) {
      end = entry.first_offset;
      break;
    }
  }
  return {first, end - 1};
}

}  // namespace

bool Scrubber::step(std::uint64_t now_ns) {
  if (options_.bytes_per_s == 0 || !tell() || now_ns < next_ns_) return false;
  const SegmentFile* file = find_file(now_ns);
  if (file == nullptr) return false;
  if (window_.size() == 0) window_ = BlockBuffer(window_bytes);
  const std::uint64_t bytes = check_some(*file);
  link_.scrub_bytes.add(bytes);
  next_ns_ = std::max(next_ns_, now_ns - std::min(now_ns, lag_ns_max)) +
             bytes * second_ns / options_.bytes_per_s;
  return tell() && next_ns_ <= now_ns;
}

// --- which file ---

const SegmentFile* Scrubber::find_file(std::uint64_t now_ns) {
  if (!pass_started_ns_) {
    if (now_ns < pass_after_ns_) return nullptr;
    pass_started_ns_ = now_ns;
    pass_end_ = store_.next_number();
    pass_read_any_ = false;
    number_ = 0;
    in_file_ = false;
  }
  const SegmentFile* current = in_file_ ? store_.find(number_) : nullptr;
  return current != nullptr ? current : begin_file();
}

// The one with the next number; none ends the pass.
const SegmentFile* Scrubber::begin_file() {
  const SegmentFile* next = nullptr;
  for (const SegmentFile& file : store_.files()) {
    const std::uint64_t number = file.header.number;
    if (number <= number_ || number >= pass_end_) continue;
    if (next == nullptr || number < next->header.number) next = &file;
  }
  if (next == nullptr) {
    end_pass();
    return nullptr;
  }
  number_ = next->header.number;
  in_file_ = true;
  part_ = Part::headers;
  at_ = 0;
  block_crcs_.clear();
  pass_read_any_ = true;
  return next;
}

void Scrubber::end_pass() {
  if (pass_read_any_) {
    link_.scrub_passes.add();
    pass_after_ns_ = *pass_started_ns_ + options_.pass_ns;
  }
  pass_started_ns_.reset();
  std::erase_if(named_, [&](const Place& place) { return store_.find(place.first) == nullptr; });
}

// --- one file ---

// The bytes that were read.
std::uint64_t Scrubber::check_some(const SegmentFile& file) {
  switch (part_) {
    case Part::headers:
      return check_headers(file);
    case Part::meta:
      return check_meta(file);
    case Part::data:
      return check_data(file);
  }
  return 0;
}

std::uint64_t Scrubber::check_headers(const SegmentFile& file) {
  const auto block = window_.span().first(block_bytes);
  for (const std::uint64_t at : {std::uint64_t{0}, file.header.meta_at(2)}) {
    const auto is_sound = [&] {
      return disk_.read_now(file.file, at, block) &&
             read_segment_header(block, store_.journal_seed()) == file.header;
    };
    if (!is_sound() && !is_sound()) report(file, at, block_bytes, "a header is damaged");
  }
  part_ = Part::meta;
  copy_ = 0;
  at_ = 0;
  copy_crc_ = store_.journal_seed();
  copy_failed_ = second_look_ = false;
  copy_crcs_.assign(file.header.block_count, 0);
  in_file_ = file.header.meta_bytes != 0;
  return 2 * block_bytes;
}

std::uint64_t Scrubber::check_meta(const SegmentFile& file) {
  const SegmentFileHeader& header = file.header;
  const std::uint64_t count = std::min(window_bytes, header.meta_bytes - at_);
  const auto window = window_.span().first(count);
  if (!disk_.read_now(file.file, header.meta_at(copy_) + at_, window)) copy_failed_ = true;
  copy_crc_ = crc32c(window, copy_crc_);
  const std::uint64_t crcs_at = block_crcs_in_meta(header);
  const std::uint64_t from = std::max(at_, crcs_at);
  const std::uint64_t to =
      std::min(at_ + count, crcs_at + copy_crcs_.size() * sizeof(std::uint32_t));
  if (from < to) {
    std::memcpy(reinterpret_cast<std::byte*>(copy_crcs_.data()) + (from - crcs_at),
                window.data() + (from - at_), to - from);
  }
  at_ += count;
  if (at_ == header.meta_bytes) end_meta_copy(file);
  return count;
}

void Scrubber::end_meta_copy(const SegmentFile& file) {
  const SegmentFileHeader& header = file.header;
  const bool is_sound = !copy_failed_ && copy_crc_ == header.meta_crc;
  if (is_sound && block_crcs_.empty()) block_crcs_ = copy_crcs_;
  at_ = 0;
  copy_crc_ = store_.journal_seed();
  copy_failed_ = false;
  second_look_ = !is_sound && !second_look_;
  if (second_look_) return;
  if (!is_sound) {
    report(file, header.meta_at(copy_), header.meta_bytes, "a copy of the meta is damaged");
  }
  if (++copy_ < 2) return;
  part_ = Part::data;
  in_file_ = !block_crcs_.empty();
}

std::uint64_t Scrubber::check_data(const SegmentFile& file) {
  const std::uint64_t count = std::min(window_bytes, file.header.data_bytes - at_);
  const auto window = window_.span().first(count);
  const bool was_read = disk_.read_now(file.file, segment_data_at + at_, window).has_value();
  for (std::uint64_t from = 0; from < count; from += crc_block_bytes) {
    const std::uint64_t block = (at_ + from) / crc_block_bytes;
    const auto bytes = window.subspan(from, std::min(crc_block_bytes, count - from));
    if (!was_read || !is_block_sound(file, block, bytes)) check_again(file, block, bytes);
  }
  at_ += count;
  in_file_ = at_ < file.header.data_bytes;
  return count;
}

bool Scrubber::is_block_sound(const SegmentFile& file, std::uint64_t block,
                              std::span<const std::byte> bytes) const {
  return data_block_crc(store_.journal_seed(), file.header.number, block, bytes) ==
         block_crcs_[block];
}

void Scrubber::check_again(const SegmentFile& file, std::uint64_t block,
                           std::span<std::byte> bytes) {
  const std::uint64_t at = segment_data_at + block * crc_block_bytes;
  const bool is_wanted = std::ranges::any_of(file.segments, [&](const SegmentEntry& segment) {
    return segment.position < at + bytes.size() && segment.position + segment.bytes > at;
  });
  if (!is_wanted) return;
  if (!disk_.read_now(file.file, at, bytes)) {
    report(file, at, bytes.size(), "data cannot be read");
  } else if (!is_block_sound(file, block, bytes)) {
    report(file, at, bytes.size(), "data is not what was written");
  }
}

// --- what is found ---

void Scrubber::report(const SegmentFile& file, std::uint64_t at, std::uint64_t bytes,
                      std::string_view what) {
  if (named_.contains({file.header.number, at})) return;
  link_.scrub_bad_blocks.add();
  if (named_.size() >= options_.places_max) return;
  named_.emplace(file.header.number, at);
  ScrubFinding found;
  std::string text = fmt::format("{}, bytes {} to {}: {}", segment_file_name(file.header.number),
                                 at, at + bytes - 1, what);
  const auto meta = store_.read_meta(file.file, file.header, MetaParts::all);
  std::uint64_t left_out = 0;
  for (const SegmentEntry& segment : file.segments) {
    if (!meta || segment.position >= at + bytes || segment.position + segment.bytes <= at) continue;
    const auto [first, last] = offsets_between(*meta, segment, at, at + bytes);
    if (found.partition == base::PartitionId{~0U}) {
      found.partition = base::PartitionId{segment.partition};
      found.first_offset = first;
      found.last_offset = last;
    }
    const std::string named =
        fmt::format("; partition {} within offsets {} to {}", segment.partition, first, last);
    if (left_out == 0 && text.size() + named.size() <= names_bytes_max) {
      text += named;
    } else {
      ++left_out;
    }
  }
  if (left_out != 0) text += fmt::format("; and {} more", left_out);
  found.text_bytes = static_cast<std::uint32_t>(std::min(text.size(), found.text.size()));
  std::memcpy(found.text.data(), text.data(), found.text_bytes);
  findings_.push_back(found);
}

// True when nothing is left to be told.
bool Scrubber::tell() {
  const auto told = link_.findings.push(std::span<const ScrubFinding>(findings_));
  findings_.erase(findings_.begin(), findings_.begin() + told);
  return findings_.empty();
}

}  // namespace millrace::storage

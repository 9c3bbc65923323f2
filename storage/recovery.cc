#include "storage/recovery.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "dataplane/base/check.h"
#include "storage/block_buffer.h"
#include "storage/breakage.h"
#include "storage/crc32c.h"

namespace millrace::storage {
namespace {

constexpr std::uint64_t read_bytes = 8 * base::mib;

}  // namespace

Recovery::Recovery(const JournalOptions& options, const Superblock& superblock, Disk& disk,
                   FileRing& files, std::span<std::byte> tail, RecoveryVisitor& visitor)
    : options_(options),
      superblock_(superblock),
      disk_(disk),
      files_(files),
      tail_(tail),
      visitor_(visitor),
      background_(*options.background),
      seed_(journal_seed(options.cluster_id, options.shard)),
      boundary_bytes_(std::min(options.file_bytes, options.tail_bytes)),
      limit_(std::min(base::align_down(superblock.head, files.file_bytes()) + files.ring_bytes(),
                      files.prepared_end())),
      load_limit_(limit_),
      loaded_from_(superblock.head),
      loaded_to_(superblock.head) {}

base::Result<Recovery::Recovered> Recovery::run() {
  base::Position at = superblock_.head;
  while (at < limit_) {
    if (superblock_.clean && at == superblock_.end) break;
    const Frame frame = read_frame(at);
    if (frame.fault == Fault::none) {
      deliver(*frame.header);
      follow(*frame.header);
      at = frame_end(*frame.header);
    } else if (is_damage(at, frame.fault)) {
      at = pass_damage(at, frame);
    } else {
      if (auto cut_off = cut(at); !cut_off) return cut_off.error();
      break;
    }
  }
  // The tail ring holds the last tail_.size() bytes of what was loaded, and of those only what was
  // loaded in one run is whole.
  load(std::min(at, limit_));
  const base::Position filled_to = std::max(loaded_to_, ahead_from_ + ahead_bytes_);
  const base::Position oldest = filled_to - std::min<std::uint64_t>(filled_to, tail_.size());
  return Recovered{.end = at,
                   .tail_from = std::max(loaded_from_, oldest),
                   .last_header_crc = previous_header_crc_.value_or(0)};
}

base::Position Recovery::scan() {
  limit_ = superblock_.end;
  load_limit_ = std::min(limit_, superblock_.head + tail_.size());
  base::Position at = superblock_.head;
  while (at < load_limit_) {
    const Frame frame = read_frame(at);
    if (frame.fault == Fault::beyond) break;
    if (frame.fault == Fault::none) {
      deliver(*frame.header);
      follow(*frame.header);
      at = frame_end(*frame.header);
      continue;
    }
    search_beyond(at);
    const Candidate* next = next_candidate(at, generation_);
    // What is left of a damaged frame is had back from one piece of memory.
    if (at != superblock_.head && (next == nullptr || next->at > load_limit_)) break;
    at = pass_damage(at, frame);
  }
  return at;
}

// --- frames that continue the journal ---

Recovery::Frame Recovery::read_frame(base::Position at) {
  needed_from_ = at;
  load(at + block_bytes);
  if (is_unreadable(at, at + block_bytes)) return {.fault = Fault::unreadable, .header = {}};
  Frame frame;
  frame.header =
      read_frame_header({tail_at(at), block_bytes}, seed_, options_.shard, at, boundary_bytes_);
  if (!frame.header) return frame;
  const FrameHeader& header = *frame.header;
  if (header.generation < generation_ || header.generation > superblock_.generation) {
    frame.header.reset();
    return frame;
  }
  const base::Position end = frame_end(header);
  if (end > load_limit_) {
    frame.fault = Fault::beyond;
    return frame;
  }
  if (header.flags == frame_flag_data) {
    load(end);
    if (is_unreadable(at, end)) {
      frame.fault = Fault::unreadable;
      return frame;
    }
    const std::span<const std::byte> body(tail_at(at) + frame_header_bytes, header.body_bytes);
    const bool body_sound =
        is_broken(Breakage::ignore_crc) ||
        crc32c(body, frame_seed(seed_, at, header.generation)) == header.body_crc;
    if (!body_sound || !entries_sound(header)) {
      return frame;
    }
  }
  // 0 after a recovery that did not know the frame before.
  const bool starts_chain = header.previous_header_crc == 0 && header.generation > generation_;
  const bool chained =
      !previous_header_crc_ || starts_chain || header.previous_header_crc == *previous_header_crc_;
  frame.fault = chained ? Fault::none : Fault::broken_chain;
  return frame;
}

bool Recovery::entries_sound(const FrameHeader& header) const {
  const std::uint32_t seed = frame_seed(seed_, header.lsn, header.generation);
  const std::span<const std::byte> frame(tail_at(header.lsn),
                                         frame_header_bytes + header.body_bytes);
  std::size_t at = frame_header_bytes;
  std::uint32_t count = 0;
  while (at < frame.size()) {
    const auto entry = read_entry_header(frame.subspan(at), static_cast<std::uint32_t>(at), seed);
    if (!entry || !matches_entry(*entry, frame.data() + at + entry_header_bytes)) return false;
    at += entry_bytes(entry->bytes);
    ++count;
  }
  return count == header.entry_count;
}

void Recovery::deliver(const FrameHeader& header) {
  if (header.flags != frame_flag_data) return;
  base::Position at = header.lsn + frame_header_bytes;
  for (std::uint32_t i = 0; i < header.entry_count; ++i) {
    EntryHeader entry;
    std::memcpy(&entry, tail_at(at), sizeof entry);
    hand_out(entry, at + entry_header_bytes);
    at += entry_bytes(entry.bytes);
  }
}

void Recovery::hand_out(const EntryHeader& entry, base::Position batch) {
  const base::PartitionId partition{entry.partition};
  if (entry.type == entry_type_log_start) {
    visitor_.on_log_start(partition, entry.base_offset);
  } else {
    visitor_.on_batch(partition, batch, BatchView(tail_at(batch)));
  }
}

void Recovery::follow(const FrameHeader& header) {
  previous_header_crc_ = header.header_crc;
  previous_at_ = header.lsn;
  generation_ = header.generation;
}

// --- the first invalid place, and those after it ---

bool Recovery::is_damage(base::Position at, Fault fault) {
  if (is_broken(Breakage::cut_on_damage)) return false;
  search_beyond(at);
  if (fault != Fault::invalid) return true;
  if (at < superblock_.end) return true;
  for (const Candidate& later : candidates_) {
    if (later.at <= at) continue;
    if (later.durable_lsn > at) return true;
    if (later.at > at + superblock_.frame_bytes_max) return true;
  }
  return false;
}

// Reports what is lost from `at` on, hands out what is not, and returns where to go on.
base::Position Recovery::pass_damage(base::Position at, const Frame& frame) {
  if (frame.fault == Fault::broken_chain) {
    // The frame is whole; what should lie before it is not what was handed out for it.
    visitor_.on_damage(nullptr, previous_at_, at);
    previous_header_crc_.reset();
    return at;
  }
  if (frame.header) return pass_damaged_body(*frame.header);
  const Candidate* next = next_candidate(at, generation_);
  base::Position to = next != nullptr ? next->at : std::max(superblock_.end, at + block_bytes);
  while (next == nullptr && to < limit_) {  // unreadable blocks at the end belong to the damage
    load(to + block_bytes);
    if (!is_unreadable(to, to + block_bytes)) break;
    to += block_bytes;
  }
  // With the header the frame's generation is lost, and it is known only when all around it is of
  // the same one.
  const std::uint64_t later_generation =
      next != nullptr ? next->generation : superblock_.generation;
  const base::Position boundary = base::align_down(at, boundary_bytes_) + boundary_bytes_;
  base::Position salvaged_to = at;
  if (generation_ == later_generation && at + frame_header_bytes < std::min(to, boundary)) {
    salvaged_to = std::min({to, boundary, load_limit_});
    load(salvaged_to);
    salvage({.frame = at, .seed = frame_seed(seed_, at, generation_)}, salvaged_to);
  }
  if (salvaged_to < to) visitor_.on_damage(nullptr, salvaged_to, to);
  previous_header_crc_.reset();
  if (to > loaded_to_) {
    forget_ahead();
    loaded_from_ = loaded_to_ = to;
  }
  return to;
}

base::Position Recovery::pass_damaged_body(const FrameHeader& header) {
  const Place place{.frame = header.lsn, .seed = frame_seed(seed_, header.lsn, header.generation)};
  base::Position to = header.lsn + frame_header_bytes + header.body_bytes;
  base::Position end = frame_end(header);
  follow(header);
  // A recovery that could not read this header started the next generation inside the frame.
  const Candidate* next = next_candidate(header.lsn, header.generation + 1);
  if (next != nullptr && next->at < end) {
    to = end = next->at;
    previous_header_crc_.reset();
  }
  salvage(place, to);
  return end;
}

// Entries of one damaged frame, up to `to`: each is found by its own header, after a lost one by
// trying every place where an entry may start.
void Recovery::salvage(const Place& place, base::Position to) {
  base::Position at = place.frame + frame_header_bytes;
  base::Position lost_from = at;
  while (at < to) {
    const std::span<const std::byte> rest(tail_at(at), to - at);
    const auto entry =
        read_entry_header(rest, static_cast<std::uint32_t>(at - place.frame), place.seed);
    if (!entry) {
      at += entry_alignment;
      continue;
    }
    if (lost_from != at) visitor_.on_damage(nullptr, lost_from, at);
    at = salvage_entry(*entry, at);
    lost_from = at;
  }
  if (lost_from < to) visitor_.on_damage(nullptr, lost_from, to);
}

base::Position Recovery::salvage_entry(const EntryHeader& entry, base::Position at) {
  const base::PartitionId partition{entry.partition};
  const base::Position batch = at + entry_header_bytes;
  const base::Position end = at + entry_bytes(entry.bytes);
  const std::span<const std::byte> bytes(tail_at(batch), entry.bytes);
  const bool is_whole =
      entry.type == entry_type_log_start ||
      (check_batch(bytes) == BatchFault::none && matches_entry(entry, bytes.data()));
  if (!is_unreadable(at, batch + entry.bytes) && is_whole) {
    hand_out(entry, batch);
  } else {
    visitor_.on_damage(&partition, at, end);
  }
  return end;
}

// Nothing beyond `at` was acknowledged. Frames of the write that was torn must not come back.
base::Result<void> Recovery::cut(base::Position at) {
  alignas(block_bytes) static const std::array<std::byte, block_bytes> zeros{};
  for (const Candidate& candidate : candidates_) {
    if (candidate.at < at) continue;
    const FileId file = files_.file(candidate.at);
    if (auto written = disk_.write_now(file, files_.offset(candidate.at), zeros); !written) {
      return written;
    }
    if (auto flushed = disk_.flush_now(file); !flushed) return flushed;
  }
  return {};
}

// Every sound header from `at` to the end of the ring; once, since later places lie beyond.
void Recovery::search_beyond(base::Position at) {
  if (searched_) return;
  searched_ = true;
  const BlockBuffer buffer(std::min({read_bytes, files_.file_bytes(), limit_ - at}));
  base::Position from = at;
  while (from < limit_) {
    const std::uint64_t in_file = files_.file_bytes() - files_.offset(from);
    const std::span<std::byte> chunk(buffer.data(), std::min({read_bytes, in_file, limit_ - from}));
    read_blocks(from, chunk, false);
    for (std::uint64_t i = 0; i < chunk.size(); i += block_bytes) {
      const auto header = read_frame_header(chunk.subspan(i, block_bytes), seed_, options_.shard,
                                            from + i, boundary_bytes_);
      if (header && header->generation <= superblock_.generation) {
        candidates_.push_back({from + i, header->generation, header->durable_lsn});
      }
    }
    from += chunk.size();
    visitor_.on_progress(from - superblock_.head, limit_ - superblock_.head);
  }
}

const Recovery::Candidate* Recovery::next_candidate(base::Position at,
                                                    std::uint64_t generation_min) const {
  for (const Candidate& candidate : candidates_) {
    if (candidate.at > at && candidate.generation >= generation_min) return &candidate;
  }
  return nullptr;
}

// --- reading ---

// Reads on into the tail ring until it holds everything before `to`. A read stops at a boundary, so
// it never overwrites the frame that it is a part of.
void Recovery::load(base::Position to) {
  while (loaded_to_ < to) {
    const base::Position boundary = base::align_down(loaded_to_, boundary_bytes_) + boundary_bytes_;
    std::uint64_t bytes = std::min({read_bytes, boundary - loaded_to_, load_limit_ - loaded_to_});
    CHECK(bytes != 0);
    bool is_there = false;
    if (ahead_bytes_ != 0) {
      background_.wait();
      CHECK(ahead_from_ == loaded_to_);
      bytes = std::exchange(ahead_bytes_, 0);
      is_there = !ahead_failed_;
    }
    if (!is_there) read_blocks(loaded_to_, {tail_at(loaded_to_), bytes}, true);
    loaded_to_ += bytes;
    read_ahead();
    visitor_.on_progress(loaded_to_ - superblock_.head, limit_ - superblock_.head);
  }
}

// The next chunk, while this one is looked at.
void Recovery::read_ahead() {
  const base::Position boundary = base::align_down(loaded_to_, boundary_bytes_) + boundary_bytes_;
  const std::uint64_t bytes =
      std::min({read_bytes, boundary - loaded_to_, load_limit_ - loaded_to_});
  if (bytes == 0 || loaded_to_ + bytes > needed_from_ + tail_.size()) return;
  ahead_from_ = loaded_to_;
  ahead_bytes_ = bytes;
  background_.run([this] {
    const std::span<std::byte> into(tail_at(ahead_from_), ahead_bytes_);
    const auto read = disk_.read_now(files_.file(ahead_from_), files_.offset(ahead_from_), into);
    ahead_failed_ = !read.has_value();
  });
}

void Recovery::forget_ahead() {
  if (ahead_bytes_ == 0) return;
  background_.wait();
  ahead_bytes_ = 0;
}

// Blocks that the device cannot read are zeros in `into`.
void Recovery::read_blocks(base::Position at, std::span<std::byte> into, bool remember_unreadable) {
  const FileId file = files_.file(at);
  if (disk_.read_now(file, files_.offset(at), into)) return;
  for (std::uint64_t i = 0; i < into.size(); i += block_bytes) {
    const auto block = into.subspan(i, block_bytes);
    if (disk_.read_now(file, files_.offset(at + i), block)) continue;
    std::memset(block.data(), 0, block.size());
    if (remember_unreadable) unreadable_.push_back(at + i);
  }
}

bool Recovery::is_unreadable(base::Position first, base::Position last) const {
  const auto it = std::lower_bound(unreadable_.begin(), unreadable_.end(),
                                   base::align_down(first, block_bytes));
  return it != unreadable_.end() && *it < last;
}

}  // namespace millrace::storage

#include "storage/journal.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "dataplane/base/check.h"
#include "storage/breakage.h"
#include "storage/crc32c.h"
#include "storage/recovery.h"

namespace millrace::storage {
namespace {

constexpr std::uint64_t frame_token = 0;
constexpr std::uint64_t superblock_token = 1;
// Bytes nobody waits for go out early once there are so many.
constexpr std::uint64_t gather_bytes = base::mib;
// Of the ring: for entries that are not batches.
constexpr std::uint64_t kept_back_bytes = 64 * base::kib;
// Room for a frame, its padding and the pad that may precede it.
constexpr std::uint64_t tail_bytes_min = 4 * largest_batch_frame_bytes;

std::uint64_t boundary_of(const JournalOptions& options) {
  return std::min(options.file_bytes, options.tail_bytes);
}

base::Result<void> check_options(const JournalOptions& options) {
  using base::Error;
  using base::ErrorCode;
  if (!std::has_single_bit(options.file_bytes) || !std::has_single_bit(options.tail_bytes)) {
    return Error(ErrorCode::invalid_argument,
                 "journal file size {} and tail size {} must be powers of two", options.file_bytes,
                 options.tail_bytes);
  }
  if (options.tail_bytes < tail_bytes_min || boundary_of(options) > base::gib) {
    return Error(ErrorCode::invalid_argument,
                 "journal tail size {} must be at least {} bytes, and it or the file size at most "
                 "1 GiB",
                 options.tail_bytes, std::bit_ceil(tail_bytes_min));
  }
  if (options.frame_bytes_max < largest_batch_frame_bytes ||
      options.frame_bytes_max > boundary_of(options) ||
      options.frame_bytes_max % block_bytes != 0) {
    return Error(ErrorCode::invalid_argument,
                 "journal write size {} must be a multiple of {} from {} to {} bytes",
                 options.frame_bytes_max, block_bytes, largest_batch_frame_bytes,
                 boundary_of(options));
  }
  if (options.files_max < 2 || options.files_max > 9999 || options.files_ahead < 1) {
    return Error(ErrorCode::invalid_argument,
                 "journal files {} must be from 2 to 9999, and files ahead {} at least 1",
                 options.files_max, options.files_ahead);
  }
  return {};
}

// Is this the journal that the options speak of?
base::Result<void> check_identity(const Superblock& found, const JournalOptions& options) {
  using base::Error;
  using base::ErrorCode;
  if (found.cluster_id != options.cluster_id || found.shard != base::raw(options.shard)) {
    return Error(ErrorCode::invalid_argument,
                 "the journal is shard {} of cluster {:x}, not shard {} of cluster {:x}; start "
                 "with the data folder that belongs to this node",
                 found.shard, found.cluster_id, base::raw(options.shard), options.cluster_id);
  }
  if (found.file_bytes != options.file_bytes || found.files_max != options.files_max) {
    return Error(ErrorCode::invalid_argument,
                 "the journal was made with {} files of {} bytes; configure these, not {} of {}",
                 found.files_max, found.file_bytes, options.files_max, options.file_bytes);
  }
  if (found.boundary_bytes > boundary_of(options)) {
    return Error(ErrorCode::invalid_argument,
                 "the journal was written with a tail of {} bytes; configure at least that, not {}",
                 found.boundary_bytes, options.tail_bytes);
  }
  return {};
}

}  // namespace

// --- writing ---

Journal::Appended Journal::append_batch(base::PartitionId partition,
                                        std::span<const std::byte> batch, base::Offset base_offset,
                                        std::int32_t leader_epoch, bool urgent) {
  CHECK(batch.size() >= batch_header_bytes && batch.size() <= batch_bytes_max);
  open_frame(batch.size(), batch_limit());
  const EntryHeader header{.bytes = static_cast<std::uint32_t>(batch.size()),
                           .partition = base::raw(partition),
                           .base_offset = base_offset,
                           .leader_epoch = leader_epoch};
  const base::Position at = end_;
  write_entry(tail_at(at), header, batch, static_cast<std::uint32_t>(at - frame_start_),
              frame_seed_);
  end_ = at + entry_bytes(batch.size());
  ++entry_count_;
  urgent_ |= urgent;
  const base::Position position = at + entry_header_bytes;
  return {.position = position, .durable_at = position + batch.size()};
}

bool Journal::append_log_start(base::PartitionId partition, base::Offset offset) {
  constexpr std::uint64_t room = entry_alignment;  // more than none, which means no entry
  if (failed() || room_below(entry_limit()).largest() < room) return false;
  open_frame(room, entry_limit());
  const EntryHeader header{.bytes = 0,
                           .type = entry_type_log_start,
                           .partition = base::raw(partition),
                           .base_offset = offset};
  write_entry(tail_at(end_), header, {}, static_cast<std::uint32_t>(end_ - frame_start_),
              frame_seed_);
  end_ += entry_bytes(0);
  ++entry_count_;
  return true;
}

// Makes the open frame one that has room for an entry of so many batch bytes.
void Journal::open_frame(std::uint64_t bytes, base::Position limit) {
  const Room room = room_below(limit);
  CHECK(bytes <= room.largest() && !failed());
  if (frame_open()) {
    if (bytes <= room.in_open) return;
    close_frame();
  }
  if (bytes > room.in_next) {
    close_pad(base::align_up(end_, boundary_bytes_));
  }
  frame_start_ = end_;
  frame_seed_ = frame_seed(seed_, frame_start_, superblock_.generation);
  body_crc_ = frame_seed_;
  end_ = frame_start_ + frame_header_bytes;
  summed_ = end_;
}

void Journal::sum_body() {
  if (!frame_open() || summed_ == end_) return;
  body_crc_ = crc32c({tail_at(summed_), end_ - summed_}, body_crc_);
  summed_ = end_;
}

// Leaves a header without what is known only when the write starts: see finish_header.
void Journal::close_frame() {
  CHECK(frame_open());
  sum_body();
  const FrameHeader header{
      .lsn = frame_start_,
      .generation = superblock_.generation,
      .body_bytes = static_cast<std::uint32_t>(end_ - frame_start_ - frame_header_bytes),
      .body_crc = body_crc_,
      .entry_count = entry_count_,
      .shard = base::raw(options_.shard),
      .flags = frame_flag_data};
  std::memcpy(tail_at(frame_start_), &header, sizeof header);
  const base::Position padded = next_frame();
  if (padded != end_) std::memset(tail_at(end_), 0, padded - end_);
  end_ = padded;
  frame_start_ = padded;
  entry_count_ = 0;
  closed_urgent_ |= urgent_;
  urgent_ = false;
  gather_since_ns_ = 0;
  files_wanted_.set(end_ / files_.file_bytes() + 1 + options_.files_ahead);
}

void Journal::close_pad(base::Position boundary) {
  CHECK(!frame_open() && boundary > end_);
  const FrameHeader header{
      .lsn = end_,
      .generation = superblock_.generation,
      .body_bytes = static_cast<std::uint32_t>(boundary - end_ - frame_header_bytes),
      .shard = base::raw(options_.shard),
      .flags = frame_flag_pad};
  std::memset(tail_at(end_), 0, block_bytes);
  std::memcpy(tail_at(end_), &header, sizeof header);
  end_ = boundary;
  frame_start_ = boundary;
}

std::uint64_t Journal::Room::largest() const { return std::max({in_open, in_next, past_boundary}); }

Journal::Room Journal::room_below(base::Position limit) const {
  // Batch bytes that fit into an entry that may use [from, to).
  const auto batch_room = [](base::Position from, base::Position to) -> std::uint64_t {
    if (to < from + entry_header_bytes) return 0;
    return base::align_down(to - from - entry_header_bytes, entry_alignment);
  };
  Room room;
  limit = base::align_down(limit, block_bytes);
  const base::Position next = next_frame();
  const base::Position boundary = base::align_up(next, boundary_bytes_);
  if (frame_open()) {
    // A boundary block is a frame's end, never its middle, so `boundary` is right here too.
    room.in_open =
        batch_room(end_, std::min({frame_start_ + options_.frame_bytes_max, boundary, limit}));
  }
  const base::Position next_boundary = next == boundary ? next + boundary_bytes_ : boundary;
  room.in_next = batch_room(next + frame_header_bytes,
                            std::min({next + options_.frame_bytes_max, next_boundary, limit}));
  if (next != boundary) {
    room.past_boundary = batch_room(boundary + frame_header_bytes,
                                    std::min(boundary + options_.frame_bytes_max, limit));
  }
  return room;
}

// Bytes not yet durable and bytes that readers use stay where they are.
base::Position Journal::memory_limit() const {
  return std::min(durable_, pinned_from_) + tail_.size();
}

base::Position Journal::entry_limit() const {
  return std::min({memory_limit(), files_.prepared_end(), ring_limit()});
}

base::Position Journal::batch_limit() const {
  return std::min({memory_limit(), files_.prepared_end(), ring_limit() - kept_back_bytes});
}

std::uint64_t Journal::room_bytes() const {
  if (failed()) return 0;
  return std::min<std::uint64_t>(room_below(batch_limit()).largest(), batch_bytes_max);
}

bool Journal::full() const {
  // A trim whose superblock is still being written counts: the room is on its way.
  base::Position limit = superblock_.head + files_.ring_bytes() - kept_back_bytes;
  if (files_.is_starved()) limit = std::min(limit, files_.prepared_end());
  return room_below(limit).largest() < batch_bytes_max;
}

void Journal::submit_writes(std::uint64_t now_ns) {
  account_write(now_ns);
  sum_body();
  if (write_in_flight() || failed()) return;
  if (durable_ == frame_start_) {  // no closed frame waits
    if (!frame_open()) return;
    if (gather_since_ns_ == 0) gather_since_ns_ = std::max<std::uint64_t>(now_ns, 1);
    if (!urgent_ && end_ - frame_start_ < gather_bytes &&
        now_ns < gather_since_ns_ + options_.gather_ns) {
      return;
    }
    close_frame();
  }
  start_write(now_ns);
}

// One data frame, with the pad behind it if there is one; or a pad alone.
void Journal::start_write(std::uint64_t now_ns) {
  const base::Position at = durable_;
  FrameHeader header = finish_header(at, last_header_crc_);
  write_end_ = frame_end(header);
  write_bytes_ = header.flags == frame_flag_pad ? block_bytes : write_end_ - at;
  if (header.flags == frame_flag_data && write_end_ < frame_start_) {
    FrameHeader next;
    std::memcpy(&next, tail_at(write_end_), sizeof next);
    if (next.flags == frame_flag_pad) {
      header = finish_header(write_end_, header.header_crc);
      write_bytes_ += block_bytes;
      write_end_ = frame_end(header);
    }
  }
  last_header_crc_ = header.header_crc;
  in_flight_urgent_ = closed_urgent_;
  if (write_end_ == frame_start_) closed_urgent_ = false;
  write_started_ns_ = now_ns;
  counters_.frames_written.add();
  counters_.frame_bytes_written.add(write_bytes_);
  disk_.write_durable(files_.file(at), files_.offset(at), {tail_at(at), write_bytes_}, *this,
                      frame_token);
  if (is_broken(Breakage::acknowledge_early)) durable_ = write_end_;
}

// All before durable_ is on the device now: that is what tells damage from a torn tail later.
FrameHeader Journal::finish_header(base::Position at, std::uint32_t previous_header_crc) {
  FrameHeader header;
  std::memcpy(&header, tail_at(at), sizeof header);
  CHECK(header.magic == frame_magic && header.lsn == at);
  header.durable_lsn = durable_;
  header.previous_header_crc = previous_header_crc;
  header.header_crc = header_crc(header, seed_);
  std::memcpy(tail_at(at), &header, sizeof header);
  return header;
}

bool Journal::reap_writes(std::uint64_t now_ns) {
  disk_.poll();
  account_write(now_ns);
  const bool moved = durable_ != reported_durable_;
  reported_durable_ = durable_;
  return moved;
}

void Journal::account_write(std::uint64_t now_ns) {
  if (write_unaccounted_ns_ == 0) return;
  counters_.write_ns_total.add(now_ns - std::min(now_ns, write_unaccounted_ns_));
  write_unaccounted_ns_ = 0;
}

void Journal::on_disk(std::uint64_t token, std::int32_t result) {
  if (token == frame_token) {
    CHECK(write_in_flight());
    const std::uint64_t bytes = write_bytes_;
    write_bytes_ = 0;
    write_unaccounted_ns_ = write_started_ns_;
    if (result != static_cast<std::int64_t>(bytes)) return fail("a frame", result);
    if (!failed()) durable_ = write_end_;
    return;
  }
  CHECK(token == superblock_token && superblock_step_ != 0);
  if (result != static_cast<std::int64_t>(superblock_half_bytes)) {
    superblock_step_ = 0;
    return fail("the superblock", result);
  }
  if (superblock_step_ == 1) {
    superblock_step_ = 2;
    return write_superblock_half();
  }
  superblock_step_ = 0;
  head_ = superblock_head_written_;
  if (head_ != superblock_.head) trim(superblock_.head);
}

void Journal::fail(std::string_view what, std::int32_t result) {
  if (failed()) return;
  failure_ =
      base::Error(base::ErrorCode::io,
                  "writing {} of shard {} at journal position {} failed: {}; nothing more is "
                  "acknowledged, check {} and restart",
                  what, base::raw(options_.shard), durable_,
                  result < 0 ? std::strerror(-result) : "short write", disk_.device());
}

// --- reading and trimming ---

const std::byte* Journal::in_tail(base::Position position, std::uint32_t bytes) const {
  const base::Position oldest = next_frame() - std::min<std::uint64_t>(next_frame(), tail_.size());
  if (position < std::max(oldest, tail_from_) || position + bytes > end_) return nullptr;
  if ((position & (tail_.size() - 1)) + bytes > tail_.size()) return nullptr;
  return tail_at(position);
}

void Journal::read(base::Position position, std::span<std::byte> into, DiskHandler& handler,
                   std::uint64_t token) {
  CHECK(position % block_bytes == 0 && into.size() % block_bytes == 0);
  CHECK(files_.offset(position) + into.size() <= files_.file_bytes());
  disk_.read(files_.file(position), files_.offset(position), into, handler, token);
}

void Journal::trim(base::Position oldest_needed) {
  const base::Position head =
      base::align_down(std::min(oldest_needed, durable_), files_.file_bytes());
  superblock_.head = std::max(superblock_.head, head);
  if (superblock_.head == head_ || superblock_step_ != 0 || failed()) return;
  ++superblock_.sequence;
  superblock_.end = durable_;
  superblock_head_written_ = superblock_.head;
  for (std::uint64_t at = 0; at < superblock_half_bytes; at += block_bytes) {
    write_superblock_copy(superblock_, superblock_half_.subspan(at, block_bytes));
  }
  superblock_step_ = 1;
  write_superblock_half();
}

void Journal::write_superblock_half() {
  const std::uint64_t at = (superblock_step_ - 1) * superblock_half_bytes;
  disk_.write_durable(superblock_file_, at, superblock_half_, *this, superblock_token);
}

// --- start and end ---

std::uint64_t Journal::arena_bytes(const JournalOptions& options) {
  return options.tail_bytes + superblock_half_bytes + 2 * block_bytes;  // and alignment
}

base::Result<std::unique_ptr<Journal>> Journal::open(const JournalOptions& options, Disk& disk,
                                                     base::Arena& arena, RecoveryVisitor& visitor) {
  if (auto checked = check_options(options); !checked) return checked.error();
  const Memory memory{.tail = arena.allocate_bytes(options.tail_bytes, block_bytes),
                      .superblock = arena.allocate_bytes(superblock_half_bytes, block_bytes)};
  std::unique_ptr<Journal> journal(new Journal(options, disk, memory));
  if (auto started = journal->start(visitor); !started) return started.error();
  return journal;
}

Journal::Journal(const JournalOptions& options, Disk& disk, Memory memory)
    : options_(options),
      disk_(disk),
      files_(disk, options.file_bytes, options.files_max),
      tail_(memory.tail),
      boundary_bytes_(boundary_of(options)),
      seed_(journal_seed(options.cluster_id, options.shard)),
      superblock_half_(memory.superblock) {}

Journal::~Journal() {
  if (write_in_flight() || superblock_step_ != 0) disk_.drain();
}

base::Result<void> Journal::start(RecoveryVisitor& visitor) {
  auto found = load_or_create();
  if (!found) return found.error();
  if (auto flushed = files_.flush_all(); !flushed) return flushed;

  // Files before the head are used again only once what they held is had elsewhere.
  const base::Position recover_from = options_.recover_from.value_or(found->head);
  if (recover_from < found->head) visitor.on_damage(nullptr, recover_from, found->head);
  Superblock from = *found;
  from.head = std::max(found->head, recover_from);
  if (from.head > files_.prepared_end()) {
    return base::Error(
        base::ErrorCode::corrupt,
        "the journal of shard {} ends before position {}, up to which it was sorted; "
        "restore its files from a copy of the data folder",
        base::raw(options_.shard), from.head);
  }
  Recovery recovery(options_, from, disk_, files_, tail_, visitor);
  auto recovered = recovery.run();
  if (!recovered) return recovered.error();

  // Nothing has been written yet, so one update after the scan is enough: it starts the new
  // generation and pins down what was found.
  superblock_ = *found;
  ++superblock_.sequence;
  if (!is_broken(Breakage::keep_generation)) ++superblock_.generation;
  superblock_.clean = false;
  superblock_.frame_bytes_max = options_.frame_bytes_max;
  superblock_.boundary_bytes = boundary_bytes_;
  superblock_.end = recovered->end;
  // A crash may have come before the trim: then nobody else would ever say so, if little follows.
  superblock_.head = std::max(found->head, base::align_down(from.head, options_.file_bytes));
  if (auto stored = store_superblock(disk_, superblock_file_, superblock_); !stored) return stored;

  head_ = superblock_.head;
  frame_start_ = end_ = durable_ = reported_durable_ = recovered->end;
  last_header_crc_ = recovered->last_header_crc;
  tail_from_ = recovered->tail_from;
  files_wanted_.set(end_ / options_.file_bytes + 1 + options_.files_ahead);
  while (!full() && room_bytes() < batch_bytes_max) {
    auto prepared = prepare_files();
    if (!prepared && files_.prepared_count() == 0) return prepared.error();
    if (!prepared || !*prepared) break;  // what is there can be read; full() says the rest
  }
  return {};
}

base::Position Journal::scan(base::Position from, base::Position to, std::span<std::byte> into,
                             RecoveryVisitor& visitor) {
  CHECK(std::has_single_bit(into.size()) && into.size() >= boundary_bytes_);
  const Superblock part{.frame_bytes_max = superblock_.frame_bytes_max,
                        .generation = superblock_.generation,
                        .head = from,
                        .end = to};
  return Recovery(options_, part, disk_, files_, into, visitor).scan();
}

base::Result<Superblock> Journal::load_or_create() {
  using base::Error;
  using base::ErrorCode;
  const bool is_new = !disk_.exists(superblock_file_name);
  auto file = is_new ? disk_.create(superblock_file_name, 2 * superblock_half_bytes)
                     : disk_.open(superblock_file_name);
  if (!file) return file.error();
  superblock_file_ = *file;
  if (!is_new) {
    if (auto flushed = disk_.flush_now(*file); !flushed) return flushed.error();
  }
  auto found = load_superblock(disk_, *file);
  if (found) {
    if (auto fits = check_identity(*found, options_); !fits) return fits.error();
  }
  if (auto opened = files_.open_existing(); !opened) return opened.error();
  if (!found) {
    // The first journal file comes after the first superblock, so this is a start that was cut
    // short, or damage.
    if (files_.prepared_count() != 0) {
      return Error(ErrorCode::corrupt,
                   "the superblock of shard {} is gone: fewer than {} of its {} copies agree; "
                   "restore the file '{}' from a copy of the data folder",
                   base::raw(options_.shard), superblock_quorum, superblock_copies,
                   superblock_file_name);
    }
    found = Superblock{.cluster_id = options_.cluster_id,
                       .shard = base::raw(options_.shard),
                       .clean = true,
                       .file_bytes = options_.file_bytes,
                       .files_max = options_.files_max,
                       .frame_bytes_max = options_.frame_bytes_max,
                       .boundary_bytes = boundary_bytes_};
  }
  if (std::max(found->head, found->end) > files_.prepared_end()) {
    return Error(ErrorCode::corrupt,
                 "the journal reaches position {} and only {} of its files are there; restore them "
                 "from a copy of the data folder",
                 found->end, files_.prepared_count());
  }
  return *found;
}

base::Result<void> Journal::close() {
  disk_.drain();
  while (!failed() && durable_ != end_) {
    urgent_ = true;
    submit_writes(gather_since_ns_);
    disk_.drain();
  }
  while (!failed() && superblock_step_ != 0) disk_.drain();
  if (failed()) return *failure_;
  ++superblock_.sequence;
  superblock_.clean = true;
  superblock_.end = durable_;
  if (auto stored = store_superblock(disk_, superblock_file_, superblock_); !stored) return stored;
  head_ = superblock_.head;
  return {};
}

}  // namespace millrace::storage

// Journal: one shard's write-ahead log. See README.md for the bytes. Core:  the shard's; only
// prepare_files() is called elsewhere (the housekeeping thread). Owns:  the tail ring (memory) and
// a ring of preallocated, zero-written files of the same positions. Step:  7 (append_batch) and 8
// (reap_writes) of the walk.
//
// A position is a byte's place since the journal began; it is never reused. position % tail_bytes
// is its place in memory, position % (file_bytes * files_max) its place on disk. Frames are built
// in the tail ring where they will be written from, and the same bytes answer readers until the
// ring comes round again.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>

#include "dataplane/base/arena.h"
#include "dataplane/base/counter.h"
#include "dataplane/base/ids.h"
#include "dataplane/base/result.h"
#include "storage/background.h"
#include "storage/batch.h"
#include "storage/disk.h"
#include "storage/file_ring.h"
#include "storage/frame.h"
#include "storage/segment.h"
#include "storage/superblock.h"

namespace millrace::storage {

struct JournalOptions {
  base::ShardId shard{};
  std::uint64_t cluster_id = 0;  // seeds the CRCs, so another node's bytes never validate
  std::uint64_t file_bytes =
      64ULL << 20;               // a multiple of tail_bytes or the other way round; powers of two
  std::uint32_t files_max = 16;  // fixed when the journal is created
  std::uint64_t tail_bytes = 32ULL << 20;
  std::uint32_t frame_bytes_max = 4U << 20;  // one write
  std::uint64_t gather_ns =
      2'000'000;  // how long bytes nobody waits for may gather before they are written
  std::uint32_t files_ahead = 2;  // prepared before they are needed
  // Where a frame starts; what lies before it is had elsewhere, and must be.
  std::optional<base::Position> recover_from = {};
  Background* background =
      &inline_background;  // of start-up and housekeeping; outlives the journal
};

// What recovery finds, in journal order. Called before open() returns.
class RecoveryVisitor {
 public:
  virtual void on_batch(base::PartitionId partition, base::Position position,
                        const BatchView& batch) = 0;
  // Acknowledged bytes in [first, last) cannot be read. `partition` is known when the entry header
  // survived; otherwise any partition may be touched: those whose offsets jump afterwards, and
  // those that never appear again.
  virtual void on_damage(const base::PartitionId* partition, base::Position first,
                         base::Position last) = 0;
  // Records before the offset were deleted.
  virtual void on_log_start(base::PartitionId /*partition*/, base::Offset /*offset*/) {}
  // A producer whose last batches are no longer in the journal.
  virtual void on_producer(const ProducerState& /*producer*/) {}
  virtual void on_progress(std::uint64_t bytes_done, std::uint64_t bytes_total) = 0;

 protected:
  ~RecoveryVisitor() = default;
};

struct JournalCounters {
  base::Counter frames_written;
  base::Counter frame_bytes_written;
  base::Counter write_ns_total;  // write_durable to completion
};

class Journal final : public DiskHandler {
 public:
  static base::Result<std::unique_ptr<Journal>> open(const JournalOptions& options, Disk& disk,
                                                     base::Arena& arena, RecoveryVisitor& visitor);
  // Without close() this is a crash of the journal alone: waits for the disk, writes nothing.
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Arena bytes that open() takes.
  static std::uint64_t arena_bytes(const JournalOptions& options);

  // --- writing ---
  // The largest batch that append_batch takes now: limited by tail memory that is not yet durable
  // or still pinned, by prepared files, and by the ring of files. 0 once failed.
  std::uint64_t room_bytes() const;
  // True when the ring of files itself has no room left for a batch of any size: nothing but trim()
  // helps. Also when a file that is needed next could not be created.
  bool full() const;
  // How much of the ring of files is taken.
  std::uint64_t used_bytes() const { return next_frame() - superblock_.head; }

  struct Appended {
    base::Position position = 0;    // of the batch's first byte
    base::Position durable_at = 0;  // durable once durable_position() is at or past this
  };
  // Copies the batch, stamps base_offset and leader_epoch into the copy. The batch is a checked one
  // and no larger than room_bytes(). urgent: somebody waits for the device, so the frame goes out
  // as soon as the one before is done.
  Appended append_batch(base::PartitionId partition, std::span<const std::byte> batch,
                        base::Offset base_offset, std::int32_t leader_epoch, bool urgent);
  // Records that the log of a partition begins at the offset. False when there is no room even for
  // that; of the ring's room some is kept for it, so that a full journal can be made less full.
  bool append_log_start(base::PartitionId partition, base::Offset offset);
  // Starts the next write when the last is done and something gathered. now_ns: monotonic.
  void submit_writes(std::uint64_t now_ns);
  // Polls the disk. True when durable_position() moved since the last call.
  bool reap_writes(std::uint64_t now_ns);
  bool write_in_flight() const { return write_bytes_ != 0; }

  // Somebody waits for bytes that are not durable yet.
  bool awaited() const {
    return urgent_ || closed_urgent_ || (write_in_flight() && in_flight_urgent_);
  }

  // More has gathered than one write takes: the device sets the pace.
  bool is_behind() const { return end_ - durable_ > options_.frame_bytes_max; }

  base::Position append_position() const { return end_; }
  base::Position durable_position() const { return durable_; }
  // After a failed write nothing is acknowledged any more. The text says what failed.
  bool failed() const { return failure_.has_value(); }
  const base::Error* failure() const { return failure_ ? &*failure_ : nullptr; }

  // --- reading ---
  // The bytes at a position where they lie in memory, or null when the ring has gone past them.
  const std::byte* in_tail(base::Position position, std::uint32_t bytes) const;
  // Memory from here on may be in use by readers; it is not overwritten. ~0 when none is.
  void set_pinned_from(base::Position position) { pinned_from_ = position; }
  // Journal bytes as they are on disk; position and into.size() are multiples of block_bytes and
  // lie within one file. Everything from append_position() - tail_bytes on is better had from
  // in_tail().
  void read(base::Position position, std::span<std::byte> into, DiskHandler& handler,
            std::uint64_t token);

  // Oldest position still needed; whole files before it are used again, once the superblock says so
  // (its write starts here and runs on by itself).
  void trim(base::Position oldest_needed);

  // Clean end: everything written, the superblock says so. Blocks; the shard is no longer polled.
  base::Result<void> close();

  // Housekeeping thread: creates files that are wanted but not there yet. True when it did
  // something.
  base::Result<bool> prepare_files() { return files_.prepare(files_wanted_.get()); }
  // Housekeeping thread: reads whole frames from `from`, where one starts, to `to` at most, which
  // is durable; as many as `into` holds, of a power of two and no smaller than the boundary. The
  // visitor's batches lie there. Returns where the last frame ends.
  base::Position scan(base::Position from, base::Position to, std::span<std::byte> into,
                      RecoveryVisitor& visitor);

  const JournalOptions& options() const { return options_; }
  JournalCounters& counters() { return counters_; }

  void on_disk(std::uint64_t token, std::int32_t result) override;

 private:
  struct Memory {
    std::span<std::byte> tail;
    std::span<std::byte> superblock;
  };

  Journal(const JournalOptions& options, Disk& disk, Memory memory);
  base::Result<void> start(RecoveryVisitor& visitor);
  base::Result<Superblock> load_or_create();

  // The frame being gathered.
  bool frame_open() const { return entry_count_ != 0; }
  void open_frame(std::uint64_t bytes, base::Position limit);
  void close_frame();
  // Takes what the open frame got since the last call into its CRC: once a turn, when the answers
  // have left, and many entries at a time.
  void sum_body();
  void close_pad(base::Position boundary);

  // Where a batch goes next: room in the open frame, in one right after it, in one past the
  // boundary, none of which may end past `limit`.
  struct Room {
    std::uint64_t in_open = 0, in_next = 0, past_boundary = 0;
    std::uint64_t largest() const;
  };
  Room room_below(base::Position limit) const;
  base::Position memory_limit() const;
  // Up to where batches may go, and where any entry.
  base::Position batch_limit() const;
  base::Position entry_limit() const;
  base::Position ring_limit() const { return head_ + files_.ring_bytes(); }

  void start_write(std::uint64_t now_ns);
  FrameHeader finish_header(base::Position at, std::uint32_t previous_header_crc);
  void account_write(std::uint64_t now_ns);
  void write_superblock_half();
  void fail(std::string_view what, std::int32_t result);

  std::byte* tail_at(base::Position position) const {
    return tail_.data() + (position & (tail_.size() - 1));
  }
  // The first block that no frame has bytes in.
  base::Position next_frame() const { return base::align_up(end_, block_bytes); }

  JournalOptions options_;
  Disk& disk_;
  FileRing files_;
  std::span<std::byte> tail_;
  std::uint64_t boundary_bytes_;
  std::uint32_t seed_;

  // The open frame: header at frame_start_, entries up to end_. With none open, both are where the
  // next one will start.
  base::Position frame_start_ = 0;
  base::Position end_ = 0;
  std::uint32_t entry_count_ = 0;
  std::uint32_t body_crc_ = 0;  // up to summed_
  base::Position summed_ = 0;
  std::uint32_t frame_seed_ = 0;
  bool urgent_ = false;                // somebody waits for an entry of the open frame,
  bool closed_urgent_ = false;         // of a closed one,
  bool in_flight_urgent_ = false;      // of what is being written
  std::uint64_t gather_since_ns_ = 0;  // 0: submit_writes has not seen the open frame yet

  // Closed frames lie in [durable_ + what is in flight, frame_start_).
  base::Position durable_ = 0;
  base::Position reported_durable_ = 0;
  base::Position write_end_ = 0;   // durable_ once the write in flight is done
  std::uint64_t write_bytes_ = 0;  // 0: none in flight
  std::uint64_t write_started_ns_ = 0;
  std::uint64_t write_unaccounted_ns_ = 0;  // start of a completed write not in the counters yet
  std::uint32_t last_header_crc_ = 0;

  base::Position pinned_from_ = std::numeric_limits<base::Position>::max();
  base::Position tail_from_ = 0;  // memory before it was never filled
  base::Position head_ = 0;       // as the superblock on disk has it; superblock_.head may be ahead

  FileId superblock_file_{};
  Superblock superblock_;
  std::span<std::byte> superblock_half_;
  base::Position superblock_head_written_ = 0;  // in the copies being written
  std::uint32_t superblock_step_ = 0;           // 0 idle, 1 and 2: this half is being written

  base::Counter files_wanted_;
  std::optional<base::Error> failure_;
  JournalCounters counters_;
};

}  // namespace millrace::storage

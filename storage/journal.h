// Journal: one shard's write-ahead log, and until segments exist its only log. See README.md for
// the bytes. Core:  the shard's; only prepare_files() is called elsewhere (the housekeeping
// thread). Owns:  the tail ring (memory) and a ring of preallocated, zero-written files of the same
// positions. Step:  7 (append_batch) and 8 (reap_writes) of the walk.
//
// A position is a byte's place since the journal began; it is never reused. position % tail_bytes
// is its place in memory, position % (file_bytes * files_max) its place on disk. Frames are built
// in the tail ring where they will be written from, and the same bytes answer readers until the
// ring comes round again.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/base/arena.h"
#include "dataplane/base/counter.h"
#include "dataplane/base/ids.h"
#include "dataplane/base/result.h"
#include "storage/batch.h"
#include "storage/disk.h"

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
      1'000'000;  // how long bytes nobody waits for may gather before they are written
  std::uint32_t files_ahead = 2;  // prepared before they are needed
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
  ~Journal();

  // Arena bytes that open() takes.
  static std::uint64_t arena_bytes(const JournalOptions& options);

  // --- writing ---
  // Bytes of batches that append_batch takes now: limited by tail memory that is not yet durable or
  // still pinned, by prepared files, and by the ring of files.
  std::uint64_t room_bytes() const;
  // True when the ring of files itself has no room left: nothing but trim() helps.
  bool full() const;
  // How much of the ring of files is taken.
  std::uint64_t used_bytes() const;

  struct Appended {
    base::Position position = 0;    // of the batch's first byte
    base::Position durable_at = 0;  // durable once durable_position() is at or past this
  };
  // Copies the batch, stamps base_offset and leader_epoch into the copy. The caller has asked
  // room_bytes(). urgent: somebody waits for the device, so the frame goes out as soon as the one
  // before is done.
  Appended append_batch(base::PartitionId partition, std::span<const std::byte> batch,
                        base::Offset base_offset, std::int32_t leader_epoch, bool urgent);
  // Starts the next write when the last is done and something gathered. now_ns: monotonic.
  void submit_writes(std::uint64_t now_ns);
  // True when durable_position() moved since the last call.
  bool reap_writes(std::uint64_t now_ns);
  bool write_in_flight() const;

  base::Position append_position() const;
  base::Position durable_position() const;
  // After a failed write nothing is acknowledged any more. The text says what failed.
  bool failed() const;
  const base::Error* failure() const;

  // --- reading ---
  // The bytes at a position where they lie in memory, or null when the ring has gone past them.
  const std::byte* in_tail(base::Position position, std::uint32_t bytes) const;
  // Memory from here on may be in use by readers; it is not overwritten. ~0 when none is.
  void set_pinned_from(base::Position position);
  // Journal bytes as they are on disk; position and into.size() are multiples of block_bytes and
  // lie within one file. Everything from append_position() - tail_bytes on is better had from
  // in_tail().
  void read(base::Position position, std::span<std::byte> into, DiskHandler& handler,
            std::uint64_t token);

  // Oldest position still needed; whole files before it are used again.
  void trim(base::Position oldest_needed);

  // Clean end: everything written, the superblock says so. Blocks; the shard is no longer polled.
  base::Result<void> close();

  // Housekeeping thread: creates files that are wanted but not there yet. True when it did
  // something.
  base::Result<bool> prepare_files();

  const JournalOptions& options() const;
  JournalCounters& counters();

  void on_disk(std::uint64_t token, std::int32_t result) override;

 private:
  struct State;
  explicit Journal(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace millrace::storage

// Recovery: reads a journal from its head to its end and decides what its end is.
// Core:  start-up; blocks, allocates.
// Owns:  nothing that outlives run(); frames are read into the tail ring at their own places, so
//        the newest of them are warm when the shard starts.
//
// A frame continues the journal when its header was written for this place (lsn, shard, cluster),
// its generation is no lower than that of the frame before, it names that frame's header CRC, and
// its body's CRC holds. At the first place X where none does, everything beyond X is searched:
//
//   nothing valid beyond, or only what belonged to the same write    torn tail   cut at X
//   a later frame says that X was durable, or the superblock does    damage      never cut
//   a block of the frame cannot be read, or the chain is broken      damage      never cut
//   a later frame too far off to be of the same write                damage      never cut
//
// One write is in flight at a time and each frame is stamped, as its write starts, with what was
// durable then: so every frame of a later write proves all earlier ones.
//
// Cutting zeroes the headers of the frames cut off. Thus, when a generation starts to write,
// nothing beyond its start is valid for its place, and what a crash left behind can never be taken
// for it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "storage/background.h"
#include "storage/file_ring.h"
#include "storage/frame.h"
#include "storage/journal.h"
#include "storage/superblock.h"

namespace millrace::storage {

class Recovery {
 public:
  struct Recovered {
    base::Position end = 0;             // the next frame starts here
    base::Position tail_from = 0;       // the tail ring is filled from here to end
    std::uint32_t last_header_crc = 0;  // of the frame that ends at `end`; 0 when unknown
  };

  // Begins at superblock.head, which here need not be a file's start.
  Recovery(const JournalOptions& options, const Superblock& superblock, Disk& disk, FileRing& files,
           std::span<std::byte> tail, RecoveryVisitor& visitor);
  ~Recovery() { forget_ahead(); }
  Recovery(const Recovery&) = delete;
  Recovery& operator=(const Recovery&) = delete;

  base::Result<Recovered> run();
  // The same over a part that is known to be durable: whole frames from superblock.head on, as many
  // as the tail ring holds together, up to superblock.end at most. Nothing is cut. Returns where
  // they end.
  base::Position scan();

 private:
  enum class Fault : std::uint8_t {
    none,
    invalid,       // no frame, or not all of it: torn or rotten
    unreadable,    // the device refused a block of it
    broken_chain,  // whole, but not what was written after the frame before
    beyond,        // ends past what can be held
  };
  struct Frame {
    Fault fault = Fault::invalid;
    std::optional<FrameHeader> header;  // when that much is sound
  };
  struct Candidate {  // a sound header beyond the first invalid place
    base::Position at;
    std::uint64_t generation;
    base::Position durable_lsn;
  };
  struct Place {
    base::Position frame;
    std::uint32_t seed;
  };

  Frame read_frame(base::Position at);
  bool entries_sound(const FrameHeader& header) const;
  void deliver(const FrameHeader& header);
  void hand_out(const EntryHeader& entry, base::Position batch);
  void follow(const FrameHeader& header);

  bool is_damage(base::Position at, Fault fault);
  base::Position pass_damage(base::Position at, const Frame& frame);
  base::Position pass_damaged_body(const FrameHeader& header);
  void salvage(const Place& place, base::Position to);
  base::Position salvage_entry(const EntryHeader& entry, base::Position at);
  base::Result<void> cut(base::Position at);
  void search_beyond(base::Position at);
  const Candidate* next_candidate(base::Position at, std::uint64_t generation_min) const;

  void load(base::Position to);
  void read_ahead();
  void forget_ahead();
  void read_blocks(base::Position at, std::span<std::byte> into, bool remember_unreadable);
  bool is_unreadable(base::Position first, base::Position last) const;
  std::byte* tail_at(base::Position position) const {
    return tail_.data() + (position & (tail_.size() - 1));
  }

  const JournalOptions& options_;
  const Superblock& superblock_;
  Disk& disk_;
  FileRing& files_;
  std::span<std::byte> tail_;
  RecoveryVisitor& visitor_;
  Background& background_;

  std::uint32_t seed_;
  std::uint64_t boundary_bytes_;
  base::Position limit_;       // no frame lies past it
  base::Position load_limit_;  // and none is loaded past this one

  // The frame before, as far as it is known.
  std::optional<std::uint32_t> previous_header_crc_;
  base::Position previous_at_ = 0;
  std::uint64_t generation_ = 0;

  base::Position needed_from_ = 0;  // what lies before it in the tail ring may go
  base::Position ahead_from_ = 0;   // being read into the tail ring; 0 bytes: nothing is
  std::uint64_t ahead_bytes_ = 0;
  bool ahead_failed_ = false;

  base::Position loaded_from_ = 0;
  base::Position loaded_to_ = 0;
  std::vector<base::Position> unreadable_;  // blocks, ascending
  bool searched_ = false;
  std::vector<Candidate> candidates_;  // ascending
};

}  // namespace millrace::storage

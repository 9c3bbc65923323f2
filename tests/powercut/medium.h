// Medium: what lies on a device as the operations of a recording reach it, and what a power cut may
// leave of it.
// Owns: the settled bytes of each file. Bytes that are not settled lie in the recording.
//
// A write is in the device's cache from its start on. It is settled, which no power cut takes back:
//   fua     by the end of its own write_durable, or of a flush that began after the write's end
//   flush   also by the end of a later write_durable to the file: that flushes all of it
//   plp     by its own end, of whatever kind
// What fua may lose contains what the others may, so cuts as of fua are cuts of every device.
//
// Names: what a create, rename or remove does is there for good at its end, and may or may not be
// before. A file that was reserved may be gone until it is renamed; its size is that of its last
// flush or the present one; what was not written there is anything.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "storage/disk.h"
#include "tests/sim/random.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/recording_reader.h"

namespace millrace::powercut {

// What a cut meets; most meet several.
enum class CutKind : std::uint8_t {
  at_rest,             // nothing is being asked of the disk
  mid_write,           // a frame is on its way into the journal
  file_reuse,          // the first frames in a journal file that has been used before
  superblock_first,    // the first half of a superblock
  superblock_between,  // it is there, and the second has not begun
  superblock_second,
  mid_sort,          // a segment file is half made
  mid_flush,         // of housekeeping or start-up
  mid_resize,        // of a segment file to its final size
  mid_rename,        // of a segment file to its own name
  sorted_untrimmed,  // the segments are there, the superblock still leads to the journal
  mid_create,        // of a file
  mid_remove,        // of a segment file
  starting,          // the log is being opened
  count,
};
constexpr std::size_t cut_kinds = static_cast<std::size_t>(CutKind::count);
constexpr std::array<std::string_view, cut_kinds> cut_kind_names = {"at rest",
                                                                    "mid-write",
                                                                    "file reuse",
                                                                    "superblock first half",
                                                                    "superblock between",
                                                                    "superblock second half",
                                                                    "mid-sort",
                                                                    "mid-flush",
                                                                    "mid-resize",
                                                                    "mid-rename",
                                                                    "sorted, not trimmed",
                                                                    "mid-create",
                                                                    "mid-remove",
                                                                    "starting"};
using CutKinds = std::bitset<cut_kinds>;

struct CutSectors {
  std::uint64_t kept = 0;
  std::uint64_t lost = 0;
};

class Medium {
 public:
  static constexpr std::uint64_t sector_bytes = testing::FaultyDisk::sector_bytes;

  // ignores_flushes: nothing is ever settled, as on a device that lies. For proofs.
  explicit Medium(storage::Durability durability, bool ignores_flushes = false)
      : durability_(durability), ignores_flushes_(ignores_flushes) {}

  // Events in order; they outlive this. False: the recording makes no sense, or what it asked for
  // failed, so that nobody knows what is there.
  bool take(const testing::Event& event);
  CutKinds kinds() const;
  // Puts on an empty disk what the power leaves.
  CutSectors cut(sim::Random& random, testing::FaultyDisk& disk) const;

 private:
  using Event = testing::Event;
  struct File {
    std::string name;
    bool is_there = true;   // until it is removed
    bool is_named = false;  // for good
    std::uint64_t bytes = 0;
    std::vector<std::byte> settled;
    std::map<std::uint64_t, std::vector<const Event*>> cache;  // writes by sector, oldest first
    std::uint64_t written_to = 0;
  };
  struct Pending {
    const Event* event = nullptr;
    std::uint64_t began = 0;  // number of the event
    bool is_reuse = false;
  };
  class Chance;

  File* find(std::string_view name);
  File* file_of(const Event& event);
  bool begin(const Event& event);
  bool begin_write(const Event& event, Pending& pending);
  bool finish(const Event& end, const Pending& pending);
  void add_file(const Event& end, const Event& began);
  void settle_own(File& file, const Event& write);
  void settle_ended_before(File& file, std::uint64_t number);
  static void settle(File& file, std::uint64_t sector, std::vector<const Event*>& writes,
                     std::size_t count);
  bool is_superblock(const Event& write) const;
  const Pending* pending_name(storage::RecordedKind kind, const File& file) const;
  std::uint64_t choose_bytes(const File& file, Chance& chance) const;
  void put(const File& file, const std::string& name, Chance& chance, testing::FaultyDisk& disk,
           CutSectors& sectors) const;

  storage::Durability durability_;
  bool ignores_flushes_;
  std::uint64_t number_ = 0;  // of events taken
  std::vector<File> files_;
  std::unordered_map<std::uint32_t, std::size_t> open_;           // by id
  std::map<std::uint64_t, Pending> pending_;                      // by operation
  std::unordered_map<std::uint64_t, std::uint64_t> write_ended_;  // number of the event
  // For kinds().
  bool starting_ = true;
  bool untrimmed_ = false;
  bool between_halves_ = false;
};

}  // namespace millrace::powercut

// Superblock: what must be known before the first frame is read. Four copies in one small file.
// Core:  none; pure but for load() and store(), which block.
//
//   file "superblock": blocks 0..3, each a copy; a copy is 0 magic u64 | 8 crc u32 (of 12..4095)
//   | 12 version u32 | 16 sequence u64 | 24 cluster_id u64 | 32 shard u32 | 36 clean u32
//   | 40 file_bytes u64 | 48 files_max u32 | 52 frame_bytes_max u32 | 56 boundary_bytes u64
//   | 64 generation u64 | 72 head u64 | 80 end u64 | zeros. Little-endian.
//
// An update writes copies 0 and 1, waits until they are durable, then writes 2 and 3: whatever a
// crash tears, two copies of the old or of the new state are whole. Two equal copies are a quorum;
// the newest quorum counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "dataplane/base/ids.h"
#include "dataplane/base/result.h"
#include "storage/disk.h"

namespace millrace::storage {

inline constexpr std::string_view superblock_file_name = "superblock";
inline constexpr std::uint32_t superblock_copies = 4;
inline constexpr std::uint32_t superblock_quorum = 2;
inline constexpr std::uint64_t superblock_half_bytes = 2 * block_bytes;  // of one step of an update

struct Superblock {
  std::uint64_t sequence = 0;  // of updates
  std::uint64_t cluster_id = 0;
  std::uint32_t shard = 0;
  bool clean = false;  // closed in order: `end` is exact
  std::uint64_t file_bytes = 0;
  std::uint32_t files_max = 0;
  std::uint32_t frame_bytes_max = 0;  // of this generation
  std::uint64_t boundary_bytes = 0;   // no frame in the journal crosses a multiple of it
  std::uint64_t generation = 0;       // raised by each open
  base::Position head = 0;            // recovery starts here; a file's start
  base::Position end = 0;             // everything before it was durable at this update

  bool operator==(const Superblock&) const = default;
};

void write_superblock_copy(const Superblock& superblock, std::span<std::byte> block);
std::optional<Superblock> read_superblock_copy(std::span<const std::byte> block);

// The newest state that a quorum of copies agrees on; nothing when there is none. An unreadable
// copy is one that is not there.
std::optional<Superblock> load_superblock(Disk& disk, FileId file);
base::Result<void> store_superblock(Disk& disk, FileId file, const Superblock& superblock);

}  // namespace millrace::storage

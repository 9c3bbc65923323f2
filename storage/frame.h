// Frame: what one write puts into the journal; entries inside it. Format, writer's and reader's
// checks. Core:  none; pure functions over bytes.
//
// All integers little-endian. A frame starts at a multiple of block_bytes and never crosses a
// multiple of the journal's boundary, so it is contiguous in the tail ring and in its file.
//
//   frame  0 magic u32 | 4 header_crc u32 (of 8..63) | 8 lsn u64 | 16 generation u64
//         24 durable_lsn u64 | 32 body_bytes u32 | 36 body_crc u32 | 40 previous_header_crc u32
//         44 entry_count u32 | 48 reserved u64 | 56 shard u32 | 60 flags u32 | 64 body
//   body   entries, each padded with zeros to 8 bytes
//   entry  0 bytes u32 (of the batch) | 4 type u16 | 6 flags u16 | 8 partition u32
//         12 header_crc u32 (of the 32 bytes with this field zero) | 16 base_offset i64
//         24 leader_epoch i32 | 28 reserved u32 | 32 batch
//
// Every CRC is seeded with who wrote it (cluster, shard) and those of the body also with where and
// when (lsn, generation): bytes of another node, place or life never validate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/base/ids.h"
#include "dataplane/base/units.h"
#include "storage/batch.h"
#include "storage/disk.h"

namespace millrace::storage {

inline constexpr std::uint32_t frame_magic = 0x4652'4c4dU;  // "MLRF"
inline constexpr std::uint32_t frame_flag_data = 1;
inline constexpr std::uint32_t frame_flag_pad = 2;  // body_bytes lead to the boundary, unwritten
inline constexpr std::uint16_t entry_type_batch = 1;
inline constexpr std::uint16_t entry_type_log_start =
    2;  // no bytes; base_offset is the log's start
inline constexpr std::uint32_t entry_alignment = 8;

struct FrameHeader {
  std::uint32_t magic = frame_magic;
  std::uint32_t header_crc = 0;
  std::uint64_t lsn = 0;  // the position of this header
  std::uint64_t generation = 0;
  std::uint64_t durable_lsn = 0;  // everything before it was durable when this was written
  std::uint32_t body_bytes = 0;
  std::uint32_t body_crc = 0;
  std::uint32_t previous_header_crc = 0;  // of the frame that ends here; 0 when that is unknown
  std::uint32_t entry_count = 0;
  std::uint64_t reserved = 0;
  std::uint32_t shard = 0;
  std::uint32_t flags = frame_flag_data;
};
inline constexpr std::uint32_t frame_header_bytes = 64;
static_assert(sizeof(FrameHeader) == frame_header_bytes);
static_assert(offsetof(FrameHeader, lsn) == 8 && offsetof(FrameHeader, durable_lsn) == 24);
static_assert(offsetof(FrameHeader, body_bytes) == 32 && offsetof(FrameHeader, entry_count) == 44);
static_assert(offsetof(FrameHeader, reserved) == 48 && offsetof(FrameHeader, flags) == 60);

struct EntryHeader {
  std::uint32_t bytes = 0;
  std::uint16_t type = entry_type_batch;
  std::uint16_t flags = 0;
  std::uint32_t partition = 0;
  std::uint32_t header_crc = 0;
  std::int64_t base_offset = 0;
  std::int32_t leader_epoch = 0;
  std::uint32_t reserved = 0;
};
inline constexpr std::uint32_t entry_header_bytes = 32;
static_assert(sizeof(EntryHeader) == entry_header_bytes);
static_assert(offsetof(EntryHeader, header_crc) == 12 && offsetof(EntryHeader, base_offset) == 16);
static_assert(offsetof(EntryHeader, leader_epoch) == 24 && offsetof(EntryHeader, reserved) == 28);

// Whole entry, padding included.
constexpr std::uint64_t entry_bytes(std::uint64_t batch_bytes) {
  return entry_header_bytes + base::align_up(batch_bytes, entry_alignment);
}
// The largest frame that one batch can need.
inline constexpr std::uint64_t largest_batch_frame_bytes =
    base::align_up(frame_header_bytes + entry_bytes(batch_bytes_max), block_bytes);

// Where the frame after this one starts.
base::Position frame_end(const FrameHeader& header);

std::uint32_t journal_seed(std::uint64_t cluster_id, base::ShardId shard);
std::uint32_t frame_seed(std::uint32_t journal_seed, base::Position lsn, std::uint64_t generation);
std::uint32_t header_crc(const FrameHeader& header, std::uint32_t journal_seed);

// Writes the entry at `at`, batch stamped and padding included. offset_in_frame: of the entry.
void write_entry(std::byte* at, EntryHeader header, std::span<const std::byte> batch,
                 std::uint32_t offset_in_frame, std::uint32_t frame_seed);

// The header at a place of the journal, if it is one of this journal and was written for this
// place. boundary_bytes: see above.
std::optional<FrameHeader> read_frame_header(std::span<const std::byte> bytes,
                                             std::uint32_t journal_seed, base::ShardId shard,
                                             base::Position place, std::uint64_t boundary_bytes);

// The entry header at the start of `rest`, if its CRC holds and the entry lies within `rest`.
std::optional<EntryHeader> read_entry_header(std::span<const std::byte> rest,
                                             std::uint32_t offset_in_frame,
                                             std::uint32_t frame_seed);

// Does a batch have the size and the stamps that its entry says? Cheap; not its CRC.
bool matches_entry(const EntryHeader& entry, const std::byte* batch);

}  // namespace millrace::storage

// Segment: batches of one partition, back to back; and the file that holds the segments made of one
// stretch of the journal. Format, writer's and reader's checks. Core: none; pure functions over
// bytes.
//
// All integers little-endian.
//   file       header | data | meta | meta again | header again
//   header     one block: 0 magic u64 | 8 crc u32 (of 12..4095) | 12 version u32
//              | 16 cluster_id u64 | 24 shard u32 | 28 reserved u32 | 32 number u64 | 40 from u64
//              | 48 to u64 | 56 data_bytes u64 | 64 meta_bytes u64 | 72 meta_crc u32
//              | 76 segment_count u32 | 80 partition_count u32 | 84 producer_count u32
//              | 88 index_count u32 | 92 block_count u32 | zeros
//   data       the segments' batches with nothing between them, ordered by partition and offset;
//              zeros to a block's end
//   meta       SegmentEntry[] | PartitionState[] | ProducerState[] | IndexEntry[] | CRC u32[] of
//   each
//              64 KiB of data | zeros to a block's end
//
// The meta tells what no batch does: whose it is. So it is there twice, and each header finds both.
// All CRCs are seeded with cluster and shard, those of data also with file and place.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/ids.h"
#include "dataplane/base/units.h"
#include "storage/disk.h"

namespace millrace::storage {

inline constexpr std::uint64_t segment_file_magic = 0x3145'4c49'4647'4553ULL;  // "SEGFILE1"
inline constexpr std::uint32_t segment_version = 2;  // in 1 no segment had flags
inline constexpr std::uint64_t segment_data_at = block_bytes;
// No file has more data, and no segment nearly as much.
inline constexpr std::uint64_t data_bytes_max = 1ULL << 47;
inline constexpr std::uint64_t segment_bytes_limit = 1ULL << 40;
inline constexpr std::uint64_t crc_block_bytes = 64 * base::kib;

struct SegmentFileHeader {
  std::uint64_t cluster_id = 0;
  std::uint32_t shard = 0;
  std::uint32_t reserved = 0;
  std::uint64_t number = 0;  // of the file, rising
  // The stretch of the journal whose batches it holds.
  base::Position from = 0;
  base::Position to = 0;
  std::uint64_t data_bytes = 0;  // a multiple of block_bytes, as meta_bytes
  std::uint64_t meta_bytes = 0;
  std::uint32_t meta_crc = 0;
  std::uint32_t segment_count = 0;
  std::uint32_t partition_count = 0;
  std::uint32_t producer_count = 0;
  std::uint32_t index_count = 0;
  std::uint32_t block_count = 0;

  std::uint64_t meta_at(std::uint32_t copy) const {
    return segment_data_at + data_bytes + copy * meta_bytes;
  }
  std::uint64_t file_bytes() const { return meta_at(2) + block_bytes; }
  bool operator==(const SegmentFileHeader&) const = default;
};
static_assert(sizeof(SegmentFileHeader) == 80 && offsetof(SegmentFileHeader, meta_crc) == 56);

struct SegmentEntry {
  static constexpr std::uint16_t sparse = 1;     // offsets may be without a record
  static constexpr std::uint16_t compacted = 2;  // of its keys no older record is left

  std::uint32_t partition = 0;
  std::int32_t last_epoch = 0;
  base::Offset first_offset = 0;  // what there is from here to end_offset is in it
  base::Offset end_offset = 0;
  std::uint64_t position = 0;  // in the file
  std::uint64_t bytes = 0;
  std::int64_t max_timestamp_ms = 0;
  std::uint32_t index_first = 0;  // its entries of the index
  std::uint16_t index_count = 0;
  std::uint16_t flags = 0;

  bool is_sparse() const { return (flags & sparse) != 0; }
  bool is_compacted() const { return (flags & compacted) != 0; }
  bool operator==(const SegmentEntry&) const = default;
};
static_assert(sizeof(SegmentEntry) == 56);

// What was known of a partition when all before `to` had been sorted.
struct PartitionState {
  std::uint32_t partition = 0;
  std::uint32_t damaged = 0;
  base::Offset log_start = 0;
  base::Offset log_end = 0;
  base::Offset damage_first = 0;  // acknowledged and lost, to damage_last
  base::Offset damage_last = 0;

  bool operator==(const PartitionState&) const = default;
};
static_assert(sizeof(PartitionState) == 40);

// A producer's last batches at that time, newest last.
struct ProducerState {
  static constexpr std::uint32_t batches_max = 5;
  struct Batch {
    std::int32_t base_sequence = 0;
    std::int32_t last_sequence = 0;
    base::Offset base_offset = 0;
    bool operator==(const Batch&) const = default;
  };
  base::ProducerId producer_id = base::no_producer_id;
  std::uint32_t partition = 0;
  std::int16_t epoch = 0;
  std::uint16_t batch_count = 0;
  std::array<Batch, batches_max> batches{};

  bool operator==(const ProducerState&) const = default;
};
static_assert(sizeof(ProducerState) == 96);

// A place within a segment from where to look on. A hint: what is found there is checked.
struct IndexEntry {
  std::uint64_t position = 0;  // in the file, of a batch
  base::Offset first_offset = 0;
  std::int64_t max_timestamp_before_ms = 0;  // of the segment's batches before it

  bool operator==(const IndexEntry&) const = default;
};
static_assert(sizeof(IndexEntry) == 24);

// Bytes between two entries of a segment's index: few enough to walk, and twice as many whenever
// the index would be too large to be read at once.
inline constexpr std::uint64_t index_spacing_bytes = 32 * base::kib;
inline constexpr std::uint32_t index_entries_max = 4096;

struct SegmentMeta {
  std::vector<SegmentEntry> segments;
  std::vector<PartitionState> partitions;
  std::vector<ProducerState> producers;
  std::vector<IndexEntry> index;
  std::vector<std::uint32_t> block_crcs;

  std::uint64_t bytes() const;  // as it is written, zeros included
  bool operator==(const SegmentMeta&) const = default;
};

// "segment-0000000000000042", and back; nothing for another file's name.
std::string segment_file_name(std::uint64_t number);
std::optional<std::uint64_t> segment_file_number(std::string_view file_name);

std::uint32_t data_block_crc(std::uint32_t journal_seed, std::uint64_t file_number,
                             std::uint64_t block, std::span<const std::byte> bytes);

void write_segment_header(const SegmentFileHeader& header, std::uint32_t journal_seed,
                          std::span<std::byte> block);
std::optional<SegmentFileHeader> read_segment_header(std::span<const std::byte> block,
                                                     std::uint32_t journal_seed);

// Fills in the header's counts, sizes and CRC of the meta; `into` has meta.bytes().
void write_segment_meta(const SegmentMeta& meta, std::uint32_t journal_seed,
                        std::span<std::byte> into, SegmentFileHeader& header);
// A node keeps only the first: the rest grows with the file.
enum class MetaParts : std::uint8_t { without_index_and_crcs, all };
// Nothing when the CRC is wrong or anything points out of the file.
std::optional<SegmentMeta> read_segment_meta(const SegmentFileHeader& header,
                                             std::uint32_t journal_seed,
                                             std::span<const std::byte> bytes,
                                             MetaParts parts = MetaParts::all);

// Where the index of a segment lies in its file.
std::uint64_t index_at(const SegmentFileHeader& header, const SegmentEntry& segment);
// And the CRCs of its data, in each copy of the meta.
std::uint64_t block_crcs_in_meta(const SegmentFileHeader& header);

}  // namespace millrace::storage

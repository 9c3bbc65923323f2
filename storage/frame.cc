#include "storage/frame.h"

#include <cstring>

#include "dataplane/base/check.h"
#include "storage/crc32c.h"

namespace millrace::storage {
namespace {

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

std::uint32_t entry_header_crc(EntryHeader header, std::uint32_t offset_in_frame,
                               std::uint32_t frame_seed) {
  header.header_crc = 0;
  return crc32c(bytes_of(header), frame_seed ^ offset_in_frame);
}

}  // namespace

base::Position frame_end(const FrameHeader& header) {
  return header.lsn +
         base::align_up(std::uint64_t{frame_header_bytes} + header.body_bytes, block_bytes);
}

std::uint32_t journal_seed(std::uint64_t cluster_id, base::ShardId shard) {
  const std::uint64_t shard_number = base::raw(shard);
  return crc32c(bytes_of(shard_number), crc32c(bytes_of(cluster_id)));
}

std::uint32_t frame_seed(std::uint32_t journal_seed, base::Position lsn, std::uint64_t generation) {
  const std::uint64_t place_and_life[2] = {lsn, generation};
  return crc32c(bytes_of(place_and_life), journal_seed);
}

std::uint32_t header_crc(const FrameHeader& header, std::uint32_t journal_seed) {
  return crc32c(bytes_of(header).subspan(offsetof(FrameHeader, lsn)), journal_seed);
}

void write_entry(std::byte* at, EntryHeader header, std::span<const std::byte> batch,
                 std::uint32_t offset_in_frame, std::uint32_t frame_seed) {
  DCHECK(header.bytes == batch.size());
  header.header_crc = entry_header_crc(header, offset_in_frame, frame_seed);
  std::memcpy(at, &header, sizeof header);
  std::byte* copy = at + entry_header_bytes;
  if (batch.empty()) return;
  std::memcpy(copy, batch.data(), batch.size());
  stamp_batch(copy, header.base_offset, header.leader_epoch);
  const std::uint64_t bytes = entry_bytes(batch.size());
  std::memset(copy + batch.size(), 0, bytes - entry_header_bytes - batch.size());
}

std::optional<FrameHeader> read_frame_header(std::span<const std::byte> bytes,
                                             std::uint32_t journal_seed, base::ShardId shard,
                                             base::Position place, std::uint64_t boundary_bytes) {
  CHECK(bytes.size() >= frame_header_bytes);
  FrameHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  // The first two decide almost always; the CRC is for what is left.
  if (header.magic != frame_magic || header.lsn != place) return std::nullopt;
  if (header.header_crc != header_crc(header, journal_seed)) return std::nullopt;
  if (header.shard != base::raw(shard) || header.durable_lsn > place) return std::nullopt;

  const base::Position boundary = base::align_down(place, boundary_bytes) + boundary_bytes;
  if (header.flags == frame_flag_data) {
    if (header.entry_count == 0 || frame_end(header) > boundary) return std::nullopt;
  } else if (header.flags == frame_flag_pad) {
    // Up to a boundary, which may have been a smaller one when the frame was written.
    const base::Position end = place + frame_header_bytes + header.body_bytes;
    if (header.entry_count != 0 || end % block_bytes != 0 || end > boundary) return std::nullopt;
  } else {
    return std::nullopt;
  }
  return header;
}

std::optional<EntryHeader> read_entry_header(std::span<const std::byte> rest,
                                             std::uint32_t offset_in_frame,
                                             std::uint32_t frame_seed) {
  if (rest.size() < entry_header_bytes) return std::nullopt;
  EntryHeader header;
  std::memcpy(&header, rest.data(), sizeof header);
  const bool has_size =
      header.type == entry_type_batch
          ? header.bytes >= batch_header_bytes && header.bytes <= batch_bytes_max
          : header.type == entry_type_log_start && header.bytes == 0 && header.base_offset >= 0;
  if (!has_size || entry_bytes(header.bytes) > rest.size()) return std::nullopt;
  if (header.header_crc != entry_header_crc(header, offset_in_frame, frame_seed)) {
    return std::nullopt;
  }
  return header;
}

bool matches_entry(const EntryHeader& entry, const std::byte* batch) {
  if (entry.type != entry_type_batch) return true;
  const BatchView view(batch);
  return view.bytes() == entry.bytes && view.base_offset() == entry.base_offset &&
         view.leader_epoch() == entry.leader_epoch;
}

}  // namespace millrace::storage

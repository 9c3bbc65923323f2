// Any bytes as a segment file's header and meta: what is believed lies within the file, and is read
// again as it was written.
//
// Input: u8 how, the header block's first 96 bytes, then the meta. Where `how` is odd, sizes are
// made small and to agree, and CRCs put right, so that the fuzzer gets past those.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "storage/crc32c.h"
#include "storage/segment.h"

namespace {

using namespace millrace;           // NOLINT
using namespace millrace::storage;  // NOLINT

constexpr std::uint32_t seed = 7;
constexpr std::size_t header_bytes = 96;

void forge(std::vector<std::byte>& block, std::vector<std::byte>& meta) {
  SegmentFileHeader header;
  std::memcpy(&header, block.data() + 16, sizeof header);
  header.to = std::max(header.from, header.to);
  header.data_bytes = header.data_bytes % 64 * block_bytes;
  header.segment_count %= 16;
  header.partition_count %= 16;
  header.producer_count %= 16;
  header.index_count %= 64;
  header.block_count =
      static_cast<std::uint32_t>((header.data_bytes + crc_block_bytes - 1) / crc_block_bytes);
  meta.resize(base::align_up(header.segment_count * sizeof(SegmentEntry) +
                                 header.partition_count * sizeof(PartitionState) +
                                 header.producer_count * sizeof(ProducerState) +
                                 header.index_count * sizeof(IndexEntry) +
                                 header.block_count * sizeof(std::uint32_t),
                             block_bytes));
  header.meta_bytes = meta.size();
  header.meta_crc = crc32c(meta, seed);
  write_segment_header(header, seed, block);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1 + header_bytes) return 0;
  const bool forges = (data[0] & 1) != 0;
  std::vector<std::byte> block(block_bytes);
  std::memcpy(block.data(), data + 1, header_bytes);
  std::vector<std::byte> meta(size - 1 - header_bytes);
  if (!meta.empty()) std::memcpy(meta.data(), data + 1 + header_bytes, meta.size());
  if (forges) forge(block, meta);
  const auto header = read_segment_header(block, seed);
  if (!header) return 0;
  const auto found = read_segment_meta(*header, seed, meta);
  if (!found) return 0;
  for (const SegmentEntry& segment : found->segments) {
    if (segment.position < segment_data_at ||
        segment.position + segment.bytes > header->meta_at(0)) {
      std::abort();
    }
    const std::uint64_t index = index_at(*header, segment);
    if (index < header->meta_at(0) ||
        index + segment.index_count * sizeof(IndexEntry) > header->meta_at(1)) {
      std::abort();
    }
  }
  SegmentFileHeader again = *header;
  std::vector<std::byte> written(found->bytes());
  write_segment_meta(*found, seed, written, again);
  if (read_segment_meta(again, seed, written) != found) std::abort();
  return 0;
}

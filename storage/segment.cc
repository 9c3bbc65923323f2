#include "storage/segment.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "dataplane/base/check.h"
#include "storage/crc32c.h"

namespace millrace::storage {
namespace {

constexpr std::string_view file_name_prefix = "segment-";
constexpr std::size_t file_number_digits = 16;
constexpr std::size_t crc_at = 8;
constexpr std::size_t version_at = 12;
constexpr std::size_t fields_at = 16;

template <typename T>
void put(const std::vector<T>& values, std::byte*& at) {
  if (!values.empty()) std::memcpy(at, values.data(), values.size() * sizeof(T));
  at += values.size() * sizeof(T);
}

template <typename T>
void take(const std::byte*& at, std::uint32_t count, std::vector<T>& values) {
  values.resize(count);
  if (count != 0) std::memcpy(values.data(), at, count * sizeof(T));
  at += count * sizeof(T);
}

std::uint64_t exact_bytes(std::uint64_t segments, std::uint64_t partitions, std::uint64_t producers,
                          std::uint64_t index, std::uint64_t blocks) {
  return segments * sizeof(SegmentEntry) + partitions * sizeof(PartitionState) +
         producers * sizeof(ProducerState) + index * sizeof(IndexEntry) +
         blocks * sizeof(std::uint32_t);
}

bool is_sound(const SegmentFileHeader& header, const SegmentMeta& meta) {
  const std::uint64_t data_end = segment_data_at + header.data_bytes;
  for (const SegmentEntry& segment : meta.segments) {
    if ((segment.flags & ~(SegmentEntry::sparse | SegmentEntry::compacted)) != 0) return false;
    if (segment.first_offset < 0 || segment.first_offset >= segment.end_offset) return false;
    if (segment.position < segment_data_at || segment.position > data_end) return false;
    if (segment.bytes > data_end - segment.position) return false;
    if (segment.bytes >= segment_bytes_limit) return false;
    if (segment.index_count > index_entries_max || segment.index_first > header.index_count ||
        segment.index_count > header.index_count - segment.index_first) {
      return false;
    }
  }
  for (const ProducerState& producer : meta.producers) {
    if (producer.batch_count > ProducerState::batches_max) return false;
  }
  return true;
}

}  // namespace

std::uint64_t SegmentMeta::bytes() const {
  return base::align_up(exact_bytes(segments.size(), partitions.size(), producers.size(),
                                    index.size(), block_crcs.size()),
                        block_bytes);
}

std::string segment_file_name(std::uint64_t number) {
  return fmt::format("{}{:016}", file_name_prefix, number);
}

std::optional<std::uint64_t> segment_file_number(std::string_view file_name) {
  if (!file_name.starts_with(file_name_prefix)) return {};
  file_name.remove_prefix(file_name_prefix.size());
  if (file_name.size() != file_number_digits) return {};
  std::uint64_t number = 0;
  const auto parsed =
      std::from_chars(file_name.data(), file_name.data() + file_name.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != file_name.data() + file_name.size()) return {};
  return number;
}

std::uint32_t data_block_crc(std::uint32_t journal_seed, std::uint64_t file_number,
                             std::uint64_t block, std::span<const std::byte> bytes) {
  const std::uint64_t place[2] = {file_number, block};
  return crc32c(bytes, crc32c(std::as_bytes(std::span(place)), journal_seed));
}

void write_segment_header(const SegmentFileHeader& header, std::uint32_t journal_seed,
                          std::span<std::byte> block) {
  CHECK(block.size() == block_bytes);
  std::memset(block.data(), 0, block.size());
  std::memcpy(block.data(), &segment_file_magic, sizeof segment_file_magic);
  std::memcpy(block.data() + version_at, &segment_version, sizeof segment_version);
  std::memcpy(block.data() + fields_at, &header, sizeof header);
  const std::uint32_t crc = crc32c(block.subspan(version_at), journal_seed);
  std::memcpy(block.data() + crc_at, &crc, sizeof crc);
}

std::optional<SegmentFileHeader> read_segment_header(std::span<const std::byte> block,
                                                     std::uint32_t journal_seed) {
  CHECK(block.size() == block_bytes);
  std::uint64_t magic = 0;
  std::uint32_t crc = 0;
  std::uint32_t version = 0;
  std::memcpy(&magic, block.data(), sizeof magic);
  std::memcpy(&crc, block.data() + crc_at, sizeof crc);
  std::memcpy(&version, block.data() + version_at, sizeof version);
  if (magic != segment_file_magic || version < 1 || version > segment_version) return {};
  if (crc != crc32c(block.subspan(version_at), journal_seed)) return {};
  SegmentFileHeader header;
  std::memcpy(&header, block.data() + fields_at, sizeof header);
  if (header.data_bytes % block_bytes != 0 || header.data_bytes > data_bytes_max ||
      header.meta_bytes > data_bytes_max || header.from > header.to) {
    return {};
  }
  const std::uint64_t blocks = (header.data_bytes + crc_block_bytes - 1) / crc_block_bytes;
  const std::uint64_t meta_bytes =
      exact_bytes(header.segment_count, header.partition_count, header.producer_count,
                  header.index_count, header.block_count);
  if (header.block_count != blocks ||
      header.meta_bytes != base::align_up(meta_bytes, block_bytes)) {
    return {};
  }
  return header;
}

void write_segment_meta(const SegmentMeta& meta, std::uint32_t journal_seed,
                        std::span<std::byte> into, SegmentFileHeader& header) {
  CHECK(into.size() == meta.bytes());
  std::ranges::fill(into, std::byte{0});
  std::byte* at = into.data();
  put(meta.segments, at);
  put(meta.partitions, at);
  put(meta.producers, at);
  put(meta.index, at);
  put(meta.block_crcs, at);
  header.meta_bytes = into.size();
  header.meta_crc = crc32c(into, journal_seed);
  header.segment_count = static_cast<std::uint32_t>(meta.segments.size());
  header.partition_count = static_cast<std::uint32_t>(meta.partitions.size());
  header.producer_count = static_cast<std::uint32_t>(meta.producers.size());
  header.index_count = static_cast<std::uint32_t>(meta.index.size());
  header.block_count = static_cast<std::uint32_t>(meta.block_crcs.size());
}

std::optional<SegmentMeta> read_segment_meta(const SegmentFileHeader& header,
                                             std::uint32_t journal_seed,
                                             std::span<const std::byte> bytes, MetaParts parts) {
  if (bytes.size() != header.meta_bytes || crc32c(bytes, journal_seed) != header.meta_crc) {
    return {};
  }
  SegmentMeta meta;
  const std::byte* at = bytes.data();
  take(at, header.segment_count, meta.segments);
  take(at, header.partition_count, meta.partitions);
  take(at, header.producer_count, meta.producers);
  if (parts == MetaParts::all) {
    take(at, header.index_count, meta.index);
    take(at, header.block_count, meta.block_crcs);
  }
  if (!is_sound(header, meta)) return {};
  return meta;
}

std::uint64_t index_at(const SegmentFileHeader& header, const SegmentEntry& segment) {
  return header.meta_at(0) + exact_bytes(header.segment_count, header.partition_count,
                                         header.producer_count, segment.index_first, 0);
}

std::uint64_t block_crcs_in_meta(const SegmentFileHeader& header) {
  return exact_bytes(header.segment_count, header.partition_count, header.producer_count,
                     header.index_count, 0);
}

}  // namespace millrace::storage

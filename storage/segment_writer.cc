#include "storage/segment_writer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "dataplane/base/check.h"
#include "storage/batch.h"

namespace millrace::storage {
namespace {

constexpr std::uint64_t write_bytes = base::mib;
// What the device holds back in its cache delays whoever flushes next.
constexpr std::uint64_t flush_bytes = 4 * base::mib;
static_assert(write_bytes % crc_block_bytes == 0);

}  // namespace

Segment segment_of(const SegmentFile& file, const SegmentEntry& entry) {
  return {.file = file.file,
          .index_count = entry.index_count,
          .is_sparse = entry.is_sparse(),
          .first_offset = entry.first_offset,
          .end_offset = entry.end_offset,
          .position = entry.position,
          .bytes = entry.bytes,
          .index_at = index_at(file.header, entry),
          .max_timestamp_ms = entry.max_timestamp_ms};
}

SegmentWriter::SegmentWriter(Disk& disk, std::uint32_t journal_seed, Background& background)
    : disk_(disk), seed_(journal_seed), background_(background) {}

// What cannot be removed is by the next start.
void SegmentWriter::abandon() {
  if (!started_) return;
  started_ = false;
  background_.wait();
  static_cast<void>(disk_.remove(name_));
  disk_.close(file_);
}

base::Result<void> SegmentWriter::start(std::string_view file_name,
                                        const SegmentFileHeader& identity,
                                        std::uint64_t data_bytes_max) {
  CHECK(!started_);
  header_ = identity;
  name_ = file_name;
  const std::uint64_t bytes =
      std::clamp(base::align_up(data_bytes_max, crc_block_bytes), crc_block_bytes, write_bytes);
  staging_ = BlockBuffer(bytes);
  writing_ = BlockBuffer(bytes);
  auto file = disk_.reserve(name_, segment_data_at + base::align_up(data_bytes_max, block_bytes));
  if (!file) return file.error();
  file_ = *file;
  started_ = true;
  return {};
}

void SegmentWriter::cover(base::PartitionId partition, base::Offset first, base::Offset end,
                          std::uint16_t flags) {
  const bool continues = !meta_.segments.empty() && segment().partition == base::raw(partition) &&
                         segment().end_offset == first && segment().flags == flags &&
                         segment().bytes < segment_bytes_max;
  if (!continues) {
    meta_.segments.push_back({.partition = base::raw(partition),
                              .first_offset = first,
                              .position = position(),
                              .max_timestamp_ms = std::numeric_limits<std::int64_t>::min(),
                              .index_first = static_cast<std::uint32_t>(meta_.index.size()),
                              .flags = flags});
    spacing_ = index_spacing_bytes;
    indexed_ = position();
  }
  segment().end_offset = end;
}

base::Result<void> SegmentWriter::put(std::span<const std::byte> batch) {
  const BatchView view(batch.data());
  index_batch(view.max_timestamp_ms(), view.base_offset());
  segment().last_epoch = view.leader_epoch();
  segment().bytes += batch.size();
  while (!batch.empty()) {
    const std::size_t count = std::min(batch.size(), staging_.size() - staged_);
    std::memcpy(staging_.data() + staged_, batch.data(), count);
    staged_ += count;
    batch = batch.subspan(count);
    if (staged_ != staging_.size()) continue;
    if (auto written = write_out(); !written) return written;
  }
  return {};
}

base::Result<void> SegmentWriter::add(base::PartitionId partition,
                                      std::span<const std::byte> batch) {
  const BatchView view(batch.data());
  cover(partition, view.base_offset(), view.last_offset() + 1, 0);
  return put(batch);
}

// An index that grows too long loses every other entry.
void SegmentWriter::index_batch(std::int64_t max_timestamp_ms, base::Offset base_offset) {
  SegmentEntry& open = segment();
  if (position() - indexed_ >= spacing_) {
    if (open.index_count == index_entries_max) {
      for (std::uint32_t i = 0; i < index_entries_max / 2; ++i) {
        meta_.index[open.index_first + i] = meta_.index[open.index_first + 2 * i + 1];
      }
      open.index_count = index_entries_max / 2;
      meta_.index.resize(open.index_first + open.index_count);
      spacing_ *= 2;
    }
    meta_.index.push_back({.position = position(),
                           .first_offset = base_offset,
                           .max_timestamp_before_ms = open.max_timestamp_ms});
    ++open.index_count;
    indexed_ = position();
  }
  open.max_timestamp_ms = std::max(open.max_timestamp_ms, max_timestamp_ms);
}

// What is staged, padded to whole blocks.
base::Result<void> SegmentWriter::write_out() {
  const std::uint64_t padded = base::align_up(staged_, block_bytes);
  std::memset(staging_.data() + staged_, 0, padded - staged_);
  for (std::uint64_t at = 0; at < padded; at += crc_block_bytes) {
    const std::uint64_t count = std::min(crc_block_bytes, padded - at);
    meta_.block_crcs.push_back(data_block_crc(seed_, header_.number,
                                              (written_ + at) / crc_block_bytes,
                                              staging_.span().subspan(at, count)));
  }
  if (auto written = take_written(); !written) return written;
  std::swap(staging_, writing_);
  const std::uint64_t at = segment_data_at + written_;
  written_ += padded;
  background_.run([this, at, padded, flushes = written_ % flush_bytes == 0] {
    written_result_ = disk_.write_now(file_, at, writing_.span().first(padded));
    if (written_result_ && flushes) written_result_ = disk_.flush_now(file_);
  });
  staged_ = 0;
  return {};
}

base::Result<void> SegmentWriter::take_written() {
  background_.wait();
  return std::exchange(written_result_, {});
}

base::Result<SegmentFile> SegmentWriter::finish(std::vector<PartitionState> partitions,
                                                std::vector<ProducerState> producers) {
  CHECK(started_);
  if (staged_ != 0) {
    if (auto written = write_out(); !written) return written.error();
  }
  if (auto written = take_written(); !written) return written.error();
  meta_.partitions = std::move(partitions);
  meta_.producers = std::move(producers);
  header_.data_bytes = written_;
  if (auto written = write_meta(); !written) return written.error();
  if (auto flushed = disk_.flush_now(file_); !flushed) return flushed.error();
  const std::string name = segment_file_name(header_.number);
  if (auto renamed = disk_.rename(name_, name); !renamed) return renamed.error();
  started_ = false;
  return SegmentFile{.file = file_, .header = header_, .segments = SegmentList(meta_.segments)};
}

base::Result<void> SegmentWriter::write_meta() {
  const BlockBuffer buffer(meta_.bytes() + block_bytes);
  const auto meta = buffer.span().first(meta_.bytes());
  const auto block = buffer.span().last(block_bytes);
  write_segment_meta(meta_, seed_, meta, header_);
  write_segment_header(header_, seed_, block);
  if (auto sized = disk_.resize(file_, header_.file_bytes()); !sized) return sized;
  for (std::uint32_t copy = 0; copy < 2 && !meta.empty(); ++copy) {
    if (auto written = disk_.write_now(file_, header_.meta_at(copy), meta); !written) {
      return written;
    }
  }
  if (auto written = disk_.write_now(file_, header_.meta_at(2), block); !written) return written;
  return disk_.write_now(file_, 0, block);
}

}  // namespace millrace::storage

// Batch: Kafka's record batch v2 (magic 2), the one unit on the wire, in the rings and on disk.
// Source of the layout: Kafka protocol guide, "Record Batch". Integers are big-endian; varints are
// zigzag.
//
//   0 base_offset i64 | 8 batch_length i32 (bytes after this field) | 12 partition_leader_epoch i32
//   | 16 magic i8 = 2
//  17 crc u32 (CRC32C of byte 21 to the end) | 21 attributes i16 | 23 last_offset_delta i32
//  27 base_timestamp i64 ms | 35 max_timestamp i64 ms | 43 producer_id i64 | 51 producer_epoch i16
//  53 base_sequence i32 | 57 record_count i32 | 61 records
//  record: length varint | attributes i8 | timestamp_delta varlong | offset_delta varint
//        | key length varint (-1 null) key | value length varint (-1 null) value | header count
//        varint | { key length varint, key, value length varint (-1 null), value }
//
// base_offset and partition_leader_epoch lie outside the CRC: the broker stamps them and nothing
// else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "dataplane/base/ids.h"
#include "dataplane/base/wire.h"

namespace millrace::storage {

inline constexpr std::uint32_t batch_header_bytes = 61;
inline constexpr std::uint32_t batch_bytes_max = 1024 * 1024;  // whole batch, header included

namespace batch_field {
inline constexpr std::uint32_t base_offset = 0, length = 8, leader_epoch = 12, magic = 16, crc = 17,
                               attributes = 21, last_offset_delta = 23, base_timestamp = 27,
                               max_timestamp = 35, producer_id = 43, producer_epoch = 51,
                               base_sequence = 53, record_count = 57;
}

// The header of a batch that lies in memory. Reads only; check_batch() has said that it may.
class BatchView {
 public:
  explicit BatchView(const std::byte* at) : at_(at) {}

  base::Offset base_offset() const {
    return base::load_be<std::int64_t>(at_ + batch_field::base_offset);
  }
  std::uint32_t bytes() const {
    return 12 + base::load_be<std::uint32_t>(at_ + batch_field::length);
  }
  std::int32_t leader_epoch() const {
    return base::load_be<std::int32_t>(at_ + batch_field::leader_epoch);
  }
  std::uint32_t crc() const { return base::load_be<std::uint32_t>(at_ + batch_field::crc); }
  std::int16_t attributes() const {
    return base::load_be<std::int16_t>(at_ + batch_field::attributes);
  }
  std::int32_t last_offset_delta() const {
    return base::load_be<std::int32_t>(at_ + batch_field::last_offset_delta);
  }
  std::int64_t base_timestamp_ms() const {
    return base::load_be<std::int64_t>(at_ + batch_field::base_timestamp);
  }
  std::int64_t max_timestamp_ms() const {
    return base::load_be<std::int64_t>(at_ + batch_field::max_timestamp);
  }
  base::ProducerId producer_id() const {
    return base::load_be<std::int64_t>(at_ + batch_field::producer_id);
  }
  std::int16_t producer_epoch() const {
    return base::load_be<std::int16_t>(at_ + batch_field::producer_epoch);
  }
  std::int32_t base_sequence() const {
    return base::load_be<std::int32_t>(at_ + batch_field::base_sequence);
  }
  std::int32_t record_count() const {
    return base::load_be<std::int32_t>(at_ + batch_field::record_count);
  }
  const std::byte* data() const { return at_; }
  bool is_compressed() const { return (attributes() & 0x07) != 0; }
  // Markers of transactions, not records.
  bool is_control() const { return (attributes() & 0x20) != 0; }
  // Then the base timestamp says when its tombstones may go.
  bool has_delete_horizon() const { return (attributes() & 0x40) != 0; }

  base::Offset last_offset() const { return base_offset() + last_offset_delta(); }
  // Sequences count records and wrap from 2^31-1 to 0.
  std::int32_t last_sequence() const {
    return static_cast<std::int32_t>((static_cast<std::uint32_t>(base_sequence()) +
                                      static_cast<std::uint32_t>(last_offset_delta())) &
                                     0x7fff'ffffU);
  }

 private:
  const std::byte* at_;
};

enum class BatchFault : std::uint8_t {
  none,
  truncated,   // fewer bytes than the header or its length field asks for
  bad_length,  // length under the header's or over batch_bytes_max, or bytes left over
  bad_magic,
  bad_crc,
  bad_count,  // record_count < 1, or last_offset_delta != record_count - 1
};

// Does each offset of a batch have its record? Not after compaction.
enum class Offsets : std::uint8_t { all, some };
std::string_view name(BatchFault fault);

// Is this exactly one whole, intact batch? Does not walk its records.
BatchFault check_batch(std::span<const std::byte> bytes, Offsets offsets = Offsets::all);

// Stamps the broker's two fields into a copy of a batch.
inline void stamp_batch(std::byte* batch, base::Offset base_offset, std::int32_t leader_epoch) {
  base::store_be(batch + batch_field::base_offset, base_offset);
  base::store_be(batch + batch_field::leader_epoch, leader_epoch);
}

struct Record {
  base::Offset offset = 0;
  std::int64_t timestamp_ms = 0;
  std::optional<std::string_view> key;    // absent is Kafka's null
  std::optional<std::string_view> value;  // absent is a tombstone
  std::span<const std::byte> headers;     // the encoded headers, count varint included
  std::span<const std::byte> encoded;     // all of it, length included
};

// Walks the records of a checked batch. next() is false at the end or at the first malformed
// record; malformed() tells which. A compressed batch is malformed from the start.
class RecordReader {
 public:
  explicit RecordReader(const BatchView& batch);
  bool next(Record& record);
  bool malformed() const { return malformed_; }

 private:
  const std::byte* at_;
  const std::byte* end_;
  base::Offset base_offset_;
  std::int64_t base_timestamp_ms_;
  std::int32_t left_;
  std::int32_t next_delta_ = 0;
  std::int32_t last_delta_;
  bool malformed_;
};

// Builds one batch in a buffer that the caller owns (at most batch_bytes_max of it are used).
class BatchBuilder {
 public:
  BatchBuilder() = default;
  explicit BatchBuilder(std::span<std::byte> buffer) { start(buffer); }

  void start(std::span<std::byte> buffer);
  // False when it does not fit; the batch is as before then.
  bool add(std::optional<std::string_view> key, std::optional<std::string_view> value,
           std::int64_t timestamp_ms);
  // Room for one value to be written in place, then commit()ted or abort()ed; a span without data
  // when it does not fit (and nothing is to be committed then).
  std::span<std::byte> claim(std::optional<std::string_view> key, std::uint32_t value_bytes,
                             std::int64_t timestamp_ms);
  void commit();
  void abort();

  std::uint32_t record_count() const { return record_count_; }
  std::uint32_t bytes() const { return used_; }
  bool empty() const { return record_count_ == 0; }

  // Completes header and CRC; the span is the batch. The builder must be started again before the
  // next add.
  std::span<std::byte> finish(base::ProducerId producer_id, std::int16_t producer_epoch,
                              std::int32_t base_sequence);

 private:
  std::byte* place(std::optional<std::string_view> key, std::uint32_t value_zigzag,
                   std::uint32_t value_bytes, std::int64_t timestamp_ms);

  std::byte* buffer_ = nullptr;
  std::uint32_t capacity_ = 0;
  std::uint32_t used_ = 0;
  std::uint32_t record_count_ = 0;
  std::uint32_t claimed_end_ = 0;
  std::int64_t base_timestamp_ms_ = 0;
  std::int64_t max_timestamp_ms_ = 0;
  std::int64_t claimed_timestamp_ms_ = 0;
};

// Builds what compaction leaves of a batch: some of its records, at their offsets and with their
// sequences. Core: none; the caller owns the buffer.
class BatchFilter {
 public:
  // horizon_ms: when tombstones may go; for a batch that does not say it yet.
  BatchFilter(const BatchView& batch, std::optional<std::int64_t> horizon_ms,
              std::span<std::byte> buffer);

  // In the order of the batch. False when it does not fit: the batch is to be left as it is.
  bool keep(const Record& record);
  // Completes header and CRC; empty when nothing was kept.
  std::span<std::byte> finish();

 private:
  std::span<std::byte> buffer_;
  std::size_t used_ = batch_header_bytes;
  std::optional<std::int64_t> horizon_ms_;
  std::int32_t record_count_ = 0;
  std::int64_t max_timestamp_ms_ = 0;
};

}  // namespace millrace::storage

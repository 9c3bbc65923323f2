#include "storage/batch.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "dataplane/base/check.h"
#include "storage/crc32c.h"

namespace millrace::storage {
namespace {

constexpr std::uint32_t length_field_end = batch_field::length + 4;
constexpr std::uint32_t crc_covers_from = batch_field::attributes;
constexpr std::int16_t delete_horizon_flag = 0x40;
constexpr std::uint32_t null_length = 1;  // zigzag of -1
constexpr std::int8_t magic_value = 2;
constexpr std::int32_t no_leader_epoch = -1;

static_assert(crc_covers_from == batch_field::crc + 4);
static_assert(batch_field::record_count + 4 == batch_header_bytes);

constexpr std::uint64_t zigzag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
constexpr std::int64_t unzigzag(std::uint64_t value) {
  return static_cast<std::int64_t>((value >> 1) ^ (~(value & 1) + 1));
}
static_assert(zigzag(-1) == 1 && zigzag(1) == 2 && unzigzag(1) == -1 && unzigzag(2) == 1);
static_assert(unzigzag(zigzag(std::numeric_limits<std::int64_t>::min())) ==
              std::numeric_limits<std::int64_t>::min());

// Seven bits a byte: 9/64 is close enough to 1/7 for every bit count up to 63.
constexpr std::uint32_t varint_bytes(std::uint64_t value) {
  return (static_cast<std::uint32_t>(std::bit_width(value | 1)) * 9 + 64) / 64;
}
static_assert(varint_bytes(0) == 1 && varint_bytes(0x7f) == 1 && varint_bytes(0x80) == 2);
static_assert(varint_bytes(0x3fff) == 2 && varint_bytes(0x4000) == 3);
static_assert(varint_bytes((1ULL << 28) - 1) == 4 && varint_bytes(1ULL << 28) == 5);
static_assert(varint_bytes((1ULL << 63) - 1) == 9 && varint_bytes(~0ULL) == 10);

constexpr std::size_t varint_bytes_max = 10;

std::byte* write_varint(std::byte* at, std::uint64_t value) {
  if (value < 0x80) {
    *at = static_cast<std::byte>(value);
    return at + 1;
  }
  if (value < 0x4000) {
    at[0] = static_cast<std::byte>(value | 0x80);
    at[1] = static_cast<std::byte>(value >> 7);
    return at + 2;
  }
  while (value >= 0x80) {
    *at++ = static_cast<std::byte>(value | 0x80);
    value >>= 7;
  }
  *at++ = static_cast<std::byte>(value);
  return at;
}

// Reads a peer's bytes; each read says whether it stayed inside them.
class Cursor {
 public:
  Cursor(const std::byte* at, const std::byte* end) : at_(at), end_(end) {}

  bool read_varint(std::int32_t& value) {
    std::uint64_t raw = 0;
    if (!read_bits(raw, 5, 0x0f)) return false;
    value = static_cast<std::int32_t>(unzigzag(raw));
    return true;
  }
  bool read_varlong(std::int64_t& value) {
    std::uint64_t raw = 0;
    if (!read_bits(raw, 10, 0x01)) return false;
    value = unzigzag(raw);
    return true;
  }
  bool skip(std::size_t count) {
    if (left() < count) return false;
    at_ += count;
    return true;
  }
  // A length and so many bytes; -1 is absent when that is allowed.
  bool read_bytes(std::optional<std::string_view>& bytes, bool nullable) {
    std::int32_t length = 0;
    if (!read_varint(length)) return false;
    if (length < 0) {
      bytes.reset();
      return nullable && length == -1;
    }
    const auto* first = at_;
    if (!skip(static_cast<std::size_t>(length))) return false;
    bytes.emplace(reinterpret_cast<const char*>(first), static_cast<std::size_t>(length));
    return true;
  }

  const std::byte* at() const { return at_; }
  const std::byte* end() const { return end_; }
  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  bool at_end() const { return at_ == end_; }

 private:
  bool read_bits(std::uint64_t& value, std::uint32_t bytes_max, std::uint8_t last_byte_max) {
    for (std::uint32_t i = 0; i < bytes_max && at_ != end_; ++i) {
      const auto byte = static_cast<std::uint8_t>(*at_++);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << (7 * i);
      if ((byte & 0x80) == 0) return i + 1 < bytes_max || byte <= last_byte_max;
    }
    return false;
  }

  const std::byte* at_;
  const std::byte* end_;
};

bool skip_headers(Cursor& cursor) {
  std::int32_t count = 0;
  if (!cursor.read_varint(count) || count < 0) return false;
  std::optional<std::string_view> ignored;
  for (std::int32_t i = 0; i < count; ++i) {  // each takes a byte at least, so the bytes bound it
    if (!cursor.read_bytes(ignored, false) || !cursor.read_bytes(ignored, true)) return false;
  }
  return true;
}

}  // namespace

std::string_view name(BatchFault fault) {
  switch (fault) {
    case BatchFault::none:
      return "none";
    case BatchFault::truncated:
      return "truncated";
    case BatchFault::bad_length:
      return "bad_length";
    case BatchFault::bad_magic:
      return "bad_magic";
    case BatchFault::bad_crc:
      return "bad_crc";
    case BatchFault::bad_count:
      return "bad_count";
  }
  return "unknown";
}

BatchFault check_batch(std::span<const std::byte> bytes, Offsets offsets) {
  if (bytes.size() < batch_header_bytes) return BatchFault::truncated;
  const auto length = base::load_be<std::uint32_t>(bytes.data() + batch_field::length);
  if (length < batch_header_bytes - length_field_end ||
      length > batch_bytes_max - length_field_end) {
    return BatchFault::bad_length;
  }
  const std::size_t whole = length_field_end + length;
  if (bytes.size() < whole) return BatchFault::truncated;
  if (bytes.size() > whole) return BatchFault::bad_length;
  if (base::load_be<std::int8_t>(bytes.data() + batch_field::magic) != magic_value) {
    return BatchFault::bad_magic;
  }
  const BatchView batch(bytes.data());
  if (crc32c(bytes.subspan(crc_covers_from)) != batch.crc()) return BatchFault::bad_crc;
  if (batch.record_count() < 1) return BatchFault::bad_count;
  const std::int32_t last_delta = batch.record_count() - 1;
  const bool is_count_right = offsets == Offsets::all ? batch.last_offset_delta() == last_delta
                                                      : batch.last_offset_delta() >= last_delta;
  if (!is_count_right) return BatchFault::bad_count;
  return BatchFault::none;
}

RecordReader::RecordReader(const BatchView& batch)
    : at_(batch.data() + batch_header_bytes),
      end_(batch.data() + batch.bytes()),
      base_offset_(batch.base_offset()),
      base_timestamp_ms_(batch.base_timestamp_ms()),
      left_(batch.record_count()),
      last_delta_(batch.last_offset_delta()),
      malformed_(batch.is_compressed()) {}

bool RecordReader::next(Record& record) {
  if (malformed_) return false;
  if (left_ == 0) {
    malformed_ = at_ != end_;
    return false;
  }
  malformed_ = true;  // until everything below has been read
  Cursor batch(at_, end_);
  std::int32_t length = 0;
  if (!batch.read_varint(length) || length < 0) return false;
  const std::byte* first = batch.at();
  if (!batch.skip(static_cast<std::size_t>(length))) return false;
  record.encoded = {at_, batch.at()};

  Cursor cursor(first, batch.at());
  std::int64_t timestamp_delta = 0;
  std::int32_t offset_delta = 0;
  if (!cursor.skip(1) || !cursor.read_varlong(timestamp_delta) ||
      !cursor.read_varint(offset_delta) || !cursor.read_bytes(record.key, true) ||
      !cursor.read_bytes(record.value, true)) {
    return false;
  }
  // Strictly upwards; gaps are what compaction leaves.
  if (offset_delta < next_delta_ || offset_delta > last_delta_) return false;
  record.headers = {cursor.at(), cursor.left()};
  if (!skip_headers(cursor) || !cursor.at_end()) return false;

  record.offset = base_offset_ + offset_delta;
  record.timestamp_ms =
      static_cast<std::int64_t>(static_cast<std::uint64_t>(base_timestamp_ms_) +
                                static_cast<std::uint64_t>(timestamp_delta));  // a peer's: may wrap
  at_ = batch.at();
  next_delta_ = offset_delta + 1;
  --left_;
  malformed_ = false;
  return true;
}

void BatchBuilder::start(std::span<std::byte> buffer) {
  CHECK(buffer.size() >= batch_header_bytes);
  buffer_ = buffer.data();
  capacity_ = static_cast<std::uint32_t>(std::min<std::size_t>(buffer.size(), batch_bytes_max));
  used_ = batch_header_bytes;
  record_count_ = 0;
  claimed_end_ = 0;
  base_timestamp_ms_ = 0;
  max_timestamp_ms_ = 0;
  claimed_timestamp_ms_ = 0;
}

// Writes a record but for its value and returns where that goes; null when it does not fit.
// value_zigzag: the value's length as it stands on the wire.
std::byte* BatchBuilder::place(std::optional<std::string_view> key, std::uint32_t value_zigzag,
                               std::uint32_t value_bytes, std::int64_t timestamp_ms) {
  CHECK(buffer_ != nullptr);
  CHECK(claimed_end_ == 0);
  const std::size_t key_bytes = key ? key->size() : 0;
  if (key_bytes > capacity_ || value_bytes > capacity_) return nullptr;  // also: sums fit 32 bits

  const std::int64_t base_ms = record_count_ == 0 ? timestamp_ms : base_timestamp_ms_;
  const std::uint64_t timestamp_zigzag = zigzag(static_cast<std::int64_t>(
      static_cast<std::uint64_t>(timestamp_ms) - static_cast<std::uint64_t>(base_ms)));
  const std::uint64_t offset_zigzag = static_cast<std::uint64_t>(record_count_) << 1;
  const std::uint64_t key_zigzag = key ? static_cast<std::uint64_t>(key_bytes) << 1 : null_length;

  const auto body_bytes = static_cast<std::uint32_t>(
      1 + varint_bytes(timestamp_zigzag) + varint_bytes(offset_zigzag) + varint_bytes(key_zigzag) +
      key_bytes + varint_bytes(value_zigzag) + value_bytes + 1);
  const std::uint64_t length_zigzag = static_cast<std::uint64_t>(body_bytes) << 1;
  const std::uint32_t record_bytes = varint_bytes(length_zigzag) + body_bytes;
  if (record_bytes > capacity_ - used_) return nullptr;

  std::byte* at = write_varint(buffer_ + used_, length_zigzag);
  *at++ = std::byte{0};  // attributes: none are defined
  at = write_varint(at, timestamp_zigzag);
  at = write_varint(at, offset_zigzag);
  at = write_varint(at, key_zigzag);
  if (key_bytes != 0) {
    std::memcpy(at, key->data(), key_bytes);
    at += key_bytes;
  }
  at = write_varint(at, value_zigzag);
  at[value_bytes] = std::byte{0};  // no headers
  claimed_end_ = used_ + record_bytes;
  claimed_timestamp_ms_ = timestamp_ms;
  return at;
}

bool BatchBuilder::add(std::optional<std::string_view> key, std::optional<std::string_view> value,
                       std::int64_t timestamp_ms) {
  const std::size_t value_bytes = value ? value->size() : 0;
  if (value_bytes > batch_bytes_max) return false;
  const auto bytes = static_cast<std::uint32_t>(value_bytes);
  std::byte* at = place(key, value ? bytes << 1 : null_length, bytes, timestamp_ms);
  if (at == nullptr) return false;
  if (bytes != 0) std::memcpy(at, value->data(), bytes);
  commit();
  return true;
}

std::span<std::byte> BatchBuilder::claim(std::optional<std::string_view> key,
                                         std::uint32_t value_bytes, std::int64_t timestamp_ms) {
  if (value_bytes > batch_bytes_max) return {};
  std::byte* at = place(key, value_bytes << 1, value_bytes, timestamp_ms);
  if (at == nullptr) return {};
  return {at, value_bytes};
}

void BatchBuilder::commit() {
  CHECK(claimed_end_ != 0);
  used_ = claimed_end_;
  claimed_end_ = 0;
  if (record_count_ == 0) {
    base_timestamp_ms_ = claimed_timestamp_ms_;
    max_timestamp_ms_ = claimed_timestamp_ms_;
  } else {
    max_timestamp_ms_ = std::max(max_timestamp_ms_, claimed_timestamp_ms_);
  }
  ++record_count_;
}

void BatchBuilder::abort() {
  CHECK(claimed_end_ != 0);
  claimed_end_ = 0;
}

std::span<std::byte> BatchBuilder::finish(base::ProducerId producer_id, std::int16_t producer_epoch,
                                          std::int32_t base_sequence) {
  CHECK(buffer_ != nullptr);
  CHECK(record_count_ > 0);
  CHECK(claimed_end_ == 0);
  std::byte* at = buffer_;
  base::store_be<std::int64_t>(at + batch_field::base_offset, 0);
  base::store_be(at + batch_field::length, used_ - length_field_end);
  base::store_be(at + batch_field::leader_epoch, no_leader_epoch);
  base::store_be(at + batch_field::magic, magic_value);
  base::store_be<std::int16_t>(at + batch_field::attributes, 0);
  base::store_be(at + batch_field::last_offset_delta, record_count_ - 1);
  base::store_be(at + batch_field::base_timestamp, base_timestamp_ms_);
  base::store_be(at + batch_field::max_timestamp, max_timestamp_ms_);
  base::store_be(at + batch_field::producer_id, producer_id);
  base::store_be(at + batch_field::producer_epoch, producer_epoch);
  base::store_be(at + batch_field::base_sequence, base_sequence);
  base::store_be(at + batch_field::record_count, record_count_);
  const std::span<std::byte> batch(at, used_);
  base::store_be(at + batch_field::crc, crc32c(batch.subspan(crc_covers_from)));
  *this = BatchBuilder();
  return batch;
}

BatchFilter::BatchFilter(const BatchView& batch, std::optional<std::int64_t> horizon_ms,
                         std::span<std::byte> buffer)
    : buffer_(buffer.first(std::min<std::size_t>(buffer.size(), batch_bytes_max))),
      horizon_ms_(horizon_ms) {
  CHECK(buffer_.size() >= batch_header_bytes);
  CHECK(!horizon_ms || !batch.has_delete_horizon());
  std::memcpy(buffer_.data(), batch.data(), batch_header_bytes);
}

bool BatchFilter::keep(const Record& record) {
  std::byte times[2 * varint_bytes_max + 1];  // length, attributes and timestamp, written anew
  std::span<const std::byte> front;
  std::span<const std::byte> rest = record.encoded;
  if (horizon_ms_) {
    Cursor cursor(rest.data(), rest.data() + rest.size());
    std::int32_t length = 0;
    std::int64_t delta_ms = 0;
    CHECK(cursor.read_varint(length) && cursor.skip(1) && cursor.read_varlong(delta_ms));
    rest = {cursor.at(), cursor.left()};
    delta_ms = static_cast<std::int64_t>(static_cast<std::uint64_t>(record.timestamp_ms) -
                                         static_cast<std::uint64_t>(*horizon_ms_));
    const std::size_t body_bytes = 1 + varint_bytes(zigzag(delta_ms)) + rest.size();
    std::byte* end = write_varint(times, body_bytes << 1);
    *end++ = std::byte{0};
    front = {times, write_varint(end, zigzag(delta_ms))};
  }
  if (front.size() + rest.size() > buffer_.size() - used_) return false;
  std::ranges::copy(front, buffer_.begin() + static_cast<std::ptrdiff_t>(used_));
  used_ += front.size();
  std::ranges::copy(rest, buffer_.begin() + static_cast<std::ptrdiff_t>(used_));
  used_ += rest.size();
  max_timestamp_ms_ =
      record_count_ == 0 ? record.timestamp_ms : std::max(max_timestamp_ms_, record.timestamp_ms);
  ++record_count_;
  return true;
}

std::span<std::byte> BatchFilter::finish() {
  if (record_count_ == 0) return {};
  std::byte* at = buffer_.data();
  base::store_be(at + batch_field::length, static_cast<std::uint32_t>(used_) - length_field_end);
  base::store_be(at + batch_field::max_timestamp, max_timestamp_ms_);
  base::store_be(at + batch_field::record_count, record_count_);
  if (horizon_ms_) {
    const auto attributes = base::load_be<std::int16_t>(at + batch_field::attributes);
    base::store_be(at + batch_field::attributes,
                   static_cast<std::int16_t>(attributes | delete_horizon_flag));
    base::store_be(at + batch_field::base_timestamp, *horizon_ms_);
  }
  const std::span<std::byte> batch(at, used_);
  base::store_be(at + batch_field::crc, crc32c(batch.subspan(crc_covers_from)));
  return batch;
}

}  // namespace millrace::storage

#include "storage/batch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "storage/crc32c.h"

namespace millrace::storage {
namespace {

std::vector<std::byte> from_hex(std::string_view hex) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(digit(hex[i]) * 16 + digit(hex[i + 1])));
  }
  return bytes;
}

std::vector<std::byte> copy_of(std::span<const std::byte> bytes) {
  return {bytes.begin(), bytes.end()};
}

// Both batches were assembled field by field from the protocol guide, with a bitwise CRC.
// Three records: k1 = hello; null = x * 70, three milliseconds before the first; "" = null.
const std::vector<std::byte> three_records = from_hex(
    "000000000000000000000096ffffffff02c50d55970000000000020000018bcfe568000000018bcfe568c800"
    "0000000000004d000300000029000000031a000000046b310a68656c6c6f009a01000502018c017878787878"
    "7878787878787878787878787878787878787878787878787878787878787878787878787878787878787878"
    "787878787878787878787878787878787878787878000e00900304000100");
// One record at offset 500, epoch 7: k = v with the headers h1 = one and h2 = null.
const std::vector<std::byte> with_headers = from_hex(
    "00000000000001f40000004500000007026d91f7c600000000000000000000000003e800000000000003edff"
    "ffffffffffffffffffffffffff0000000126000a00026b027604046831066f6e6504683201");

std::vector<std::byte> build_three() {
  std::vector<std::byte> buffer(4096);
  BatchBuilder builder(buffer);
  EXPECT_TRUE(builder.add("k1", "hello", 1'700'000'000'000));
  EXPECT_TRUE(builder.add(std::nullopt, std::string(70, 'x'), 1'699'999'999'997));
  EXPECT_TRUE(builder.add("", std::nullopt, 1'700'000'000'200));
  return copy_of(builder.finish(77, 3, 41));
}

// A batch with these bytes in place of its records, header and CRC in order.
std::vector<std::byte> with_body(std::string_view hex, std::int32_t record_count) {
  std::vector<std::byte> batch(with_headers.begin(), with_headers.begin() + batch_header_bytes);
  const auto body = from_hex(hex);
  batch.insert(batch.end(), body.begin(), body.end());
  base::store_be(batch.data() + batch_field::length, static_cast<std::int32_t>(batch.size() - 12));
  base::store_be(batch.data() + batch_field::record_count, record_count);
  base::store_be(batch.data() + batch_field::last_offset_delta, record_count - 1);
  const std::span<const std::byte> all(batch);
  base::store_be(batch.data() + batch_field::crc, crc32c(all.subspan(21)));
  return batch;
}

bool is_malformed(const std::vector<std::byte>& batch) {
  EXPECT_EQ(check_batch(batch), BatchFault::none);
  RecordReader reader{BatchView(batch.data())};
  Record record;
  while (reader.next(record)) {
  }
  return reader.malformed();
}

TEST(BatchBuilder, writes_the_bytes_of_the_protocol_guide) {
  EXPECT_EQ(build_three(), three_records);
}

TEST(BatchBuilder, claimed_values_give_the_same_bytes_as_added_ones) {
  std::vector<std::byte> buffer(4096);
  BatchBuilder builder(buffer);
  const auto first = builder.claim("k1", 5, 1'700'000'000'000);
  ASSERT_EQ(first.size(), 5U);
  std::memcpy(first.data(), "hello", 5);
  builder.commit();
  const auto second = builder.claim(std::nullopt, 70, 1'699'999'999'997);
  ASSERT_EQ(second.size(), 70U);
  std::memset(second.data(), 'x', 70);
  builder.commit();
  ASSERT_TRUE(builder.add("", std::nullopt, 1'700'000'000'200));
  EXPECT_EQ(copy_of(builder.finish(77, 3, 41)), three_records);
}

TEST(BatchBuilder, an_aborted_claim_leaves_no_trace) {
  std::vector<std::byte> buffer(4096);
  BatchBuilder builder(buffer);
  ASSERT_NE(builder.claim("gone", 100, 5).data(), nullptr);
  builder.abort();
  EXPECT_TRUE(builder.empty());
  ASSERT_TRUE(builder.add("k1", "hello", 1'700'000'000'000));
  ASSERT_TRUE(builder.add(std::nullopt, std::string(70, 'x'), 1'699'999'999'997));
  ASSERT_NE(builder.claim("gone", 100, std::numeric_limits<std::int64_t>::max()).data(), nullptr);
  builder.abort();
  ASSERT_TRUE(builder.add("", std::nullopt, 1'700'000'000'200));
  EXPECT_EQ(copy_of(builder.finish(77, 3, 41)), three_records);
}

TEST(BatchBuilder, refuses_what_does_not_fit_and_stays_as_it_was) {
  std::vector<std::byte> buffer(batch_header_bytes + 20);
  BatchBuilder builder(buffer);
  ASSERT_TRUE(builder.add("k", "v", 10));  // 9 bytes
  const std::uint32_t bytes = builder.bytes();
  EXPECT_FALSE(builder.add(std::nullopt, std::string(5, 'x'), 10));  // 12 bytes where 11 are left
  EXPECT_EQ(builder.claim(std::nullopt, 5, 10).data(), nullptr);
  EXPECT_FALSE(builder.add(std::nullopt, std::string(3 << 20, 'x'), 10));
  EXPECT_EQ(builder.bytes(), bytes);
  EXPECT_TRUE(builder.add(std::nullopt, std::string(4, 'x'), 10));
  EXPECT_EQ(builder.record_count(), 2U);
  const auto batch = copy_of(builder.finish(-1, -1, -1));
  EXPECT_EQ(batch.size(), buffer.size());
  EXPECT_EQ(check_batch(batch), BatchFault::none);
}

TEST(BatchBuilder, fills_no_more_than_the_largest_batch) {
  std::vector<std::byte> buffer(2 * batch_bytes_max);
  BatchBuilder builder(buffer);
  const std::string value(10'000, 'v');
  while (builder.add(std::nullopt, value, 1)) {
  }
  const auto batch = builder.finish(-1, -1, -1);
  EXPECT_LE(batch.size(), batch_bytes_max);
  EXPECT_GT(batch.size(), batch_bytes_max - 10'100);
  EXPECT_EQ(check_batch(batch), BatchFault::none);
}

TEST(BatchBuilder, what_it_writes_is_what_the_reader_reads) {
  std::mt19937_64 random(7);
  std::vector<std::byte> buffer(batch_bytes_max);
  for (int round = 0; round < 50; ++round) {
    struct Expected {
      std::optional<std::string> key, value;
      std::int64_t timestamp_ms;
    };
    std::vector<Expected> expected;
    BatchBuilder builder(buffer);
    const auto count = 1 + random() % 300;
    for (std::uint64_t i = 0; i < count; ++i) {
      Expected record;
      if (random() % 4 != 0) record.key = std::string(random() % (1U << (random() % 9)), 'k');
      if (random() % 8 != 0) record.value = std::string(random() % (1U << (random() % 15)), 'v');
      record.timestamp_ms = static_cast<std::int64_t>(random() >> (random() % 64));
      if (!builder.add(record.key, record.value, record.timestamp_ms)) break;
      expected.push_back(record);
    }
    const auto batch = builder.finish(5, 1, 9);
    ASSERT_EQ(check_batch(batch), BatchFault::none);
    stamp_batch(batch.data(), 1000, 3);
    ASSERT_EQ(check_batch(batch), BatchFault::none);
    RecordReader reader{BatchView(batch.data())};
    Record record;
    std::int64_t max_ms = std::numeric_limits<std::int64_t>::min();
    for (std::size_t i = 0; i < expected.size(); ++i) {
      ASSERT_TRUE(reader.next(record));
      EXPECT_EQ(record.offset, 1000 + static_cast<std::int64_t>(i));
      EXPECT_EQ(record.timestamp_ms, expected[i].timestamp_ms);
      EXPECT_EQ(record.key.has_value(), expected[i].key.has_value());
      EXPECT_EQ(record.key.value_or(""), expected[i].key.value_or(""));
      EXPECT_EQ(record.value.has_value(), expected[i].value.has_value());
      EXPECT_EQ(record.value.value_or(""), expected[i].value.value_or(""));
      max_ms = std::max(max_ms, expected[i].timestamp_ms);
    }
    EXPECT_FALSE(reader.next(record));
    EXPECT_FALSE(reader.malformed());
    EXPECT_EQ(BatchView(batch.data()).max_timestamp_ms(), max_ms);
  }
}

TEST(BatchView, reads_every_field_of_the_header) {
  const BatchView batch(three_records.data());
  EXPECT_EQ(batch.base_offset(), 0);
  EXPECT_EQ(batch.bytes(), three_records.size());
  EXPECT_EQ(batch.leader_epoch(), -1);
  EXPECT_EQ(batch.crc(), 0xc50d5597U);
  EXPECT_EQ(batch.attributes(), 0);
  EXPECT_EQ(batch.last_offset_delta(), 2);
  EXPECT_EQ(batch.base_timestamp_ms(), 1'700'000'000'000);
  EXPECT_EQ(batch.max_timestamp_ms(), 1'700'000'000'200);
  EXPECT_EQ(batch.producer_id(), 77);
  EXPECT_EQ(batch.producer_epoch(), 3);
  EXPECT_EQ(batch.base_sequence(), 41);
  EXPECT_EQ(batch.record_count(), 3);
  EXPECT_EQ(batch.last_sequence(), 43);
}

TEST(BatchView, sequences_wrap_to_zero) {
  auto batch = three_records;
  base::store_be<std::int32_t>(batch.data() + batch_field::base_sequence, 0x7fff'ffff);
  EXPECT_EQ(BatchView(batch.data()).last_sequence(), 1);
}

TEST(CheckBatch, takes_whole_intact_batches) {
  EXPECT_EQ(check_batch(three_records), BatchFault::none);
  EXPECT_EQ(check_batch(with_headers), BatchFault::none);
}

TEST(CheckBatch, names_each_fault) {
  const std::span<const std::byte> all(three_records);
  EXPECT_EQ(check_batch({}), BatchFault::truncated);
  EXPECT_EQ(check_batch(all.first(60)), BatchFault::truncated);
  EXPECT_EQ(check_batch(all.first(all.size() - 1)), BatchFault::truncated);
  auto batch = three_records;
  batch.push_back(std::byte{0});
  EXPECT_EQ(check_batch(batch), BatchFault::bad_length);
  for (const std::uint32_t length : {0U, 48U, batch_bytes_max - 11, 0x8000'0000U, 0xffff'ffffU}) {
    batch = three_records;
    base::store_be(batch.data() + batch_field::length, length);
    EXPECT_EQ(check_batch(batch), BatchFault::bad_length) << length;
  }
  batch = three_records;
  batch[batch_field::magic] = std::byte{1};
  EXPECT_EQ(check_batch(batch), BatchFault::bad_magic);
  for (std::uint32_t at = batch_field::crc; at < three_records.size(); ++at) {
    batch = three_records;
    batch[at] ^= std::byte{0x10};
    EXPECT_EQ(check_batch(batch), BatchFault::bad_crc) << at;
  }
  EXPECT_EQ(check_batch(with_body("", 0)), BatchFault::bad_count);
  batch = with_body("0e00000001020000", 1);
  base::store_be<std::int32_t>(batch.data() + batch_field::last_offset_delta, 1);
  base::store_be(batch.data() + batch_field::crc,
                 crc32c(std::span<const std::byte>(batch).subspan(21)));
  EXPECT_EQ(check_batch(batch), BatchFault::bad_count);
}

// What is left of a batch when the wanted offsets are kept.
std::vector<std::byte> filtered(std::span<const std::byte> bytes,
                                std::optional<std::int64_t> horizon_ms,
                                const std::vector<base::Offset>& wanted) {
  const BatchView batch(bytes.data());
  std::vector<std::byte> buffer(4096);
  BatchFilter filter(batch, horizon_ms, buffer);
  RecordReader reader(batch);
  for (Record record; reader.next(record);) {
    if (std::ranges::find(wanted, record.offset) != wanted.end()) {
      EXPECT_TRUE(filter.keep(record));
    }
  }
  return copy_of(filter.finish());
}

TEST(BatchFilter, what_stays_has_its_offset_and_its_time) {
  auto batch = three_records;
  stamp_batch(batch.data(), 100, 7);
  const auto left = filtered(batch, std::nullopt, {100, 102});
  EXPECT_EQ(check_batch(left, Offsets::some), BatchFault::none);
  EXPECT_EQ(check_batch(left), BatchFault::bad_count);
  const BatchView view(left.data());
  EXPECT_EQ(view.base_offset(), 100);
  EXPECT_EQ(view.last_offset(), 102);
  EXPECT_EQ(view.leader_epoch(), 7);
  EXPECT_EQ(view.base_sequence(), 41);
  EXPECT_EQ(view.last_sequence(), 43);
  EXPECT_EQ(view.record_count(), 2);
  EXPECT_EQ(view.max_timestamp_ms(), 1'700'000'000'200);
  EXPECT_FALSE(view.has_delete_horizon());
  RecordReader reader(view);
  Record record;
  ASSERT_TRUE(reader.next(record));
  EXPECT_EQ(record.offset, 100);
  EXPECT_EQ(record.value, "hello");
  ASSERT_TRUE(reader.next(record));
  EXPECT_EQ(record.offset, 102);
  EXPECT_EQ(record.timestamp_ms, 1'700'000'000'200);
  EXPECT_FALSE(record.value.has_value());
  EXPECT_FALSE(reader.next(record));
  EXPECT_FALSE(reader.malformed());
}

TEST(BatchFilter, a_horizon_takes_the_base_times_place_and_no_record_changes) {
  for (const std::int64_t horizon_ms : {std::int64_t{0}, std::int64_t{1'700'086'400'000},
                                        std::numeric_limits<std::int64_t>::max()}) {
    const auto left = filtered(three_records, horizon_ms, {0, 1, 2});
    ASSERT_EQ(check_batch(left), BatchFault::none);
    const BatchView view(left.data());
    EXPECT_TRUE(view.has_delete_horizon());
    EXPECT_EQ(view.base_timestamp_ms(), horizon_ms);
    EXPECT_EQ(view.max_timestamp_ms(), BatchView(three_records.data()).max_timestamp_ms());
    RecordReader before(BatchView(three_records.data()));
    RecordReader after(view);
    for (Record was, is; before.next(was);) {
      ASSERT_TRUE(after.next(is));
      EXPECT_EQ(is.offset, was.offset);
      EXPECT_EQ(is.timestamp_ms, was.timestamp_ms);
      EXPECT_EQ(is.key, was.key);
      EXPECT_EQ(is.value, was.value);
    }
  }
  const auto headers = filtered(with_headers, 5, {500});
  RecordReader reader(BatchView(headers.data()));
  Record record;
  ASSERT_TRUE(reader.next(record));
  EXPECT_EQ(record.headers.size(), 12U);
}

TEST(BatchFilter, of_nothing_kept_nothing_stays) {
  EXPECT_TRUE(filtered(three_records, std::nullopt, {}).empty());
}

TEST(BatchFilter, says_when_there_is_no_room) {
  const BatchView batch(three_records.data());
  std::vector<std::byte> buffer(batch_header_bytes + 20);
  BatchFilter filter(batch, 0, buffer);
  RecordReader reader(batch);
  Record record;
  ASSERT_TRUE(reader.next(record));
  EXPECT_TRUE(filter.keep(record));
  ASSERT_TRUE(reader.next(record));
  EXPECT_FALSE(filter.keep(record));
}

TEST(CheckBatch, names_are_distinct) {
  EXPECT_EQ(name(BatchFault::none), "none");
  EXPECT_EQ(name(BatchFault::truncated), "truncated");
  EXPECT_EQ(name(BatchFault::bad_length), "bad_length");
  EXPECT_EQ(name(BatchFault::bad_magic), "bad_magic");
  EXPECT_EQ(name(BatchFault::bad_crc), "bad_crc");
  EXPECT_EQ(name(BatchFault::bad_count), "bad_count");
}

TEST(RecordReader, reads_keys_values_nulls_and_headers) {
  RecordReader reader{BatchView(three_records.data())};
  Record record;
  ASSERT_TRUE(reader.next(record));
  EXPECT_EQ(record.offset, 0);
  EXPECT_EQ(record.timestamp_ms, 1'700'000'000'000);
  EXPECT_EQ(record.key, "k1");
  EXPECT_EQ(record.value, "hello");
  EXPECT_EQ(record.headers.size(), 1U);
  ASSERT_TRUE(reader.next(record));
  EXPECT_EQ(record.timestamp_ms, 1'699'999'999'997);
  EXPECT_EQ(record.key, std::nullopt);
  EXPECT_EQ(record.value, std::string(70, 'x'));
  ASSERT_TRUE(reader.next(record));
  EXPECT_EQ(record.offset, 2);
  EXPECT_EQ(record.key, "");
  EXPECT_EQ(record.value, std::nullopt);
  EXPECT_FALSE(reader.next(record));
  EXPECT_FALSE(reader.malformed());

  RecordReader second{BatchView(with_headers.data())};
  ASSERT_TRUE(second.next(record));
  EXPECT_EQ(record.offset, 500);
  EXPECT_EQ(record.timestamp_ms, 1005);
  EXPECT_EQ(copy_of(record.headers), from_hex("04046831066f6e6504683201"));
  EXPECT_FALSE(second.next(record));
  EXPECT_FALSE(second.malformed());
}

TEST(RecordReader, takes_gaps_that_compaction_leaves_but_no_step_back) {
  EXPECT_FALSE(is_malformed(with_body("0c0000000101000c000002010100", 2)));
  EXPECT_TRUE(is_malformed(with_body("0c0000020101000c000002010100", 2)));
}

TEST(RecordReader, stops_at_malformed_records) {
  EXPECT_FALSE(is_malformed(with_body("0c000000010100", 1)));   // the sound one
  EXPECT_TRUE(is_malformed(with_body("", 1)));                  // no record at all
  EXPECT_TRUE(is_malformed(with_body("0c00000001010000", 1)));  // a byte after the last
  EXPECT_TRUE(is_malformed(with_body("0e000000010100", 1)));    // longer than the batch
  EXPECT_TRUE(is_malformed(with_body("0a000000010100", 1)));    // shorter than its fields
  EXPECT_TRUE(is_malformed(with_body("0c000000030100", 1)));    // key length -2
  EXPECT_TRUE(is_malformed(with_body("0c000000010300", 1)));    // value length -2
  EXPECT_TRUE(is_malformed(with_body("0c000000014000", 1)));    // value past the end
  EXPECT_TRUE(is_malformed(with_body("0c000000010101", 1)));    // header count -1
  EXPECT_TRUE(is_malformed(with_body("0c000000010102", 1)));    // a header that is not there
  EXPECT_TRUE(
      is_malformed(with_body("1000000001010201"
                             "01",
                             1)));                            // header with a null key
  EXPECT_TRUE(is_malformed(with_body("0c000002010100", 1)));  // past last_offset_delta
  EXPECT_TRUE(is_malformed(with_body("01", 1)));              // length -1
  EXPECT_TRUE(is_malformed(with_body("8080808010", 1)));      // a varint over 32 bits
  EXPECT_TRUE(is_malformed(with_body("808080808000", 1)));    // a varint over 5 bytes
}

TEST(RecordReader, calls_a_compressed_batch_malformed) {
  auto batch = three_records;
  batch[batch_field::attributes + 1] = std::byte{4};
  RecordReader reader{BatchView(batch.data())};
  Record record;
  EXPECT_FALSE(reader.next(record));
  EXPECT_TRUE(reader.malformed());
}

TEST(RecordReader, no_changed_byte_leads_it_outside_the_batch) {
  for (std::size_t at = batch_header_bytes; at < with_headers.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      auto batch = with_headers;  // on the heap to the byte, so a sanitizer sees a step outside
      batch[at] = static_cast<std::byte>(value);
      RecordReader reader{BatchView(batch.data())};
      Record record;
      std::size_t bytes = 0;
      while (reader.next(record)) bytes += record.headers.size();
      EXPECT_LE(bytes, batch.size());
    }
  }
}

}  // namespace
}  // namespace millrace::storage

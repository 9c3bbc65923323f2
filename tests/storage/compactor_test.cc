#include "storage/compactor.h"

#include <algorithm>
#include <map>
#include <random>

#include "storage/crc32c.h"
#include "tests/storage/log_fixture.h"

namespace millrace::storage {
namespace {

using Status = Log::ReadStatus;

constexpr std::int64_t day_ms = 86'400'000;

LogOptions compacting_options() {
  LogOptions options = sorting_log_options();
  options.compactor.merge.files_per_merge = 4;
  return options;
}

std::vector<std::string> segment_names(LogFixture& at) {
  std::vector<std::string> names = at.disk.list().value();
  std::erase_if(names, [](const std::string& name) { return !segment_file_number(name); });
  std::ranges::sort(names);
  return names;
}

std::size_t segments_of(LogFixture& at, std::uint32_t partition) {
  std::size_t count = 0;
  for (const SegmentFile& file : at.log->store().files()) {
    count += static_cast<std::size_t>(
        std::ranges::count(file.segments, partition, &SegmentEntry::partition));
  }
  return count;
}

// One file of each partition's next batch, not sorted any further.
void add_file(LogFixture& at, const std::vector<std::uint32_t>& partitions, std::size_t bytes) {
  for (const std::uint32_t partition : partitions) at.append(partition, bytes);
  at.settle();
  at.sort();
}

// --- files ---

TEST(Compactor, files_of_about_a_size_become_one_and_files_of_those_again) {
  LogFixture at(compacting_options());
  for (int i = 0; i < 64; ++i) add_file(at, {1, 2, 3}, 5000);
  // Of 64, the newest is left alone: 3 times 16, 3 times 4, 3, and it.
  EXPECT_EQ(at.log->store().files().size(), 10U);
  EXPECT_EQ(segment_names(at).size(), 10U);
  for (const std::uint32_t partition : {1U, 2U, 3U}) {
    EXPECT_EQ(segments_of(at, partition), 10U);
    at.expect_readable(partition);
    at.expect_readable(partition, 33);
    EXPECT_EQ(at.log->partition(at.slot(partition)).bytes,
              64 * at.written[partition][0].bytes.size());
  }
  at.crash_and_open();
  EXPECT_EQ(at.log->store().files().size(), 10U);
  for (const std::uint32_t partition : {1U, 2U, 3U}) at.expect_readable(partition);
}

TEST(Compactor, what_is_large_is_not_copied_again) {
  LogOptions options = compacting_options();
  options.compactor.merge.large_segment_bytes = 4000;
  LogFixture at(options);
  for (int i = 0; i < 20; ++i) add_file(at, {1}, 5000);
  EXPECT_EQ(at.log->store().files().size(), 20U);
  options.compactor.merge.large_segment_bytes = 1 << 20;
  options.compactor.merge.file_bytes_max = 40'000;  // of more than two
  LogFixture small(options);
  for (int i = 0; i < 21; ++i) add_file(small, {1}, 5000);
  EXPECT_EQ(small.log->store().files().size(), 6U);
  small.expect_readable(1);
}

TEST(Compactor, what_was_deleted_is_left_out) {
  LogFixture at(compacting_options());
  for (int i = 0; i < 4; ++i) add_file(at, {1, 2, 3}, 20'000);
  at.log->remove_partition(at.slot(2));
  at.written.erase(2);
  at.log->delete_records(at.slot(3), 3);
  at.settle();
  std::erase_if(at.written[3], [](const auto& batch) { return batch.offset < 3; });
  add_file(at, {1}, 20'000);
  std::uint64_t bytes = 0;
  for (const SegmentFile& file : at.log->store().files()) bytes += file.header.data_bytes;
  EXPECT_LT(bytes, 6 * 20'500U + at.log->store().files().size() * block_bytes);
  at.expect_readable(1);
  at.expect_readable(3, 3);
  at.close_and_open();
  at.expect_readable(1);
  at.expect_readable(3, 3);
}

TEST(Compactor, a_file_that_is_mostly_dead_makes_room) {
  LogOptions options = compacting_options();
  options.compactor.merge.files_per_merge = 1024;
  LogFixture at(options);
  at.fill(1, 100'000, base::mib);
  at.append_durably(2, 100'000);
  at.sort();
  add_file(at, {3}, 100);
  const std::uint64_t before = at.log->store().files()[0].header.file_bytes();
  at.log->remove_partition(at.slot(1));
  at.written.erase(1);
  at.sort();
  ASSERT_EQ(at.log->store().files().size(), 3U);  // and one of the removal's own
  EXPECT_LT(at.log->store().files()[0].header.file_bytes(), before / 5);
  at.expect_readable(2);
  at.crash_and_open();
  at.expect_readable(2);
  at.expect_readable(3);
}

TEST(Compactor, a_crash_at_any_step_loses_nothing_and_doubles_nothing) {
  bool finished = false;
  for (int steps = 1; !finished; ++steps) {
    ASSERT_LT(steps, 300);
    LogFixture at(sorting_log_options());
    for (int i = 0; i < 5; ++i) add_file(at, {1, 2, 3}, 3000);
    at.options = compacting_options();
    at.close_and_open();
    at.log->take_messages();
    int idle = 0;
    for (int i = 0; i < steps && idle < 3; ++i) idle = at.keep_house() ? 0 : idle + 1;
    finished = idle == 3;
    at.crash_and_open();
    for (const std::uint32_t partition : {1U, 2U, 3U}) at.expect_readable(partition);
    at.sort();
    EXPECT_EQ(at.log->store().files().size(), 2U);
    for (const std::uint32_t partition : {1U, 2U, 3U}) at.expect_readable(partition);
    EXPECT_FALSE(at.disk.exists(unfinished_rewrite_name));
  }
}

TEST(Compactor, what_has_rotted_stays_where_it_is_and_is_named) {
  LogFixture at(sorting_log_options());
  for (int i = 0; i < 9; ++i) add_file(at, {1}, 3000);
  at.options = compacting_options();
  at.close_and_open();
  const SegmentFile rotten = at.log->store().files()[2];
  at.disk.flip_bit(segment_file_name(rotten.header.number), rotten.segments.at(0).position + 500,
                   3);
  at.sort();
  ASSERT_TRUE(at.error.has_value());
  EXPECT_EQ(at.error->code(), base::ErrorCode::corrupt);
  EXPECT_NE(at.error->message().find(segment_file_name(rotten.header.number)), std::string::npos);
  at.now_ns += 2'000'000'000;
  at.sort();
  // Four of those behind it are one.
  EXPECT_EQ(at.log->store().files().size(), 6U);
  EXPECT_NE(at.log->store().find(rotten.header.number), nullptr);
  Log::Cursor cursor = at.log->cursor_at(at.slot(1), 2);
  Log::Slice slice;
  EXPECT_EQ(at.read(1, cursor, slice), Status::damaged);
  at.expect_readable(1, 3);
}

TEST(Compactor, begins_nothing_that_the_disk_has_no_room_for) {
  LogOptions options = compacting_options();
  options.sorter.reserve_bytes = 10 * base::mib;
  LogFixture at(options);
  for (int i = 0; i < 4; ++i) {
    at.fill(1, 500'000, base::mib);
    at.sort();
  }
  std::uint64_t used = 0;
  const std::vector<std::string> names = at.disk.list().value();
  for (const std::string& name : names) {
    used += at.disk.size(at.disk.open(name).value()).value();
  }
  at.disk.set_capacity(used + 14 * base::mib);
  at.now_ns += 1'000'000'000;
  at.append_durably(1, 100);
  at.sort();
  EXPECT_EQ(at.log->store().files().size(), 5U);
  at.disk.set_capacity(used + 30 * base::mib);
  at.now_ns += 1'000'000'000;
  at.sort();
  EXPECT_EQ(at.log->store().files().size(), 2U);
  at.expect_readable(1);
}

TEST(Compactor, a_reader_notices_nothing) {
  LogFixture at(sorting_log_options());
  for (int i = 0; i < 9; ++i) add_file(at, {1}, 3000);
  at.options = compacting_options();
  at.close_and_open();
  Log::Cursor cursor = at.log->cursor_at(at.slot(1), 0);
  std::vector<std::byte> got;
  for (std::size_t i = 0; i < at.written[1].size(); ++i) {
    for (bool whole = false; !whole;) {
      Log::Slice slice;
      ASSERT_EQ(at.read(1, cursor, slice, 1000), Status::ready);
      ASSERT_EQ(slice.base_offset, static_cast<base::Offset>(i));
      ASSERT_EQ(slice.skip_bytes, got.size());
      got.insert(got.end(), slice.bytes, slice.bytes + slice.byte_count);
      whole = got.size() == slice.batch_bytes;
      at.log->advance(cursor, slice);
      at.keep_house();
    }
    ASSERT_EQ(got, at.written[1][i].bytes);
    got.clear();
  }
  EXPECT_LT(at.log->store().files().size(), 9U);
}

// --- by key ---

// A partition that keeps the last record of each key, and what should be in it.
class KeyedFixture : public LogFixture {
 public:
  struct Model {
    std::optional<std::string> key;
    std::optional<std::string> value;
  };
  static constexpr std::uint32_t id = 7;

  explicit KeyedFixture(const LogOptions& log_options = compacting_options())
      : LogFixture(log_options) {
    wall_ms = 1'000'000;
    keep_last();
  }

  void keep_last() {
    log->set_in_catalog(slot(id));
    log->set_retention(slot(id), {.tombstones_ms = day_ms});
  }
  void reopen() {
    crash_and_open();
    keep_last();
  }
  base::Offset add(const std::vector<Model>& records) {
    std::vector<std::byte> buffer(batch_bytes_max);
    BatchBuilder builder(buffer);
    for (const Model& record : records) {
      const std::optional<std::string_view> key = record.key;
      const std::optional<std::string_view> value = record.value;
      EXPECT_TRUE(builder.add(key, value, wall_ms));
      all[end++] = record;
    }
    const auto batch = builder.finish(base::no_producer_id, -1, -1);
    const base::Offset first = log->append_batch(slot(id), batch, true).base_offset;
    settle();
    return first;
  }
  // The newest record of each key, and those without.
  std::map<base::Offset, Model> last(bool with_tombstones = true) const {
    std::map<base::Offset, Model> kept;
    std::map<std::string, base::Offset> newest;
    for (const auto& [offset, record] : all) {
      if (record.key) newest[*record.key] = offset;
    }
    for (const auto& [offset, record] : all) {
      const bool is_over = record.key && !record.value && !with_tombstones;
      if (!is_over && (!record.key || newest[*record.key] == offset)) kept[offset] = record;
    }
    return kept;
  }
  std::map<base::Offset, Model> records_from(base::Offset from) {
    std::map<base::Offset, Model> found;
    Log::Cursor cursor = log->cursor_at(slot(id), from);
    base::Offset reached = from;
    while (true) {
      Log::Slice slice;
      const Status status = read(id, cursor, slice);
      if (status != Status::ready) {
        EXPECT_EQ(status, Status::at_end);
        return found;
      }
      EXPECT_EQ(check_batch({slice.bytes, slice.byte_count}, Offsets::some), BatchFault::none);
      EXPECT_LE(slice.asked_offset, reached);
      EXPECT_GT(slice.end_offset, reached);
      reached = slice.end_offset;
      RecordReader reader(BatchView(slice.bytes));
      for (Record record; reader.next(record);) {
        Model& model = found[record.offset];
        if (record.key) model.key = std::string(*record.key);
        if (record.value) model.value = std::string(*record.value);
      }
      log->advance(cursor, slice);
    }
  }
  void expect_records(const std::map<base::Offset, Model>& wanted) {
    for (const base::Offset from : {base::Offset{0}, end / 3, end - 1}) {
      const auto found = records_from(from);
      for (const auto& [offset, record] : wanted) {
        if (offset < from) continue;
        const auto one = found.find(offset);
        ASSERT_NE(one, found.end()) << "offset " << offset << " from " << from;
        EXPECT_EQ(one->second.key, record.key);
        EXPECT_EQ(one->second.value, record.value);
      }
      for (const auto& [offset, record] : found) {
        EXPECT_TRUE(offset < from || wanted.contains(offset)) << "offset " << offset;
      }
    }
  }

  std::map<base::Offset, Model> all;
  base::Offset end = 0;
};

std::vector<KeyedFixture::Model> some_records(std::mt19937_64& random, std::uint64_t keys) {
  std::vector<KeyedFixture::Model> records;
  for (std::uint64_t count = 1 + random() % 6; count > 0; --count) {
    KeyedFixture::Model record{.key = "key-" + std::to_string(random() % keys), .value = {}};
    if (random() % 8 != 0) record.value = std::string(random() % 300, 'v') + std::to_string(count);
    records.push_back(record);
  }
  return records;
}

TEST(CompactorByKey, the_last_record_of_each_key_stays_where_it_was) {
  KeyedFixture at;
  std::mt19937_64 random(1);
  at.add({{.key = {}, .value = "whatever has no key stays"}});
  for (int file = 0; file < 20; ++file) {
    for (int i = 0; i < 30; ++i) at.add(some_records(random, 10));
    at.append_durably(1, 2000);
    at.sort();
    at.expect_records(at.last());
  }
  at.expect_readable(1);
  EXPECT_EQ(at.log->partition(at.slot(at.id)).log_start, 0);
  EXPECT_EQ(at.log->partition(at.slot(at.id)).log_end, at.end);
  EXPECT_LT(at.log->partition(at.slot(at.id)).bytes, 200'000U);
  at.reopen();
  at.expect_records(at.last());
  at.expect_readable(1);
}

TEST(CompactorByKey, half_of_it_is_new_before_it_is_done_again) {
  KeyedFixture at;
  std::mt19937_64 random(2);
  for (int i = 0; i < 100; ++i) at.add(some_records(random, 1'000'000));
  at.sort();
  const std::uint64_t first = at.log->store().files()[0].header.number;
  at.add({{.key = "key-1", .value = "x"}});
  at.sort();
  EXPECT_NE(at.log->store().find(first), nullptr);
  for (int i = 0; i < 110; ++i) at.add(some_records(random, 1'000'000));
  at.sort();
  EXPECT_EQ(at.log->store().find(first), nullptr);
  at.expect_records(at.last());
}

TEST(CompactorByKey, a_tombstone_stays_for_its_time_and_then_goes) {
  KeyedFixture at;
  at.add({{.key = "a", .value = "1"}, {.key = "b", .value = "1"}});
  at.add({{.key = "a", .value = {}}});
  at.sort();
  at.expect_records(at.last());
  EXPECT_EQ(at.records_from(0).size(), 2U);
  at.wall_ms += day_ms - 1;
  const std::string large(1000, 'x');
  at.add({{.key = "c", .value = large}});
  at.sort();
  EXPECT_EQ(at.records_from(0).size(), 3U);
  at.wall_ms += 1;
  at.add({{.key = "c", .value = large + large}});
  at.sort();
  at.expect_records(at.last(false));
  EXPECT_EQ(at.records_from(0).size(), 2U);
  at.reopen();
  at.expect_records(at.last(false));
}

TEST(CompactorByKey, where_nothing_is_left_a_reader_passes) {
  KeyedFixture at;
  for (int i = 0; i < 10; ++i) at.add({{.key = "a", .value = std::string(400, 'x')}});
  at.add({{.key = "a", .value = {}}});
  at.sort();
  at.wall_ms += day_ms;
  // Of this partition's segments nothing stays.
  for (int i = 0; i < 3; ++i) at.add({{.key = "a", .value = {}}});
  at.sort();
  at.wall_ms += day_ms;
  at.add({{.key = "b", .value = {}}});
  at.sort();
  at.wall_ms += day_ms;
  at.add({{.key = "b", .value = std::string(400, 'y')}});
  at.sort();
  at.wall_ms += day_ms;
  at.add({{.key = "c", .value = {}}});
  at.settle();
  for (base::Offset from = 0; from <= at.end; ++from) {
    const auto found = at.records_from(from);
    for (const auto& [offset, record] : found) EXPECT_TRUE(offset >= 15 || offset < from);
    EXPECT_EQ(found.contains(15), from <= 15) << from;
    EXPECT_EQ(found.contains(16), from <= 16) << from;
  }
}

// No CRC of a batch covers its offset, and among gaps nothing follows from the batch before.
TEST(CompactorByKey, an_offset_that_rotted_into_a_gap_is_not_copied) {
  KeyedFixture at;
  for (int i = 0; i < 10; ++i) at.add({{.key = "a", .value = std::string(400, 'x')}});
  at.sort();
  const auto& files = at.log->store().files();
  const auto sparse = std::ranges::find_if(
      files, [](const SegmentFile& file) { return file.segments.at(0).is_sparse(); });
  ASSERT_NE(sparse, files.end());
  const std::uint64_t number = sparse->header.number;
  at.disk.flip_bit(segment_file_name(number), sparse->segments.at(0).position + 7, 0);  // 9 is 8
  for (int i = 0; i < 20; ++i) at.add({{.key = "b", .value = std::string(400, 'x')}});
  at.sort();
  ASSERT_TRUE(at.error.has_value());
  EXPECT_EQ(at.error->code(), base::ErrorCode::corrupt);
  EXPECT_NE(at.error->message().find(segment_file_name(number)), std::string::npos);
  EXPECT_NE(at.log->store().find(number), nullptr);
}

TEST(CompactorByKey, more_keys_than_there_is_memory_for_are_done_bit_by_bit) {
  LogOptions options = compacting_options();
  options.compactor.keys_max = 10;
  KeyedFixture at(options);
  std::mt19937_64 random(3);
  for (int file = 0; file < 12; ++file) {
    for (int i = 0; i < 20; ++i) at.add(some_records(random, 30));
    at.sort();
    const auto found = at.records_from(0);
    for (const auto& [offset, record] : at.last()) EXPECT_TRUE(found.contains(offset)) << offset;
  }
  EXPECT_LT(at.records_from(0).size(), at.all.size());
}

TEST(CompactorByKey, what_is_much_is_written_in_several_files) {
  LogOptions options = compacting_options();
  options.compactor.compacted_bytes_max = 10'000;
  KeyedFixture at(options);
  std::mt19937_64 random(6);
  for (int file = 0; file < 30; ++file) {
    for (int i = 0; i < 10; ++i) at.add(some_records(random, 400));
    at.sort();
    const auto found = at.records_from(0);
    for (const auto& [offset, record] : at.last()) ASSERT_TRUE(found.contains(offset)) << offset;
  }
  EXPECT_LT(at.records_from(0).size(), at.all.size() * 3 / 4);
  at.reopen();
  const auto found = at.records_from(0);
  for (const auto& [offset, record] : at.last()) ASSERT_TRUE(found.contains(offset)) << offset;
}

TEST(CompactorByKey, makes_room_on_a_disk_that_is_low) {
  LogOptions options = compacting_options();
  options.sorter.reserve_bytes = 20 * base::mib;
  KeyedFixture at(options);
  at.log->set_retention(at.slot(at.id), {});
  for (int i = 0; i < 40; ++i) at.add({{.key = "a", .value = std::string(400'000, 'x')}});
  at.sort();
  std::uint64_t used = 0;
  const std::vector<std::string> names = at.disk.list().value();
  for (const std::string& name : names) used += at.disk.size(at.disk.open(name).value()).value();
  at.disk.set_capacity(used + 19 * base::mib);
  at.now_ns += 1'000'000'000;
  at.sort();
  ASSERT_TRUE(at.log->is_disk_low());
  at.keep_last();
  at.sort();
  at.now_ns += 1'000'000'000;
  at.sort();
  EXPECT_FALSE(at.log->is_disk_low());
  at.expect_records(at.last());
}

TEST(CompactorByKey, a_tombstone_stays_as_long_as_what_it_deletes) {
  LogOptions options = compacting_options();
  options.compactor.keys_max = 4;
  KeyedFixture at(options);
  const auto fill = [](std::size_t bytes) { return std::string(bytes, 'y'); };
  at.add({{.key = "a", .value = fill(9)},
          {.key = "b", .value = fill(9)},
          {.key = "c", .value = fill(9)},
          {.key = "d", .value = fill(9)}});
  at.add({{.key = "x", .value = fill(9)}});
  at.add({{.key = "x", .value = {}}});
  at.sort();
  for (std::size_t bytes = 400; bytes < 10'000; bytes *= 2) {
    at.wall_ms += 2 * day_ms;
    at.add({{.key = "a", .value = fill(bytes)}});
    at.sort();
    const auto found = at.records_from(0);
    EXPECT_TRUE(found.contains(5) || !found.contains(4)) << bytes;
  }
  at.add({{.key = "x", .value = fill(20'000)}});
  at.sort();
  const auto found = at.records_from(0);
  EXPECT_FALSE(found.contains(4) || found.contains(5));
}

TEST(CompactorByKey, what_rotten_meta_knew_of_partitions_is_learned_from_the_segments) {
  KeyedFixture at;
  for (int i = 0; i < 3; ++i) {
    at.add({{.key = "a", .value = std::string(400, 'x')}});
    at.add({{.key = "b" + std::to_string(i), .value = std::string(400, 'y')}});
    at.sort();
  }
  // The journal has come round and knows nothing of it.
  for (int i = 0; i < 16; ++i) {
    at.append_durably(1, 900'000);
    at.sort();
  }
  auto before = at.records_from(0);
  // Those that were sorted know the partition; what was compacted by key only holds it.
  std::erase_if(before, [end = at.log->store().files()[0].segments.begin()->end_offset](
                            const auto& record) { return record.first >= end; });
  ASSERT_FALSE(before.empty());
  for (const SegmentFile& file : at.log->store().files()) {
    if (file.header.from == file.header.to) continue;
    for (const std::uint32_t copy : {0U, 1U}) {
      at.disk.flip_bit(segment_file_name(file.header.number), file.header.meta_at(copy) + 10, 1);
    }
  }
  at.reopen();
  const auto found = at.records_from(0);
  for (const auto& [offset, record] : before) EXPECT_TRUE(found.contains(offset)) << offset;
}

TEST(CompactorByKey, a_crash_at_any_step_loses_no_key) {
  bool finished = false;
  for (int steps = 1; !finished; ++steps) {
    ASSERT_LT(steps, 300);
    KeyedFixture at;
    std::mt19937_64 random(4);
    for (int i = 0; i < 10; ++i) at.add(some_records(random, 10));
    at.sort();
    for (int i = 0; i < 20; ++i) at.add(some_records(random, 10));
    at.log->take_messages();
    int idle = 0;
    for (int i = 0; i < steps && idle < 3; ++i) idle = at.keep_house() ? 0 : idle + 1;
    finished = idle == 3;
    at.reopen();
    const auto found = at.records_from(0);
    for (const auto& [offset, record] : at.last()) {
      ASSERT_TRUE(found.contains(offset)) << offset << " after " << steps << " steps";
    }
    at.sort();
    at.expect_records(at.last());
  }
}

TEST(CompactorByKey, a_batch_that_is_being_read_begins_again_when_it_changes) {
  KeyedFixture at;
  const auto fill = [](char c) { return std::string(300, c); };
  at.add({{.key = "a", .value = fill('1')}, {.key = "b", .value = fill('1')}});
  at.sort();
  Log::Cursor cursor = at.log->cursor_at(at.slot(at.id), 0);
  Log::Slice slice;
  ASSERT_EQ(at.read(at.id, cursor, slice, 400), Status::ready);
  at.log->advance(cursor, slice);
  ASSERT_EQ(cursor.skip_bytes, 400U);
  at.add({{.key = "a", .value = fill('2')}, {.key = "c", .value = fill('2')}});
  at.sort();
  ASSERT_EQ(at.read(at.id, cursor, slice), Status::ready);
  EXPECT_EQ(slice.skip_bytes, 0U);
  EXPECT_EQ(slice.base_offset, 0);
  EXPECT_EQ(BatchView(slice.bytes).record_count(), 1);
}

TEST(CompactorByKey, a_partition_that_keeps_all_again_loses_nothing_more) {
  KeyedFixture at;
  std::mt19937_64 random(5);
  for (int i = 0; i < 20; ++i) at.add(some_records(random, 10));
  at.sort();
  const auto left = at.records_from(0);
  at.log->set_retention(at.slot(at.id), {});
  const base::Offset from = at.end;
  for (int i = 0; i < 50; ++i) at.add(some_records(random, 10));
  at.sort();
  EXPECT_EQ(at.records_from(0).size(), left.size() + static_cast<std::size_t>(at.end - from));
}

TEST(CompactorByKey, what_cannot_be_told_apart_stays_whole) {
  KeyedFixture at;
  std::vector<std::byte> buffer(1000);
  for (const std::int16_t attributes : {std::int16_t{0x01}, std::int16_t{0x20}}) {
    for (int i = 0; i < 2; ++i) {
      BatchBuilder builder(buffer);
      ASSERT_TRUE(builder.add("k", "v", 5));
      const auto batch = builder.finish(base::no_producer_id, -1, -1);
      base::store_be(batch.data() + batch_field::attributes, attributes);
      base::store_be(batch.data() + batch_field::crc,
                     crc32c(std::span<const std::byte>(batch).subspan(21)));
      at.log->append_batch(at.slot(at.id), batch, true);
      ++at.end;
    }
  }
  at.settle();
  at.sort();
  Log::Cursor cursor = at.log->cursor_at(at.slot(at.id), 0);
  for (base::Offset offset = 0; offset < at.end; ++offset) {
    Log::Slice slice;
    ASSERT_EQ(at.read(at.id, cursor, slice), Status::ready);
    EXPECT_EQ(slice.base_offset, offset);
    at.log->advance(cursor, slice);
  }
}

}  // namespace
}  // namespace millrace::storage

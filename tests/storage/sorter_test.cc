#include "storage/sorter.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "storage/segment_reader.h"
#include "tests/storage/log_fixture.h"

namespace millrace::storage {
namespace {

using Status = Log::ReadStatus;

std::vector<std::string> segment_names(LogFixture& at) {
  auto names = at.disk.list().value();
  std::erase_if(names, [](const std::string& name) { return !name.starts_with("segment-"); });
  std::ranges::sort(names);
  return names;
}

// Batches of three partitions in turn, durable.
void append_three(LogFixture& at, int rounds, std::size_t bytes) {
  for (int i = 0; i < rounds; ++i)
    for (std::uint32_t partition = 1; partition <= 3; ++partition)
      at.append(partition, bytes + static_cast<std::size_t>(i) % 50);
  at.settle();
}

void expect_three(LogFixture& at) {
  for (std::uint32_t partition = 1; partition <= 3; ++partition) {
    at.expect_readable(partition);
    EXPECT_FALSE(at.log->partition(at.slot(partition)).damaged);
  }
}

TEST(Sorter, what_is_sorted_is_read_as_it_was_written) {
  LogFixture at(sorting_log_options());
  append_three(at, 500, 700);
  at.sort();
  EXPECT_EQ(segment_names(at).size(), 1U);
  EXPECT_EQ(at.log->partition(at.slot(1)).journal_start, 500);
  expect_three(at);
  append_three(at, 20, 300);  // the newest are the journal's
  expect_three(at);
  for (const base::Offset from : {1, 250, 499, 500, 510}) at.expect_readable(2, from);
  at.expect_readable(3, 0, 100);  // in pieces
}

TEST(Sorter, what_is_sorted_is_there_after_a_start_and_after_a_crash) {
  LogFixture at(sorting_log_options());
  append_three(at, 300, 900);
  at.sort();
  append_three(at, 10, 900);
  at.close_and_open();
  expect_three(at);
  append_three(at, 10, 900);
  at.crash_and_open();
  expect_three(at);
  at.sort();
  EXPECT_EQ(segment_names(at).size(), 2U);
  at.crash_and_open();
  expect_three(at);
}

TEST(Sorter, gives_the_journal_room_again_and_again) {
  LogFixture at(sorting_log_options());
  for (int i = 0; i < 30; ++i) {  // of 4 MiB, and the journal has 24
    at.fill(1, 200'000, 4 * base::mib);
    at.sort();
    EXPECT_LT(at.log->journal().used_bytes(), 5 * base::mib);
  }
  at.expect_readable(1);
  at.close_and_open();
  at.expect_readable(1);
}

TEST(Sorter, is_not_full_while_it_can_sort) {
  LogOptions options = sorting_log_options();
  options.sorter.start_bytes = 8 * base::mib;
  LogFixture at(options);
  while (at.log->append_room_bytes() >= 900'000) at.append_durably(1, 900'000);
  EXPECT_FALSE(at.log->full());
  at.sort();
  EXPECT_GE(at.log->append_room_bytes(), 900'000U);
  at.expect_readable(1);
}

TEST(Sorter, may_begin_before_the_first_turn_of_the_log) {
  LogFixture at(sorting_log_options());
  append_three(at, 100, 700);
  at.sort();
  at.close_and_open();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(at.log->keep_house(at.now_ns, 0).has_value());
  append_three(at, 100, 700);
  at.sort();
  expect_three(at);
}

TEST(Sorter, a_crash_between_sorting_and_trimming_does_not_leave_the_journal_full) {
  LogFixture at(sorting_log_options());
  while (at.log->append_room_bytes() >= 200'200) at.append_durably(1, 200'000);
  at.log->take_messages();
  for (int i = 0; segment_names(at).empty(); ++i) {
    ASSERT_LT(i, 1000);
    ASSERT_TRUE(at.log->keep_house(at.now_ns, 0).has_value());
  }
  // What is left to be sorted is not enough to begin with.
  at.options.sorter.start_bytes = 22 * base::mib;
  at.crash_and_open();
  at.sort();
  EXPECT_GE(at.log->append_room_bytes(), 200'200U);
  at.append_durably(1, 200'000);
  at.expect_readable(1);
}

TEST(Sorter, a_crash_at_any_step_loses_nothing_and_doubles_nothing) {
  bool finished = false;
  for (int steps = 1; !finished; ++steps) {
    ASSERT_LT(steps, 200);
    LogFixture at(sorting_log_options());
    append_three(at, 400, 2000);
    at.log->take_messages();
    int idle = 0;
    for (int i = 0; i < steps && idle < 3; ++i) idle = at.keep_house() ? 0 : idle + 1;
    finished = idle == 3;
    at.crash_and_open();
    expect_three(at);
    append_three(at, 5, 2000);
    at.sort();
    expect_three(at);
    EXPECT_FALSE(at.disk.exists(unfinished_segment_name));
  }
}

TEST(Sorter, deleted_partitions_are_not_written_and_their_files_go) {
  LogFixture at(sorting_log_options());
  append_three(at, 300, 1000);
  at.log->remove_partition(at.slot(2));
  at.written.erase(2);
  at.sort();
  const auto sorted = at.disk.size(at.disk.open(segment_names(at).at(0)).value()).value();
  EXPECT_LT(sorted, 2 * 300 * 1200U + 200'000);
  at.expect_readable(1);
  at.expect_readable(3);
  for (const std::uint32_t partition : {1U, 3U}) at.log->remove_partition(at.slot(partition));
  at.written.clear();
  at.append_durably(4, 100);
  at.sort();
  EXPECT_EQ(segment_names(at).size(), 1U);
  EXPECT_FALSE(at.disk.exists(segment_file_name(1)));
  at.expect_readable(4);
  at.close_and_open();
  at.expect_readable(4);
}

TEST(Sorter, a_file_is_not_given_up_while_it_is_being_read) {
  LogFixture at(sorting_log_options());
  at.fill(1, 50'000, base::mib);
  at.sort();
  at.append_durably(2, 100);
  at.sort();
  Log::Cursor cursor = at.log->cursor_at(at.slot(1), 0);
  Log::Slice slice;
  at.disk.hold(true);
  EXPECT_EQ(at.log->read(at.slot(1), cursor, 1000, slice), Status::pending);
  at.log->remove_partition(at.slot(1));
  for (int i = 0; i < 20; ++i) {
    static_cast<void>(at.log->keep_house(at.now_ns, 0));
    at.log->take_messages();
  }
  EXPECT_TRUE(at.disk.exists(segment_file_name(1)));
  at.disk.hold(false);
  at.settle();
  at.sort();
  EXPECT_FALSE(at.disk.exists(segment_file_name(1)));
}

TEST(Sorter, what_a_pass_has_taken_is_no_longer_free_for_others) {
  LogFixture at(sorting_log_options());
  at.disk.set_capacity(200 * base::mib);
  at.fill(1, 50'000, 2 * base::mib);
  for (int i = 0; i < 100 && !at.disk.exists(unfinished_segment_name); ++i) at.keep_house();
  ASSERT_TRUE(at.disk.exists(unfinished_segment_name)) << at.error.has_value();
  EXPECT_EQ(at.log->sorter_link().free_bytes.get(), at.disk.space()->free_bytes);
}

TEST(Sorter, a_time_is_found_in_a_segment) {
  LogFixture at(sorting_log_options());
  for (int i = 0; i < 600; ++i) at.append(7, 500);  // times 1000, 1001, ...
  at.settle();
  at.sort();
  for (int i = 0; i < 10; ++i) at.append(7, 500);
  for (const std::int64_t wanted : {0, 1000, 1001, 1377, 1599, 1600, 1605}) {
    Log::Cursor cursor = at.log->cursor_at_time(at.slot(7), wanted);
    Log::Slice slice;
    ASSERT_EQ(at.read(7, cursor, slice), Status::ready);
    EXPECT_EQ(slice.base_offset, std::max<std::int64_t>(wanted - 1000, 0));
  }
  EXPECT_EQ(at.log->cursor_at_time(at.slot(7), 1610).offset, 610);
}

TEST(Sorter, a_time_before_the_start_of_the_log_is_found_at_its_start) {
  LogFixture at(sorting_log_options());
  for (int i = 0; i < 600; ++i) at.append(7, 500);  // times 1000, 1001, ...
  at.settle();
  at.sort();
  at.log->delete_records(at.slot(7), 300);
  for (const std::int64_t wanted : {0, 1000, 1299, 1300, 1301}) {
    Log::Cursor cursor = at.log->cursor_at_time(at.slot(7), wanted);
    Log::Slice slice;
    ASSERT_EQ(at.read(7, cursor, slice), Status::ready) << wanted;
    EXPECT_EQ(slice.base_offset, std::max<std::int64_t>(wanted - 1000, 300));
  }
}

TEST(Sorter, a_time_that_was_only_before_the_start_of_the_log_is_looked_for_further_on) {
  LogFixture at(sorting_log_options());
  const auto append_at = [&](std::int64_t time_ms) {
    std::vector<std::byte> buffer(4096);
    BatchBuilder builder(buffer);
    ASSERT_TRUE(builder.add(std::nullopt, std::string_view("value"), time_ms));
    at.log->append_batch(at.slot(7), builder.finish(base::no_producer_id, -1, -1), true);
    at.settle();
  };
  // Two segments, then the journal.
  for (const std::int64_t time_ms : {9000, 1000, 1001}) append_at(time_ms);
  at.sort();
  for (const std::int64_t time_ms : {1002, 5000, 1003}) append_at(time_ms);
  at.sort();
  for (const std::int64_t time_ms : {1004, 7000, 1005}) append_at(time_ms);
  at.log->delete_records(at.slot(7), 1);
  for (const auto& [wanted, offset] : {std::pair{1000, 1}, {4000, 4}, {5001, 7}}) {
    Log::Cursor cursor = at.log->cursor_at_time(at.slot(7), wanted);
    const base::Offset told = cursor.asked_offset();
    Log::Slice slice;
    ASSERT_EQ(at.read(7, cursor, slice), Status::ready) << wanted;
    EXPECT_EQ(slice.base_offset, offset) << wanted;
    // Whoever was told where it begins knows what was passed over.
    EXPECT_EQ(slice.asked_offset, told) << wanted;
  }
  Log::Cursor cursor = at.log->cursor_at_time(at.slot(7), 8000);
  const base::Offset told = cursor.asked_offset();
  Log::Slice slice;
  EXPECT_EQ(at.read(7, cursor, slice), Status::at_end);
  append_at(9001);
  ASSERT_EQ(at.read(7, cursor, slice), Status::ready);
  EXPECT_EQ(slice.base_offset, 9);
  EXPECT_EQ(slice.asked_offset, told);
}

TEST(Sorter, the_index_leads_to_a_batch_without_reading_the_segment) {
  LogFixture at(sorting_log_options());
  at.fill(1, 1000, 3 * base::mib);
  at.sort();
  at.close_and_open();
  const std::uint64_t before = at.disk.reads();
  Log::Cursor cursor = at.log->cursor_at(at.slot(1), 2500);
  Log::Slice slice;
  ASSERT_EQ(at.read(1, cursor, slice), Status::ready);
  EXPECT_EQ(slice.base_offset, 2500);
  EXPECT_LE(at.disk.reads() - before, 3U);  // index, batch, and what follows it
}

TEST(Sorter, a_rotten_index_leads_astray_and_is_done_without) {
  LogFixture at(sorting_log_options());
  at.fill(1, 1000, 2 * base::mib);
  at.sort();
  const std::string name = segment_names(at).at(0);
  const SegmentFile file = at.log->store().files().at(0);
  ASSERT_GT(file.segments.at(0).index_count, 10U);
  const std::uint64_t index = index_at(file.header, file.segments.at(0));
  for (std::uint32_t i = 0; i < file.segments.at(0).index_count; ++i) {
    at.disk.flip_bit(name, index + i * sizeof(IndexEntry) + 1, 2);
  }
  for (const base::Offset from : {0, 900, 1500}) at.expect_readable(1, from);
  at.disk.make_unreadable(name, index);
  at.expect_readable(1, 1000);
}

TEST(Sorter, a_rotten_batch_is_refused_and_those_around_it_are_read) {
  LogFixture at(sorting_log_options());
  at.fill(1, 20'000, base::mib);
  at.sort();
  const SegmentFile file = at.log->store().files().at(0);
  at.disk.flip_bit(segment_names(at).at(0), file.segments.at(0).position + 5 * 20'073 + 9000, 3);
  for (base::Offset offset = 0; offset < 20; ++offset) {
    Log::Cursor cursor = at.log->cursor_at(at.slot(1), offset);
    Log::Slice slice;
    const Status status = at.read(1, cursor, slice);
    EXPECT_EQ(status, offset == 5 ? Status::damaged : Status::ready) << offset;
  }
}

// A batch's CRC does not cover its offset.
TEST(Sorter, a_batch_whose_offset_has_rotted_is_refused) {
  LogFixture at(sorting_log_options());
  for (std::int32_t i = 0; i < 3; ++i) {
    std::vector<std::byte> buffer(2000);
    BatchBuilder builder(buffer);
    for (int record = 0; record < 10; ++record) {
      ASSERT_TRUE(builder.add(std::nullopt, std::string_view("value"), 1000));
    }
    at.log->append_batch(at.slot(1), builder.finish(9, 0, 10 * i), true);
    at.settle();
  }
  at.sort();
  const SegmentFile file = at.log->store().files().at(0);
  const SegmentEntry& segment = file.segments.at(0);
  SegmentStore store(at.disk, at.log->store().journal_seed());
  const std::uint64_t second = segment.position + segment.bytes / 3;
  at.disk.flip_bit(segment_names(at).at(0), second + 7, 1);  // 10 becomes 8
  for (const auto& [offset, wanted] :
       {std::pair{base::Offset{0}, Status::ready}, std::pair{base::Offset{10}, Status::damaged},
        std::pair{base::Offset{15}, Status::damaged},
        std::pair{base::Offset{20}, Status::damaged}}) {
    Log::Cursor cursor = at.log->cursor_at(at.slot(1), offset);
    Log::Slice slice;
    EXPECT_EQ(at.read(1, cursor, slice), wanted) << offset;
  }
  // Nor is it copied into another file.
  SegmentReader reader(at.disk, store, file);
  EXPECT_TRUE(reader.batch_at(segment, segment.position));
  EXPECT_FALSE(reader.batch_at(segment, second));
}

TEST(Sorter, a_batch_beside_an_unreadable_block_is_read_after_one_within_it_was_refused) {
  LogFixture at(sorting_log_options());
  for (int i = 0; i < 100; ++i) at.append_durably(1, 300);
  at.sort();
  at.disk.make_unreadable(segment_names(at).at(0), 2 * block_bytes);
  std::vector<Status> found;
  base::Offset first_bad = 0;
  for (base::Offset offset = 0; offset < 100; ++offset) {
    Log::Cursor cursor = at.log->cursor_at(at.slot(1), offset);
    Log::Slice slice;
    found.push_back(at.read(1, cursor, slice));
    if (first_bad == 0 && found.back() != Status::ready) first_bad = offset;
  }
  ASSERT_GT(first_bad, 1);
  EXPECT_EQ(found[static_cast<std::size_t>(first_bad)], Status::damaged);
  Log::Cursor cursor = at.log->cursor_at(at.slot(1), first_bad - 1);
  Log::Slice slice;
  EXPECT_EQ(at.read(1, cursor, slice), Status::ready);
}

TEST(Sorter, either_copy_of_the_meta_and_of_the_header_is_enough) {
  LogFixture at(sorting_log_options());
  append_three(at, 200, 1000);
  at.sort();
  const std::string name = segment_names(at).at(0);
  const SegmentFileHeader header = at.log->store().files().at(0).header;
  for (const std::uint64_t place : {std::uint64_t{20}, header.meta_at(0) + 40,
                                    header.meta_at(1) + 40, header.meta_at(2) + 20}) {
    at.disk.flip_bit(name, place, 1);
    at.close_and_open();
    expect_three(at);
    EXPECT_TRUE(at.log->store().broken().empty());
    at.disk.flip_bit(name, place, 1);
  }
}

TEST(Sorter, a_file_that_cannot_be_told_of_damages_what_it_held_and_nothing_else) {
  LogFixture at(sorting_log_options());
  append_three(at, 100, 1000);
  at.sort();
  at.fill(2, 1000, 100'000);
  at.sort();
  append_three(at, 10, 500);
  at.sort();
  ASSERT_EQ(segment_names(at).size(), 3U);
  at.disk.flip_bit(segment_file_name(2), 0, 0);
  const auto bytes = at.disk.size(at.disk.open(segment_file_name(2)).value()).value();
  at.disk.flip_bit(segment_file_name(2), bytes - block_bytes, 0);
  at.close_and_open();
  EXPECT_EQ(at.log->store().broken(), std::vector<std::string>{segment_file_name(2)});
  at.expect_readable(1);
  at.expect_readable(3);
  const auto& hit = at.log->partition(at.slot(2));
  EXPECT_TRUE(hit.damaged);
  EXPECT_EQ(hit.damage_first, 100);
  EXPECT_EQ(hit.damage_last, 199);
  Log::Cursor cursor = at.log->cursor_at(at.slot(2), 150);
  Log::Slice slice;
  EXPECT_EQ(at.read(2, cursor, slice), Status::damaged);
  cursor = at.log->cursor_at(at.slot(2), 205);
  EXPECT_EQ(at.read(2, cursor, slice), Status::ready);
  EXPECT_TRUE(at.disk.exists(segment_file_name(2)));
}

TEST(Sorter, without_the_newest_files_whatever_they_may_have_held_is_called_damaged) {
  LogFixture at(sorting_log_options());
  append_three(at, 100, 1000);
  at.sort();
  // Enough that the journal's files are used again.
  for (int i = 0; i < 2; ++i) {
    at.fill(2, 500'000, 4 * base::mib);
    at.sort();
  }
  at.fill(2, 500'000, 4 * base::mib);
  at.sort();
  const auto names = segment_names(at);
  for (auto name = names.begin() + 1; name != names.end(); ++name) {
    const auto bytes = at.disk.size(at.disk.open(*name).value()).value();
    for (const std::uint64_t place : {std::uint64_t{0}, bytes - block_bytes})
      at.disk.flip_bit(*name, place, 0);
  }
  at.close_and_open();
  for (std::uint32_t partition = 1; partition <= 3; ++partition)
    EXPECT_TRUE(at.log->partition(at.slot(partition)).damaged);
}

TEST(Sorter, rot_in_the_journal_found_by_the_sorter_is_named_and_stays_named) {
  LogFixture at(sorting_log_options());
  append_three(at, 50, 3000);
  const auto lost = at.append_durably(2, 3000);
  append_three(at, 50, 3000);
  ASSERT_TRUE(at.in_tail(lost));
  at.disk.flip_bit(LogFixture::file_of(lost.position), lost.position % small_file_bytes + 1000, 4);
  at.sort();
  at.expect_readable(1);
  at.expect_readable(3);
  for (int start = 0; start < 3; ++start) {
    const auto& hit = at.log->partition(at.slot(2));
    EXPECT_TRUE(hit.damaged);
    EXPECT_EQ(hit.damage_first, lost.offset);
    EXPECT_EQ(hit.damage_last, lost.offset);
    Log::Cursor cursor = at.log->cursor_at(at.slot(2), lost.offset);
    Log::Slice slice;
    EXPECT_EQ(at.read(2, cursor, slice), Status::damaged);
    cursor = at.log->cursor_at(at.slot(2), lost.offset + 1);
    EXPECT_EQ(at.read(2, cursor, slice), Status::ready);
    at.crash_and_open();
  }
}

TEST(Sorter, rot_that_takes_a_partitions_last_batch_does_not_give_its_offset_to_another) {
  LogFixture at(sorting_log_options());
  append_three(at, 50, 3000);
  const auto lost = at.append_durably(2, 3000);
  for (int i = 0; i < 10; ++i) at.append_durably(1, 3000);
  // In the entry's header, so that nothing says whose it was.
  at.disk.flip_bit(LogFixture::file_of(lost.position), lost.position % small_file_bytes - 20, 4);
  at.sort();
  for (int start = 0; start < 3; ++start) {
    const auto& hit = at.log->partition(at.slot(2));
    EXPECT_TRUE(hit.damaged);
    EXPECT_EQ(hit.damage_first, lost.offset);
    EXPECT_GE(hit.log_end, lost.offset + 1);
    at.crash_and_open();
  }
}

TEST(Sorter, remembers_the_last_batches_of_producers) {
  class Observer final : public RecoveryVisitor {
   public:
    void on_batch(base::PartitionId, base::Position, const BatchView&) override { ++batches; }
    void on_damage(const base::PartitionId*, base::Position, base::Position) override {}
    void on_progress(std::uint64_t, std::uint64_t) override {}
    void on_producer(const ProducerState& producer) override { producers.push_back(producer); }
    std::vector<ProducerState> producers;
    int batches = 0;
  } observer;
  LogFixture at(sorting_log_options());
  for (int i = 0; i < 9; ++i) at.append_durably(1, 100);  // make_batch: sequence i
  at.sort();
  at.observer = &observer;
  at.crash_and_open();
  EXPECT_EQ(observer.batches, 0);
  ASSERT_EQ(observer.producers.size(), 1U);
  const ProducerState& producer = observer.producers[0];
  EXPECT_EQ(producer.producer_id, 9);
  EXPECT_EQ(producer.partition, 1U);
  ASSERT_EQ(producer.batch_count, 5);
  EXPECT_EQ(producer.batches[0].base_sequence, 4);
  EXPECT_EQ(producer.batches[4].last_sequence, 8);
  EXPECT_EQ(producer.batches[4].base_offset, 8);
}

TEST(Sorter, what_cannot_be_written_makes_the_log_full_until_it_can) {
  LogOptions options = sorting_log_options();
  options.sorter.start_bytes = 8 * base::mib;
  LogFixture at(options);
  while (at.log->append_room_bytes() >= 900'000) at.append_durably(1, 900'000);
  at.disk.fail_creates(true);
  at.sort();
  ASSERT_TRUE(at.error.has_value());
  EXPECT_EQ(at.error->code(), base::ErrorCode::no_space);
  EXPECT_TRUE(at.log->full());
  EXPECT_FALSE(at.disk.exists(unfinished_segment_name));
  at.expect_readable(1);
  at.disk.fail_creates(false);
  at.now_ns += 2'000'000'000;
  at.sort();
  EXPECT_FALSE(at.log->full());
  EXPECT_GE(at.log->append_room_bytes(), 900'000U);
  at.expect_readable(1);
}

TEST(Sorter, keeps_some_of_the_disk_free) {
  LogOptions options = sorting_log_options();
  options.sorter.reserve_bytes = 10 * base::mib;
  LogFixture at(options);
  append_three(at, 300, 3000);
  const DiskSpace before = at.disk.space().value();
  const std::uint64_t used = before.total_bytes - before.free_bytes;
  const auto leave_free = [&](std::uint64_t bytes) {
    at.disk.set_capacity(used + bytes);
    at.now_ns += 200'000'000;
    at.sort();
  };
  leave_free(9 * base::mib + small_file_bytes);
  EXPECT_FALSE(at.log->is_disk_low());
  EXPECT_EQ(segment_names(at).size(), 1U);
  append_three(at, 300, 3000);
  leave_free(8 * base::mib);
  EXPECT_TRUE(at.log->is_disk_low());
  EXPECT_EQ(segment_names(at).size(), 1U);
  leave_free(14 * base::mib);  // with what the segment takes too little more
  EXPECT_TRUE(at.log->is_disk_low());
  leave_free(20 * base::mib);
  EXPECT_FALSE(at.log->is_disk_low());
  EXPECT_EQ(segment_names(at).size(), 2U);
  expect_three(at);
}

TEST(Sorter, no_file_goes_before_it_is_durable_that_it_may) {
  LogFixture at(sorting_log_options());
  append_three(at, 100, 1000);
  at.sort();
  at.append_durably(4, 100);
  at.sort();
  for (std::uint32_t partition = 1; partition <= 3; ++partition)
    at.log->delete_records(at.slot(partition), 100);
  at.disk.hold(true);
  for (int i = 0; i < 30; ++i) {
    static_cast<void>(at.log->keep_house(at.now_ns, 0));
    at.log->take_messages();
    at.log->journal().submit_writes(at.now_ns += 10'000);
  }
  EXPECT_TRUE(at.disk.exists(segment_file_name(1)));
  at.disk.hold(false);
  at.settle();
  at.sort();
  EXPECT_FALSE(at.disk.exists(segment_file_name(1)));
}

TEST(Sorter, the_oldest_files_go_where_a_node_may_hold_no_more) {
  LogOptions options = sorting_log_options();
  options.compactor.bytes_max = 3 * base::mib;
  LogFixture at(options);
  for (int i = 0; i < 6; ++i) {
    append_three(at, 100, 3000);
    at.sort();
  }
  at.settle();
  at.sort();
  std::uint64_t bytes = 0;
  for (const std::string& name : segment_names(at))
    bytes += at.disk.size(at.disk.open(name).value()).value();
  EXPECT_LE(bytes, 3 * base::mib);
  for (std::uint32_t partition = 1; partition <= 3; ++partition) {
    const auto& log = at.log->partition(at.slot(partition));
    EXPECT_GE(log.log_start, 200);
    EXPECT_LT(log.log_start, 500);
    at.expect_readable(partition, log.log_start);
  }
  at.crash_and_open();
  for (std::uint32_t partition = 1; partition <= 3; ++partition)
    EXPECT_FALSE(at.log->partition(at.slot(partition)).damaged);
}

TEST(Sorter, what_was_deleted_is_not_written_again) {
  LogFixture at(sorting_log_options());
  append_three(at, 300, 1000);
  for (std::uint32_t partition = 1; partition <= 3; ++partition)
    at.log->delete_records(at.slot(partition), 290);
  at.sort();
  EXPECT_LT(at.disk.size(at.disk.open(segment_names(at).at(0)).value()).value(), 100'000U);
  for (std::uint32_t partition = 1; partition <= 3; ++partition) {
    at.expect_readable(partition, 290);
    EXPECT_EQ(at.log->partition(at.slot(partition)).log_start, 290);
  }
}

TEST(Sorter, segments_that_a_gap_makes_more_of_are_reckoned_with) {
  LogOptions options = sorting_log_options();
  options.segments_max = 0;
  options.partitions_max = 2;  // so many nodes there are
  LogFixture at(options);
  at.append_durably(1, 3000);
  at.sort();
  at.append_durably(2, 3000);
  const auto lost = at.append_durably(2, 3000);
  at.append_durably(2, 3000);
  at.disk.flip_bit(LogFixture::file_of(lost.position), lost.position % small_file_bytes + 1000, 4);
  at.sort();
  ASSERT_TRUE(at.error.has_value());
  EXPECT_EQ(at.error->code(), base::ErrorCode::no_space);
  EXPECT_EQ(at.log->store().files().size(), 1U);
}

TEST(Sorter, a_quiet_time_empties_the_journal_pass_by_pass) {
  LogOptions options = sorting_log_options();
  options.sorter.start_bytes = 12 * base::mib;
  options.sorter.is_paced = true;
  LogFixture at(options);
  at.fill(1, 200'000, 10 * base::mib);
  at.sort();
  EXPECT_TRUE(segment_names(at).empty());
  at.now_ns += options.sorter.quiet_ns;
  at.append_durably(1, 200'000);  // it is not quiet yet
  at.sort();
  EXPECT_TRUE(segment_names(at).empty());
  at.now_ns += options.sorter.quiet_ns;
  at.sort();  // without a rest, though only a third is full
  EXPECT_EQ(segment_names(at).size(), 2U);
  EXPECT_LT(at.log->journal().used_bytes(), small_file_bytes);
  at.expect_readable(1);
}

TEST(Sorter, leaves_the_device_time_the_more_the_emptier_the_journal_is) {
  const auto looks_that_worked = [](bool is_paced, std::uint64_t bytes) {
    LogOptions options = sorting_log_options();
    options.sorter.is_paced = is_paced;
    LogFixture at(options);
    at.fill(1, 200'000, bytes);
    at.log->take_messages();
    int worked = 0;
    for (int look = 0; look < 4; ++look) {
      worked += at.log->keep_house(at.now_ns += 1'000'000, 0).value() ? 1 : 0;
      at.log->take_messages();
    }
    return worked;
  };
  const std::uint64_t little = 6 * base::mib;  // of 24
  const std::uint64_t much = 20 * base::mib;
  EXPECT_LT(looks_that_worked(true, little), looks_that_worked(false, little));
  EXPECT_EQ(looks_that_worked(true, much), looks_that_worked(false, much));
}

}  // namespace
}  // namespace millrace::storage

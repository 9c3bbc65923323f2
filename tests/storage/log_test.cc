#include "storage/log.h"

#include <gtest/gtest.h>

#include "tests/storage/log_fixture.h"

namespace millrace::storage {
namespace {

using Status = Log::ReadStatus;
using Bytes = std::vector<std::byte>;

Bytes bytes_of(const Log::Slice& slice) { return {slice.bytes, slice.bytes + slice.byte_count}; }

TEST(Log, what_was_just_appended_is_read_from_the_tail_before_it_is_durable) {
  LogFixture at;
  const std::uint64_t reads_before = at.disk.reads();
  for (int i = 0; i < 40; ++i) at.append(7, 100 + static_cast<std::size_t>(i) * 50);
  EXPECT_EQ(at.log->durable_position(), 0U);
  at.expect_readable(7);
  at.expect_readable(7, 25);
  EXPECT_EQ(at.pending_count, 0U);
  EXPECT_EQ(at.disk.reads(), reads_before);
}

TEST(Log, partitions_number_their_records_each_on_its_own) {
  LogFixture at;
  for (int i = 0; i < 9; ++i) {
    EXPECT_EQ(at.append(1, 50).offset, i);
    EXPECT_EQ(at.append(2, 60).offset, i);
  }
  at.expect_readable(1);
  at.expect_readable(2);
}

TEST(Log, a_batch_is_read_in_parts_no_larger_than_asked_for) {
  LogFixture at;
  at.append(7, 100'000);
  at.append(7, 100);
  at.append(7, 4096);
  at.expect_readable(7, 0, 1400);
}

TEST(Log, the_past_comes_from_the_disk_byte_for_byte_once_the_tail_has_come_round) {
  LogFixture at;
  at.fill(7, 60'000, 13ULL << 20);
  ASSERT_FALSE(at.in_tail(at.written[7].front()));
  ASSERT_TRUE(at.in_tail(at.written[7].back()));
  at.expect_readable(7);
  EXPECT_GT(at.pending_count, 0U);
  EXPECT_FALSE(at.log->reading());
  // One read brings several batches.
  EXPECT_LT(at.log->reads_completed(), at.written[7].size() / 2);
}

TEST(Log, the_largest_batches_come_back_from_the_disk_wherever_they_begin_in_a_block) {
  LogFixture at;
  for (std::size_t i = 0; i < 11; ++i) {
    at.append_durably(7, batch_bytes_max - 100 - i * 700);
    at.append_durably(8, 300 + i * 611);
  }
  ASSERT_FALSE(at.in_tail(at.written[7].front()));
  at.expect_readable(7);
  at.expect_readable(8);
  at.expect_readable(7, 0, 256 * 1024);
}

TEST(Log, a_read_of_the_past_is_pending_until_the_disk_answers) {
  LogFixture at;
  at.fill(7, 60'000, 10ULL << 20);
  Log::Cursor cursor = at.log->cursor_at(at.slot(7), 0);
  Log::Slice slice;
  at.disk.hold(true);
  EXPECT_EQ(at.log->read(at.slot(7), cursor, 1000, slice), Status::pending);
  EXPECT_TRUE(at.log->reading());
  at.turn();
  EXPECT_EQ(at.log->read(at.slot(7), cursor, 1000, slice), Status::pending);
  EXPECT_EQ(at.disk.in_flight(), 1U);  // asking again starts no second read
  const std::uint64_t before = at.log->reads_completed();
  at.disk.hold(false);
  at.turn();
  EXPECT_EQ(at.log->reads_completed(), before + 1);
  ASSERT_EQ(at.log->read(at.slot(7), cursor, 1000, slice), Status::ready);
  EXPECT_EQ(bytes_of(slice),
            Bytes(at.written[7][0].bytes.begin(), at.written[7][0].bytes.begin() + 1000));
}

TEST(Log, beside_appends_one_read_of_the_past_is_under_way_at_a_time) {
  LogFixture at;
  at.fill(7, 60'000, 11ULL << 20);
  const auto reads_of = [&at](std::initializer_list<std::size_t> batches) {
    at.disk.hold(true);
    const std::size_t before = at.disk.in_flight();
    for (const std::size_t batch : batches) {
      Log::Cursor cursor = at.log->cursor_at(at.slot(7), at.written[7][batch].offset);
      Log::Slice slice;
      EXPECT_EQ(at.log->read(at.slot(7), cursor, 1000, slice), Status::pending);
    }
    const std::size_t started = at.disk.in_flight() - before;
    at.disk.hold(false);
    for (int i = 0; i < 10; ++i) at.turn();
    return started;
  };
  // Only when nothing was written beside a whole read there are more.
  EXPECT_EQ(reads_of({0, 3, 6}), 1U);
  EXPECT_EQ(reads_of({9, 12, 15}), 1U);
  EXPECT_EQ(reads_of({18, 21}), 2U);
  at.append(7, 100);
  at.disk.hold(true);
  at.turn();
  ASSERT_TRUE(at.log->journal().write_in_flight());
  EXPECT_EQ(reads_of({27, 30, 33}), 1U);
}

TEST(Log, everything_is_read_again_after_a_restart_and_offsets_go_on) {
  LogFixture at;
  at.fill(7, 60'000, 10ULL << 20);
  at.fill(8, 900, 20'000);
  at.close_and_open();
  at.expect_readable(7);
  at.expect_readable(8);
  const auto next = static_cast<base::Offset>(at.written[8].size());
  EXPECT_EQ(at.append(8, 100).offset, next);
  at.settle();
  at.crash_and_open();
  at.expect_readable(7);
  at.expect_readable(8);
}

TEST(Log, a_crash_keeps_what_was_durable_and_offsets_go_on_from_there) {
  LogFixture at;
  at.append_durably(7, 500);
  at.append_durably(7, 700);
  at.append(7, 900);  // never submitted
  at.crash_and_open();
  at.written[7].pop_back();
  at.expect_readable(7);
  EXPECT_EQ(at.log->partition(at.slot(7)).durable_end, 2);
  EXPECT_EQ(at.append(7, 100).offset, 2);
}

TEST(Log, durable_end_follows_the_device_and_not_the_append) {
  LogFixture at;
  at.append(7, 100);
  at.log->refresh_durable_end(at.slot(7));
  EXPECT_EQ(at.log->partition(at.slot(7)).durable_end, 0);
  at.settle();
  at.log->refresh_durable_end(at.slot(7));
  EXPECT_EQ(at.log->partition(at.slot(7)).durable_end, 1);
}

TEST(Log, cursors_outside_the_log_are_told_so) {
  LogFixture at;
  at.append(7, 100);
  Log::Slice slice;
  Log::Cursor at_end = at.log->cursor_at(at.slot(7), 1);
  EXPECT_EQ(at.log->read(at.slot(7), at_end, 1000, slice), Status::at_end);
  Log::Cursor beyond{5, 0, {}};
  EXPECT_EQ(at.log->read(at.slot(7), beyond, 1000, slice), Status::out_of_range);
  Log::Cursor past_the_batch{0, 100'000, {}};
  EXPECT_EQ(at.log->read(at.slot(7), past_the_batch, 1000, slice), Status::out_of_range);
  EXPECT_EQ(at.log->cursor_at(at.slot(7), 99).offset, 1);
}

TEST(Log, a_cursor_at_a_time_stands_at_the_first_batch_that_is_new_enough) {
  LogFixture at;
  for (int i = 0; i < 100; ++i) at.append(7, 50);  // times 1000, 1001, ...
  EXPECT_EQ(at.log->cursor_at_time(at.slot(7), 0).offset, 0);
  EXPECT_EQ(at.log->cursor_at_time(at.slot(7), 1042).offset, 42);
  EXPECT_EQ(at.log->cursor_at_time(at.slot(7), 1099).offset, 99);
  EXPECT_EQ(at.log->cursor_at_time(at.slot(7), 1100).offset, 100);
  at.settle();
  at.close_and_open();
  EXPECT_EQ(at.log->cursor_at_time(at.slot(7), 1042).offset, 42);
}

// --- removing ---

TEST(Log, the_space_of_a_removed_partition_is_used_again) {
  LogFixture at;
  at.append_durably(1, 1000);
  // Twice round the ring of 24 MiB, one partition at a time.
  for (std::uint32_t partition = 10; partition < 22; ++partition) {
    at.fill(partition, 900'000, 4ULL << 20);
    at.expect_readable(partition);
    if (partition == 10) at.log->remove_partition(at.slot(1));
    at.log->remove_partition(at.slot(partition));
    at.log->trim_journal();
    at.turn();
    at.turn();
    EXPECT_EQ(at.log->slot_of(base::PartitionId{partition}), Log::none);
  }
  EXPECT_LT(at.log->journal().used_bytes(), 13ULL << 20);
  at.append_durably(40, 5000);
  at.crash_and_open();
  at.expect_readable(40);
}

TEST(Log, a_partition_that_stays_keeps_the_journal_from_being_trimmed) {
  LogFixture at;
  at.append_durably(1, 1000);
  for (std::uint32_t partition = 10; !at.log->full(); ++partition) {
    ASSERT_LT(partition, 30U);
    for (int i = 0; i < 5 && !at.log->full(); ++i) at.append_durably(partition, 900'000);
    at.log->remove_partition(at.slot(partition));
    at.log->trim_journal();
    at.turn();
    at.turn();
  }
  at.expect_readable(1);
  at.log->remove_partition(at.slot(1));
  at.log->trim_journal();
  at.turn();
  at.turn();
  EXPECT_FALSE(at.log->full());
}

TEST(Log, slots_are_found_through_any_order_of_making_and_removing) {
  LogFixture at;
  std::set<std::uint32_t> there;
  std::mt19937 random(4);
  for (int step = 0; step < 5000; ++step) {
    const std::uint32_t id = random() % 40;
    if (there.contains(id)) {
      at.log->remove_partition(at.log->slot_of(base::PartitionId{id}));
      there.erase(id);
    } else {
      const auto slot = at.log->create_partition(base::PartitionId{id});
      ASSERT_EQ(slot == Log::none, there.size() == 16) << "step " << step;
      if (slot != Log::none) there.insert(id);
    }
    for (std::uint32_t each = 0; each < 40; ++each) {
      const auto slot = at.log->slot_of(base::PartitionId{each});
      ASSERT_EQ(slot != Log::none, there.contains(each)) << "step " << step;
      ASSERT_TRUE(slot == Log::none || base::raw(at.log->partition(slot).id) == each);
    }
  }
}

TEST(Log, what_the_catalog_does_not_name_is_dropped) {
  LogFixture at;
  at.append_durably(1, 1000);
  at.append_durably(2, 1000);
  at.close_and_open();
  at.log->set_in_catalog(at.slot(2));
  at.log->drop_uncatalogued();
  EXPECT_EQ(at.log->slot_of(base::PartitionId{1}), Log::none);
  at.expect_readable(2);
  at.append_durably(2, 10);
  at.expect_readable(2);
}

TEST(Log, a_full_index_is_full_and_removing_a_partition_empties_it) {
  LogOptions options = small_log_options();
  options.index_chunks_max = 3;
  LogFixture at(options);
  std::uint32_t appended = 0;
  while (!at.log->full()) {
    ASSERT_LT(appended, 100U);
    at.append_durably(7, 100);
    ++appended;
  }
  EXPECT_EQ(appended, 2 * BatchIndex::entries_per_chunk + 1);  // asked before each batch
  at.expect_readable(7);
  at.log->remove_partition(at.slot(7));
  EXPECT_FALSE(at.log->full());
}

TEST(Log, more_deleted_partitions_than_slots_are_an_error_that_names_the_fix) {
  LogFixture at;
  at.append_durably(1, 100);  // keeps the journal from being trimmed
  for (std::uint32_t partition = 10; partition < 30; ++partition) {
    at.append_durably(partition, 100);
    at.log->remove_partition(at.slot(partition));
  }
  at.disk.crash();
  ASSERT_FALSE(at.try_open());
  EXPECT_NE(at.error->message().find("--max-partitions"), std::string::npos);
  at.options.partitions_max = 64;
  at.open();
  at.expect_readable(1);
}

// --- lending ---

TEST(Log, tail_memory_that_was_lent_is_not_overwritten_until_it_is_consumed) {
  LogFixture at;
  at.append_durably(7, 1000);
  Log::Cursor cursor = at.log->cursor_at(at.slot(7), 0);
  Log::Slice slice;
  ASSERT_EQ(at.log->read(at.slot(7), cursor, 2000, slice), Status::ready);
  ASSERT_EQ(slice.buffer, Log::none);
  const Bytes lent = bytes_of(slice);
  at.log->lend(slice, 3, 5);
  while (at.log->append_room_bytes() > 500'000) {
    at.append_durably(8, 400'000);
    at.log->set_consumed(3, 4);
  }
  EXPECT_EQ(bytes_of(slice), lent);
  EXPECT_FALSE(at.log->full());
  at.log->set_consumed(3, 5);
  EXPECT_GT(at.log->append_room_bytes(), 500'000U);
  at.append_durably(8, 900'000);
  EXPECT_NE(bytes_of(slice), lent);
}

TEST(Log, tail_memory_is_kept_from_the_moment_it_is_lent) {
  LogFixture at;
  at.append_durably(7, 1000);
  Log::Cursor cursor = at.log->cursor_at(at.slot(7), 0);
  Log::Slice slice;
  ASSERT_EQ(at.log->read(at.slot(7), cursor, 2000, slice), Status::ready);
  const Bytes lent = bytes_of(slice);
  at.log->lend(slice, 0, 1);
  while (at.log->append_room_bytes() > 300'000) at.append_durably(8, 290'000);
  EXPECT_EQ(bytes_of(slice), lent);
}

TEST(Log, a_reader_that_is_never_idle_still_lets_the_tail_move_on) {
  LogFixture at;
  at.append_durably(7, 1000);
  std::uint64_t mark = 0;
  Log::Cursor cursor = at.log->cursor_at(at.slot(7), 0);
  for (int i = 0; i < 40; ++i) {
    Log::Slice slice;
    ASSERT_EQ(at.log->read(at.slot(7), cursor, batch_bytes_max, slice), Status::ready);
    ASSERT_EQ(slice.buffer, Log::none) << "the reader fell behind the tail";
    const Bytes expected = at.written[7].at(static_cast<std::size_t>(i)).bytes;
    at.log->lend(slice, 0, ++mark);
    at.log->advance(cursor, slice);
    ASSERT_GE(at.log->append_room_bytes(), 400'000U) << i;
    at.append_durably(7, 390'000);
    EXPECT_EQ(bytes_of(slice), expected);
    at.log->set_consumed(0, mark - 1);  // one is always outstanding
  }
}

TEST(Log, a_buffer_that_was_lent_is_not_read_into_until_it_is_consumed) {
  LogFixture at;  // two buffers
  at.fill(7, 200'000, 12ULL << 20);
  Log::Slice first, second, third;
  Log::Cursor one = at.log->cursor_at(at.slot(7), 0);
  Log::Cursor two = at.log->cursor_at(at.slot(7), 4);
  Log::Cursor three = at.log->cursor_at(at.slot(7), 8);
  ASSERT_EQ(at.read(7, one, first), Status::ready);
  at.log->lend(first, 0, 1);
  ASSERT_EQ(at.read(7, two, second), Status::ready);
  at.log->lend(second, 1, 1);
  ASSERT_NE(first.buffer, second.buffer);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(at.log->read(at.slot(7), three, batch_bytes_max, third), Status::pending);
    EXPECT_FALSE(at.log->reading());
    at.turn();
  }
  EXPECT_EQ(bytes_of(first), at.written[7][0].bytes);
  EXPECT_EQ(bytes_of(second), at.written[7][4].bytes);
  at.log->set_consumed(0, 1);
  ASSERT_EQ(at.read(7, three, third), Status::ready);
  EXPECT_EQ(third.buffer, first.buffer);
  EXPECT_EQ(bytes_of(third), at.written[7][8].bytes);
  EXPECT_EQ(bytes_of(second), at.written[7][4].bytes);
}

// --- damage ---

void rot(LogFixture& at, base::Position position) {
  at.disk.flip_bit(LogFixture::file_of(position), position % small_file_bytes, 3);
}

TEST(Log, a_partition_with_a_hole_is_refused_from_the_hole_on_and_others_are_not) {
  LogFixture at;
  for (int i = 0; i < 3; ++i) {
    at.append_durably(1, 500);
    at.append_durably(2, 600);
  }
  rot(at, at.written[1][1].position + 300);
  at.crash_and_open();
  const auto& damaged = at.log->partition(at.slot(1));
  EXPECT_TRUE(damaged.damaged);
  EXPECT_EQ(damaged.damage_first, 1);
  EXPECT_EQ(damaged.damage_last, 1);
  EXPECT_EQ(damaged.log_end, 3);
  EXPECT_FALSE(at.log->partition(at.slot(2)).damaged);
  at.expect_readable(2);
  Log::Cursor cursor = at.log->cursor_at(at.slot(1), 0);
  Log::Slice slice;
  ASSERT_EQ(at.read(1, cursor, slice), Status::ready);
  EXPECT_EQ(bytes_of(slice), at.written[1][0].bytes);
  at.log->advance(cursor, slice);
  EXPECT_EQ(at.read(1, cursor, slice), Status::damaged);
  Log::Cursor inside{1, 0, {}};
  EXPECT_EQ(at.read(1, inside, slice), Status::damaged);
}

TEST(Log, damage_of_unknown_reach_marks_those_that_no_later_batch_clears) {
  LogFixture at;
  at.append_durably(1, 500);
  at.append_durably(2, 500);
  const auto lost = at.append_durably(3, 500);
  at.append_durably(2, 500);
  // The entry's header: whose batch it was is not known.
  rot(at, lost.position - entry_header_bytes + 8);
  at.crash_and_open();
  EXPECT_TRUE(at.log->partition(at.slot(1)).damaged);
  EXPECT_FALSE(at.log->partition(at.slot(2)).damaged);
  at.expect_readable(2);
  EXPECT_TRUE(at.log->partition(at.slot(3)).damaged) << "its only batch was the one that is lost";
  at.log->set_in_catalog(at.slot(2));
  at.log->drop_uncatalogued();
  EXPECT_FALSE(at.log->partition(at.slot(4)).damaged) << "made after all the old ones were named";
}

TEST(Log, a_wide_read_that_fails_is_narrowed_to_the_batch) {
  LogFixture at;
  at.fill(7, 30'000, 10ULL << 20);
  const auto& bad = at.written[7][3];
  at.disk.make_unreadable("journal-0000", base::align_down(bad.position + 10'000, block_bytes));
  Log::Cursor cursor = at.log->cursor_at(at.slot(7), 0);
  for (std::size_t i = 0; i < 6; ++i) {
    Log::Slice slice;
    const Status status = at.read(7, cursor, slice);
    if (i == 3) {
      EXPECT_EQ(status, Status::damaged);
      cursor = at.log->cursor_at(at.slot(7), 4);
      continue;
    }
    ASSERT_EQ(status, Status::ready) << i;
    EXPECT_EQ(bytes_of(slice), at.written[7][i].bytes);
    at.log->advance(cursor, slice);
  }
}

TEST(Log, a_read_that_is_to_be_narrowed_keeps_its_place_while_others_go_first) {
  LogFixture at;
  at.fill(7, 30'000, 10ULL << 20);
  const auto& bad = at.written[7][3];
  at.disk.make_unreadable("journal-0000", base::align_down(bad.position + 10'000, block_bytes));
  Log::Cursor cursor = at.log->cursor_at(at.slot(7), 3);
  Log::Slice slice;
  const auto ask = [&] { return at.log->read(at.slot(7), cursor, batch_bytes_max, slice); };
  ASSERT_EQ(ask(), Status::pending);
  at.turn();
  Log::Cursor other = at.log->cursor_at(at.slot(7), 30);
  Log::Slice unused;
  ASSERT_EQ(at.log->read(at.slot(7), other, batch_bytes_max, unused), Status::pending);
  at.append(7, 100);
  at.log->journal().submit_writes(at.now_ns += 10'000);
  ASSERT_EQ(ask(), Status::pending);
  at.settle();
  const std::uint64_t before = at.log->reads_completed();
  EXPECT_EQ(at.read(7, cursor, slice), Status::damaged);
  EXPECT_EQ(at.log->reads_completed(), before + 1);
}

TEST(Log, rot_under_a_running_log_is_never_handed_out) {
  LogFixture at;
  at.fill(7, 30'000, 10ULL << 20);
  rot(at, at.written[7][1].position + 20'000);
  Log::Cursor cursor = at.log->cursor_at(at.slot(7), 1);
  Log::Slice slice;
  EXPECT_EQ(at.read(7, cursor, slice), Status::damaged);
  Log::Cursor next = at.log->cursor_at(at.slot(7), 2);
  ASSERT_EQ(at.read(7, next, slice), Status::ready);
  EXPECT_EQ(bytes_of(slice), at.written[7][2].bytes);
}

TEST(Log, a_log_that_failed_to_write_says_so_and_takes_no_more) {
  LogFixture at;
  at.append_durably(7, 100);
  at.disk.fail_writes(-EIO);
  at.append(7, 100);
  for (int i = 0; i < 4; ++i) at.turn();
  EXPECT_TRUE(at.log->failed());
  EXPECT_EQ(at.log->append_room_bytes(), 0U);
}

// By chance: several partitions, sizes, restarts and crashes; whatever was durable is read back.
TEST(Log, random_appends_and_restarts_lose_nothing_durable) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    LogFixture at;
    std::uint64_t bytes_left = 18ULL << 20;
    while (bytes_left > 0) {
      const std::size_t bytes = random() % 8 == 0 ? random() % 900'000 : random() % 9000;
      const auto partition = static_cast<std::uint32_t>(random() % 5);
      at.append_durably(partition, bytes);
      bytes_left -= std::min<std::uint64_t>(bytes_left, bytes + 4096);
      const auto chance = random() % 60;
      if (chance == 0) at.crash_and_open();
      if (chance == 1) at.close_and_open();
      if (chance < 4) at.expect_readable(partition, static_cast<base::Offset>(random() % 3));
    }
    for (std::uint32_t partition = 0; partition < 5; ++partition) at.expect_readable(partition);
  }
}

// --- retention ---

void expect_starts_at(LogFixture& at, std::uint32_t partition, base::Offset start) {
  const auto& log = at.log->partition(at.slot(partition));
  ASSERT_EQ(log.log_start, start);
  std::uint64_t bytes = 0;
  for (const auto& batch : at.written[partition]) {
    if (batch.offset >= start) bytes += batch.bytes.size();
  }
  EXPECT_EQ(log.bytes, bytes);
  at.expect_readable(partition, start);
  if (start == 0) return;
  Log::Cursor before = at.log->cursor_at(at.slot(partition), start - 1);
  Log::Slice slice;
  EXPECT_EQ(at.read(partition, before, slice), Status::out_of_range);
}

TEST(Log, deleted_records_are_gone_after_a_crash_too) {
  for (const bool sorted : {false, true}) {
    LogFixture at(sorting_log_options());
    for (int i = 0; i < 100; ++i) at.append(7, 2000);
    at.settle();
    if (sorted) at.sort();
    at.log->delete_records(at.slot(7), 40);
    if (!sorted) expect_starts_at(at, 7, 40);
    EXPECT_EQ(at.log->partition(at.slot(7)).log_start, 40);
    at.settle();
    at.crash_and_open();
    EXPECT_EQ(at.log->partition(at.slot(7)).log_start, 40);
    EXPECT_FALSE(at.log->partition(at.slot(7)).damaged);
    at.expect_readable(7, 40);
    at.log->delete_records(at.slot(7), 1000);  // all there are
    EXPECT_EQ(at.log->partition(at.slot(7)).log_start, 100);
    at.settle();
    at.sort();
    at.crash_and_open();
    expect_starts_at(at, 7, 100);
    EXPECT_EQ(at.append_durably(7, 100).offset, 100);
    expect_starts_at(at, 7, 100);
  }
}

TEST(Log, records_past_their_age_go_in_journal_and_segments) {
  LogFixture at(sorting_log_options());
  for (int i = 0; i < 60; ++i) at.append(7, 2000);  // times 1000, 1001, ...
  at.settle();
  at.sort();
  for (int i = 60; i < 100; ++i) at.append(7, 2000);
  at.settle();
  at.log->set_in_catalog(at.slot(7));
  at.log->retain(5000);
  EXPECT_EQ(at.log->partition(at.slot(7)).log_start, 0) << "kept for ever unless told otherwise";
  at.log->set_retention(at.slot(7), {.ms = 100});
  at.log->retain(1150);  // the segment holds one that is young enough
  EXPECT_EQ(at.log->partition(at.slot(7)).log_start, 0);
  at.log->retain(1180);
  expect_starts_at(at, 7, 80);
  at.log->retain(9999);
  expect_starts_at(at, 7, 100);
  at.settle();
  at.crash_and_open();
  expect_starts_at(at, 7, 100);
}

TEST(Log, the_oldest_batches_go_where_there_are_too_many_bytes) {
  LogFixture at(sorting_log_options());
  for (int i = 0; i < 50; ++i) at.append(7, 10'000);
  at.settle();
  at.sort();
  for (int i = 0; i < 50; ++i) at.append(7, 10'000);
  at.settle();
  at.log->set_in_catalog(at.slot(7));
  const std::uint64_t one = at.written[7][0].bytes.size();
  at.log->set_retention(at.slot(7), {.bytes = static_cast<std::int64_t>(60 * one)});
  at.log->retain(0);  // a segment goes whole or not at all
  EXPECT_EQ(at.log->partition(at.slot(7)).log_start, 0);
  at.log->set_retention(at.slot(7), {.bytes = static_cast<std::int64_t>(20 * one)});
  at.log->retain(0);
  expect_starts_at(at, 7, 80);
}

TEST(Log, many_segments_that_are_too_much_go_a_few_at_a_time) {
  LogFixture at(sorting_log_options());
  for (int i = 0; i < 40; ++i) {
    at.append_durably(7, 1000);
    at.sort();
  }
  at.log->set_in_catalog(at.slot(7));
  at.log->set_retention(at.slot(7), {.bytes = 1});
  for (const base::Offset start : {16, 32, 39}) {
    at.log->retain(0);
    expect_starts_at(at, 7, start);
  }
}

TEST(Log, retention_gives_the_journal_back_where_there_is_no_sorter) {
  LogFixture at;
  at.log->set_in_catalog(at.slot(7));
  at.log->set_retention(at.slot(7), {.bytes = 1 << 20});
  for (int i = 0; i < 100; ++i) {
    ASSERT_FALSE(at.log->full());
    at.append_durably(7, 900'000);
    at.log->retain(0);
    at.turn();
  }
  expect_starts_at(at, 7, 98);  // with one less it would not be a mebibyte
}

TEST(Log, a_full_journal_takes_the_deletion_that_makes_it_less_full) {
  LogFixture at;
  at.log->set_in_catalog(at.slot(7));
  for (std::uint64_t room = at.log->append_room_bytes(); !at.log->full();
       room = at.log->append_room_bytes()) {
    at.append_durably(7, std::min<std::uint64_t>(room - 500, 900'000));
  }
  while (at.log->append_room_bytes() > 1000) at.append_durably(7, 500);
  const base::Offset end = at.log->partition(at.slot(7)).log_end;
  at.log->delete_records(at.slot(7), end - 1);
  EXPECT_EQ(at.log->partition(at.slot(7)).log_start, end - 1);
  at.log->retain(0);
  at.settle();
  at.turn();
  at.turn();
  EXPECT_FALSE(at.log->full());
  at.append_durably(7, 900'000);
  expect_starts_at(at, 7, end - 1);
}

}  // namespace
}  // namespace millrace::storage

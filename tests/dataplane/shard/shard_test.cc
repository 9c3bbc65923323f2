#include "dataplane/shard/shard.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "dataplane/shard/shard_apply.h"
#include "tests/dataplane/shard/shard_fixture.h"

namespace millrace::shard {
namespace {

constexpr std::uint32_t plenty = 1U << 30;

TEST(Shard, an_append_is_answered_to_who_asked_with_the_offset_it_got) {
  ShardFixture at;
  const Bytes batch = make_batch(100, 0, 0, 3);
  Command command = at.append_command(batch);
  command.core = base::CoreId{1};
  command.session = 11;
  command.stream = 12;
  command.protocol = 1;
  ASSERT_TRUE(at.apply(command));
  const Event event = at.outbox.take(EventKind::appended, 1).value();
  EXPECT_EQ(event.status, Status::ok);
  EXPECT_EQ(event.session, 11U);
  EXPECT_EQ(event.stream, 12U);
  EXPECT_EQ(event.protocol, 1);
  EXPECT_EQ(event.shard, base::ShardId{3});
  EXPECT_EQ(event.partition, base::PartitionId{ShardFixture::topic});
  EXPECT_EQ(event.offset, 0);
  EXPECT_EQ(event.sequence, 2);
  EXPECT_EQ(event.offset_count, 3U);
  EXPECT_GT(event.position, at.disk_log.log->durable_position());
  at.settle();
  EXPECT_LE(event.position, at.disk_log.log->durable_position());
  EXPECT_EQ(at.append(make_batch(100, 0, 3)).offset, 3);
  EXPECT_EQ(at.shard->counters().batches_appended.get(), 2U);
  EXPECT_EQ(at.shard->counters().records_appended.get(), 4U);
}

TEST(Shard, appends_that_cannot_be_taken_are_refused_by_name) {
  ShardFixture at(2);
  EXPECT_EQ(at.append(make_batch(100, 0, 0), 99).status, Status::unknown_topic);
  Bytes flipped = make_batch(100, 0, 0);
  flipped.back() ^= std::byte{1};
  EXPECT_EQ(at.append(flipped).status, Status::corrupt);
  EXPECT_EQ(at.append(Bytes(30)).status, Status::corrupt);
  EXPECT_EQ(at.append(Bytes()).status, Status::corrupt);
  EXPECT_EQ(at.append(make_batch(100, 1, 0)).status, Status::ok);
  EXPECT_EQ(at.append(make_batch(100, 1, 5)).status, Status::out_of_order);
  EXPECT_EQ(at.append(make_batch(100, 0, 1)).status, Status::fenced);
  EXPECT_EQ(at.append(make_batch(101, 0, 0)).status, Status::ok);
  EXPECT_EQ(at.append(make_batch(102, 0, 0)).status, Status::too_many_producers);
  EXPECT_EQ(at.disk_log.log->partition(at.disk_log.slot(7)).log_end, 2);
  EXPECT_EQ(at.shard->counters().batches_refused.get(), 7U);
}

TEST(Shard, a_repeat_is_answered_with_the_first_offset_and_waits_for_the_device_like_the_first) {
  ShardFixture at;
  for (std::int32_t i = 0; i < 8; ++i) at.append(make_batch(100, 0, i));
  const Event repeated = at.append(make_batch(100, 0, 6));
  EXPECT_EQ(repeated.status, Status::duplicate);
  EXPECT_EQ(repeated.offset, 6);
  EXPECT_EQ(repeated.sequence, 6);
  EXPECT_GT(repeated.position, at.disk_log.log->durable_position());
  const Event forgotten = at.append(make_batch(100, 0, 1));
  EXPECT_EQ(forgotten.status, Status::duplicate);
  EXPECT_EQ(forgotten.offset, -1);
  at.settle();
  EXPECT_LE(repeated.position, at.disk_log.log->durable_position());
  EXPECT_LE(at.append(make_batch(100, 0, 7)).position, at.disk_log.log->durable_position());
  EXPECT_EQ(at.disk_log.log->partition(at.disk_log.slot(7)).log_end, 8);
  EXPECT_EQ(at.shard->counters().batches_duplicate.get(), 3U);
}

TEST(Shard, repeats_are_known_across_a_restart) {
  ShardFixture at;
  for (std::int32_t i = 0; i < 9; i += 3) at.append(make_batch(100, 2, i, 3));
  at.append(make_batch(101, 0, 0));
  at.settle();
  at.crash_and_start();
  const Event repeated = at.append(make_batch(100, 2, 6, 3));
  EXPECT_EQ(repeated.status, Status::duplicate);
  EXPECT_EQ(repeated.offset, 6);
  EXPECT_EQ(at.append(make_batch(100, 1, 9)).status, Status::fenced);
  const Event opened = at.open(100, 2);
  EXPECT_EQ(opened.sequence, 8);
  EXPECT_EQ(opened.log_end, 10);
  EXPECT_EQ(at.append(make_batch(100, 2, 9)).offset, 10);
  EXPECT_EQ(at.append(make_batch(101, 0, 1)).offset, 11);
}

TEST(Shard, an_append_without_journal_room_is_left_and_taken_later) {
  ShardFixture at;
  at.disk_log.disk.hold(true);
  const Bytes large = make_batch(base::no_producer_id, -1, -1, 1, 900'000);
  const Command command = at.append_command(large);
  int taken = 0;
  while (at.apply(command)) {
    ASSERT_LT(++taken, 20);
    at.turn();
  }
  EXPECT_GT(taken, 4);
  EXPECT_LT(at.shard->append_room_bytes(), large.size());
  const auto events = at.outbox.events[0].size();
  EXPECT_FALSE(at.apply(command));
  EXPECT_EQ(at.outbox.events[0].size(), events);
  EXPECT_EQ(at.disk_log.log->partition(at.disk_log.slot(7)).log_end, taken);
  at.disk_log.disk.hold(false);
  for (int i = 0; i < 20; ++i) at.turn();
  EXPECT_TRUE(at.apply(command));
  EXPECT_EQ(at.disk_log.log->partition(at.disk_log.slot(7)).log_end, taken + 1);
}

TEST(Shard, a_command_whose_answer_has_no_room_is_left_and_changes_nothing) {
  ShardFixture at;
  at.append_next();
  const Bytes batch = make_batch(100, 0, 0);
  at.outbox.capacity = 0;
  EXPECT_FALSE(at.apply(at.append_command(batch)));
  Command read{.kind = CommandKind::read, .byte_count = 1000};
  read.partition = base::PartitionId{ShardFixture::topic};
  EXPECT_FALSE(at.apply(read));
  at.outbox.capacity = 1;
  EXPECT_EQ(at.append(batch).status, Status::ok);
  EXPECT_TRUE(at.apply(read));
}

TEST(Shard, a_full_journal_refuses_by_name_and_takes_again_what_deletion_made_room_for) {
  ShardFixture at;
  at.change(TopicChange::created, 8);
  Event event;
  for (int i = 0; i < 100 && event.status == Status::ok; ++i) {
    event = at.append(make_batch(base::no_producer_id, -1, -1, 1, 900'000), 8);
    at.settle();
  }
  EXPECT_EQ(event.status, Status::journal_full);
  EXPECT_EQ(at.shard->counters().refused_full.get(), 1U);
  EXPECT_EQ(at.shard->append_room_bytes(), ~0ULL) << "refusals need no room";
  at.change(TopicChange::deleted, 8);
  for (int i = 0; i < 4; ++i) at.turn();
  EXPECT_EQ(at.append_next(1, 900'000).status, Status::ok);
}

TEST(Shard, a_failed_device_refuses_by_name_and_what_is_in_memory_is_still_read) {
  ShardFixture at;
  at.append_next();
  at.settle();
  at.disk_log.disk.fail_writes(-EIO);
  at.append_next();
  for (int i = 0; i < 4; ++i) at.turn();
  EXPECT_EQ(at.append(make_batch(100, 0, 0)).status, Status::storage_failed);
  const Event subscribed = at.subscribe(StartAt::earliest);
  at.credit(subscribed.subscription, plenty, 0);
  EXPECT_EQ(at.receive(subscribed.subscription), at.written);
}

TEST(Shard, durability_is_announced_once_to_every_core_and_late_where_there_was_no_room) {
  ShardFixture at;
  at.append_next();
  at.shard->push_events();
  EXPECT_FALSE(at.outbox.take(EventKind::durable).has_value());
  at.settle();
  const auto durable = at.disk_log.log->durable_position();
  for (std::uint32_t core = 0; core < 2; ++core) {
    const auto event = at.outbox.take(EventKind::durable, core);
    ASSERT_TRUE(event.has_value());
    EXPECT_EQ(event->position, durable);
    EXPECT_EQ(event->shard, base::ShardId{3});
  }
  at.shard->push_events();
  EXPECT_TRUE(at.outbox.events[0].empty());
  const std::size_t normal = at.outbox.capacity;
  at.append_next();
  at.outbox.capacity = 0;
  at.settle();
  EXPECT_TRUE(at.outbox.events[1].empty());
  at.disk_log.append(ShardFixture::topic, 100);
  at.settle();
  at.outbox.capacity = normal;
  at.shard->push_events();
  EXPECT_EQ(at.outbox.take(EventKind::durable, 1)->position, at.disk_log.log->durable_position());
  EXPECT_TRUE(at.outbox.events[1].empty());
}

// --- opening and reading ---

TEST(Shard, open_tells_where_producer_and_log_stand) {
  ShardFixture at;
  EXPECT_EQ(at.open(100, 0, 99).status, Status::unknown_topic);
  Event opened = at.open(100, 3);
  EXPECT_EQ(opened.status, Status::ok);
  EXPECT_EQ(opened.sequence, -1);
  EXPECT_EQ(opened.log_end, 0);
  EXPECT_EQ(opened.partition_count, 4);
  at.append(make_batch(100, 3, 0, 5));
  opened = at.open(100, 2);
  EXPECT_EQ(opened.status, Status::fenced);
  EXPECT_EQ(opened.producer_epoch, 3);
  opened = at.open(100, 3);
  EXPECT_EQ(opened.sequence, 4);
  EXPECT_EQ(opened.log_end, 5);
  EXPECT_EQ(at.open(base::no_producer_id, 0).status, Status::ok);
}

Event read(ShardFixture& at, base::Offset offset, std::uint32_t skip_bytes, std::uint32_t limit) {
  Command command{.kind = CommandKind::read, .byte_count = limit};
  command.partition = base::PartitionId{ShardFixture::topic};
  command.offset = offset;
  command.skip_bytes = skip_bytes;
  command.token = 0xabcdef;
  EXPECT_TRUE(at.apply(command));
  for (int i = 0; i < 20 && at.outbox.events[0].empty(); ++i) at.turn();
  return at.outbox.take(EventKind::batch).value();
}

TEST(Shard, a_read_answers_a_range_of_one_batch) {
  ShardFixture at;
  at.append_next(2);
  at.append_next(10, 300);
  const Event event = read(at, 2, 100, 1000);
  EXPECT_EQ(event.status, Status::ok);
  EXPECT_EQ(event.token, 0xabcdefU);
  EXPECT_EQ(event.subscription, 0U);
  EXPECT_EQ(event.skip_bytes, 100U);
  EXPECT_EQ(event.byte_count, 1000U);
  EXPECT_EQ(event.batch_bytes, at.written[1].size());
  EXPECT_TRUE(std::equal(event.bytes, event.bytes + 1000, at.written[1].begin() + 100));
  EXPECT_EQ(read(at, 99, 0, 10).status, Status::offset_out_of_range);
  const Event inside = read(at, 3, 0, 10);  // of the batch that begins at 2
  EXPECT_EQ(inside.status, Status::ok);
  EXPECT_EQ(inside.offset, 2);
  EXPECT_EQ(read(at, 3, 5, 10).status, Status::offset_out_of_range);
}

TEST(Shard, reads_of_the_past_are_answered_when_the_disk_has_them) {
  ShardFixture at;
  for (int i = 0; i < 12; ++i) {
    at.append_next(1, 900'000);
    at.settle();
  }
  at.outbox = TestOutbox();
  Command command{.kind = CommandKind::read, .byte_count = 1000};
  command.partition = base::PartitionId{ShardFixture::topic};
  for (int i = 0; i < 400; ++i) {  // more than can wait: the rest is forgotten
    command.token = static_cast<std::uint64_t>(i);
    command.skip_bytes = static_cast<std::uint32_t>(i);
    ASSERT_TRUE(at.apply(command));
  }
  EXPECT_FALSE(at.outbox.take(EventKind::batch).has_value());
  for (int i = 0; i < 3; ++i) at.turn();
  std::uint64_t answered = 0;
  while (const auto event = at.outbox.take(EventKind::batch)) {
    EXPECT_EQ(event->token, answered++);
    EXPECT_TRUE(std::equal(event->bytes, event->bytes + event->byte_count,
                           at.written[0].begin() + event->skip_bytes));
  }
  EXPECT_EQ(answered, 256U);
}

// --- subscriptions ---

TEST(Shard, a_subscription_starts_where_it_was_asked_to) {
  ShardFixture at;
  for (int i = 0; i < 10; ++i) at.append_next(3, 50, 1000 + i);
  EXPECT_EQ(at.subscribe(StartAt::earliest).offset, 0);
  EXPECT_EQ(at.subscribe(StartAt::latest).offset, 30);
  EXPECT_EQ(at.subscribe(StartAt::offset, 15).offset, 15);
  EXPECT_EQ(at.subscribe(StartAt::offset, 16).offset, 16);
  EXPECT_EQ(at.subscribe(StartAt::offset, 30).offset, 30);
  EXPECT_EQ(at.subscribe(StartAt::time, 1004).offset, 12);
  EXPECT_EQ(at.subscribe(StartAt::time, 5000).offset, 30);
  EXPECT_EQ(at.subscribe(StartAt::offset, 31).status, Status::offset_out_of_range);
  EXPECT_EQ(at.subscribe(StartAt::offset, -1).status, Status::offset_out_of_range);
  EXPECT_EQ(at.subscribe(StartAt::earliest, 0, 5, 99).status, Status::unknown_topic);
  EXPECT_EQ(at.shard->subscription_count(), 7U);
}

TEST(Shard, a_log_that_starts_within_a_batch_is_read_from_that_batch_on) {
  ShardFixture at;
  for (int i = 0; i < 10; ++i) at.append_next(3, 50, 1000 + i);
  at.shard->delete_records(base::PartitionId{ShardFixture::topic}, 16);
  const Event subscribed = at.subscribe(StartAt::earliest);
  EXPECT_EQ(subscribed.offset, 16);
  EXPECT_EQ(at.subscribe(StartAt::offset, 15).status, Status::offset_out_of_range);
  at.credit(subscribed.subscription, 1'000'000, 16);
  const auto events = at.receive(subscribed.subscription);
  ASSERT_EQ(events.size(), 5U);
  EXPECT_EQ(storage::BatchView(events[0].data()).base_offset(), 15);
  EXPECT_EQ(at.subscribe(StartAt::time, 1000).offset, 16);
  EXPECT_EQ(read(at, 15, 0, 10).status, Status::ok) << "a piece that was lost on its way";
  EXPECT_EQ(read(at, 12, 0, 10).status, Status::offset_out_of_range);
}

TEST(Shard, a_disk_that_is_nearly_full_refuses_appends_by_name) {
  ShardFixture at(16, 16, storage::sorting_log_options());
  at.append_next(1);
  at.disk_log.disk.set_capacity(0);
  at.disk_log.keep_house();
  EXPECT_EQ(at.append(make_batch(base::no_producer_id, -1, -1)).status, Status::disk_full);
  EXPECT_EQ(at.subscribe(StartAt::earliest).status, Status::ok);
  at.disk_log.disk.set_capacity(1ULL << 40);
  at.disk_log.now_ns += base::second_ns;
  at.disk_log.keep_house();
  EXPECT_EQ(at.append(make_batch(base::no_producer_id, -1, -1)).status, Status::ok);
}

TEST(Shard, more_subscriptions_than_the_pool_are_refused_until_one_closes) {
  ShardFixture at(16, 2);
  const Event first = at.subscribe(StartAt::latest);
  at.subscribe(StartAt::latest);
  EXPECT_EQ(at.subscribe(StartAt::latest).status, Status::too_many_subscriptions);
  at.close(first.subscription);
  const Event again = at.subscribe(StartAt::latest);
  EXPECT_EQ(again.status, Status::ok);
  EXPECT_NE(again.subscription, first.subscription);
}

TEST(Shard, everything_is_pushed_as_far_as_credit_goes_and_not_a_byte_further) {
  ShardFixture at;
  for (std::uint32_t i = 0; i < 30; ++i) at.append_next(1 + i % 3, 100 * i);
  const Event subscribed = at.subscribe(StartAt::earliest);
  const std::uint32_t id = subscribed.subscription;
  EXPECT_TRUE(at.receive(id).empty()) << "without credit";
  std::size_t total = 0;
  for (const Bytes& batch : at.written) total += batch.size();
  Bytes all;
  std::uint64_t given = 0;
  for (std::uint32_t bytes = 1; all.size() < total; bytes = bytes * 2 + 1) {
    at.credit(id, bytes, at.next_offset, at.next_skip_bytes);
    given += std::min<std::uint64_t>(bytes, total - given);
    at.turn();
    while (const auto event = at.outbox.take(EventKind::batch)) {
      EXPECT_EQ(event->session, 5U);
      EXPECT_EQ(event->stream, 6U);
      EXPECT_EQ(event->protocol, 1);
      EXPECT_EQ(event->log_end, at.disk_log.log->partition(at.disk_log.slot(7)).log_end);
      all.insert(all.end(), event->bytes, event->bytes + event->byte_count);
      const bool whole = event->skip_bytes + event->byte_count == event->batch_bytes;
      at.next_offset = event->offset + (whole ? event->offset_count : 0);
      at.next_skip_bytes = whole ? 0 : event->skip_bytes + event->byte_count;
    }
    ASSERT_EQ(all.size(), given);
  }
  Bytes expected;
  for (const Bytes& batch : at.written) expected.insert(expected.end(), batch.begin(), batch.end());
  EXPECT_EQ(all, expected);
  EXPECT_EQ(at.shard->counters().bytes_delivered.get(), total);
  EXPECT_EQ(at.shard->counters().batches_delivered.get(), 30U);
}

TEST(Shard, credit_from_an_earlier_place_sends_from_there_again) {
  ShardFixture at;
  for (int i = 0; i < 5; ++i) at.append_next(1, 100);
  const std::uint32_t id = at.subscribe(StartAt::earliest).subscription;
  at.credit(id, plenty, 0);
  EXPECT_EQ(at.receive(id).size(), 5U);
  at.credit(id, plenty, 3);
  EXPECT_EQ(at.receive(id), (std::vector<Bytes>{at.written[3], at.written[4]}));
  at.credit(id, plenty, 77);
  at.turn();
  const auto ended = at.outbox.take(EventKind::ended);
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->status, Status::offset_out_of_range);
  EXPECT_EQ(ended->subscription, id);
}

TEST(Shard, a_waiting_subscription_gets_what_is_appended_in_the_same_turn) {
  ShardFixture at;
  const std::uint32_t id = at.subscribe(StartAt::latest).subscription;
  at.credit(id, plenty, 0);
  EXPECT_TRUE(at.receive(id).empty());
  at.append_next(2);
  at.shard->push_events();
  EXPECT_TRUE(at.outbox.take(EventKind::batch).has_value());
}

TEST(Shard, the_past_is_pushed_from_the_disk_and_the_present_behind_it) {
  ShardFixture at;
  for (int i = 0; i < 40; ++i) {
    at.append_next(1, 300'000);
    at.settle();
  }
  const std::uint32_t id = at.subscribe(StartAt::earliest).subscription;
  at.credit(id, plenty, 0);
  EXPECT_EQ(at.receive(id, 300), at.written);
  at.append_next(1, 10);
  EXPECT_EQ(at.receive(id), (std::vector<Bytes>{at.written.back()}));
}

TEST(Shard, a_full_way_out_delays_pushes_and_loses_none) {
  ShardFixture at;
  for (int i = 0; i < 50; ++i) at.append_next(1, 10);
  const std::uint32_t id = at.subscribe(StartAt::earliest).subscription;
  at.outbox.capacity = 3;
  at.credit(id, plenty, 0);
  EXPECT_EQ(at.receive(id, 60), at.written);
}

TEST(Shard, subscriptions_take_turns) {
  ShardFixture at;
  for (int i = 0; i < 300; ++i) at.append_next(1, 10);
  const std::uint32_t one = at.subscribe(StartAt::earliest).subscription;
  const std::uint32_t two = at.subscribe(StartAt::earliest).subscription;
  at.credit(one, plenty, 0);
  at.credit(two, plenty, 0);
  at.shard->push_events();
  std::map<std::uint32_t, int> pushed;
  while (const auto event = at.outbox.take(EventKind::batch)) ++pushed[event->subscription];
  EXPECT_EQ(pushed[one], 64);
  EXPECT_EQ(pushed[two], 64) << "half of a turn's 128 each";
}

TEST(Shard, only_its_own_session_moves_or_closes_a_subscription) {
  ShardFixture at;
  at.append_next();
  const std::uint32_t one = at.subscribe(StartAt::earliest, 0, 5).subscription;
  at.subscribe(StartAt::earliest, 0, 5);
  at.subscribe(StartAt::earliest, 0, 6);
  at.credit(one, plenty, 0, 0, 6);
  EXPECT_TRUE(at.receive(one).empty());
  at.close(one, 6);
  EXPECT_EQ(at.shard->subscription_count(), 3U);
  at.close(0, 5);
  EXPECT_EQ(at.shard->subscription_count(), 1U);
  at.credit(one, plenty, 0);
  EXPECT_TRUE(at.receive(one).empty()) << "its name is not another's";
}

TEST(Shard, deleting_a_topic_ends_its_subscriptions_and_forgets_its_producers) {
  ShardFixture at;
  at.append(make_batch(100, 5, 0));
  const std::uint32_t id = at.subscribe(StartAt::latest).subscription;
  at.subscribe(StartAt::latest, 0, 9);
  at.change(TopicChange::deleted);
  for (const std::uint32_t session : {9U, 5U}) {
    const auto ended = at.outbox.take(EventKind::ended);
    ASSERT_TRUE(ended.has_value());
    EXPECT_EQ(ended->status, Status::unknown_topic);
    EXPECT_EQ(ended->session, session);
  }
  EXPECT_EQ(at.shard->subscription_count(), 0U);
  EXPECT_EQ(at.append(make_batch(100, 5, 1)).status, Status::unknown_topic);
  at.change(TopicChange::deleted);  // again: nothing
  at.change(TopicChange::created);
  at.credit(id, plenty, 0);
  EXPECT_EQ(at.append(make_batch(100, 0, 0)).offset, 0);
  EXPECT_EQ(at.open(100, 0).sequence, 0);
}

TEST(Shard, a_partition_beyond_the_table_is_left_out_and_answers_that_it_is_unknown) {
  ShardFixture at;
  for (std::uint32_t partition = 100; partition < 130; ++partition) {
    at.change(TopicChange::created, partition);
  }
  EXPECT_EQ(at.append(make_batch(100, 0, 0), 129).status, Status::unknown_topic);
  EXPECT_EQ(at.append(make_batch(100, 0, 0)).status, Status::ok);
}

TEST(Shard, a_damaged_partition_refuses_appends_and_ends_readers_at_the_hole) {
  ShardFixture at;
  for (int i = 0; i < 3; ++i) {
    at.append_next(1, 400);
    at.settle();
  }
  at.disk_log.disk.flip_bit("journal-0000", 4096 + 300, 1);
  at.crash_and_start();
  EXPECT_EQ(at.append(make_batch(100, 0, 0)).status, Status::partition_damaged);
  const std::uint32_t id = at.subscribe(StartAt::earliest).subscription;
  at.credit(id, plenty, 0);
  EXPECT_EQ(at.receive(id), (std::vector<Bytes>{at.written[0]}));
  const auto ended = at.outbox.take(EventKind::ended);
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->status, Status::partition_damaged);
  EXPECT_EQ(ended->offset, 1);
  // Whoever had to forget the sound batch asks again, and is told again.
  at.credit(id, plenty, 0);
  EXPECT_EQ(at.receive(id), (std::vector<Bytes>{at.written[0]}));
  EXPECT_TRUE(at.outbox.take(EventKind::ended).has_value());
  at.close(id);
  EXPECT_EQ(at.shard->subscription_count(), 0U);
}

TEST(Shard, credit_for_a_subscription_that_is_no_more_is_answered_by_its_end) {
  ShardFixture at;
  const std::uint32_t id = at.subscribe(StartAt::earliest).subscription;
  at.close(id);
  at.credit(id, plenty, 0);
  const auto ended = at.outbox.take(EventKind::ended);
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->status, Status::unknown_topic);
  EXPECT_EQ(ended->subscription, id);
}

}  // namespace
}  // namespace millrace::shard

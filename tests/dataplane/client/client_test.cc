// Producers and subscriptions over a session, as a program sees them.
#include "dataplane/client/client.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "dataplane/base/murmur2.h"
#include "tests/dataplane/client/world.h"

namespace millrace::client {
namespace {

std::string text(std::int64_t number) { return "record " + std::to_string(number); }

void expect_in_order(const std::vector<SeenRecord>& seen, std::size_t count) {
  ASSERT_EQ(seen.size(), count);
  for (std::size_t i = 0; i < count; ++i) {
    ASSERT_EQ(seen[i].offset, static_cast<std::int64_t>(i));
    ASSERT_EQ(seen[i].value, text(static_cast<std::int64_t>(i)));
  }
}

TEST(Client, publishes_a_record_and_gets_it_back) {
  World world;
  Producer* producer = world.producer();
  ASSERT_TRUE(producer->ready());
  EXPECT_EQ(producer->offer("key", "value"), 0);
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
  mr_acks acks;
  EXPECT_EQ(producer->poll_acks(acks), 1);
  EXPECT_EQ(acks.memory, 1);
  EXPECT_EQ(acks.replicated, 1);
  EXPECT_EQ(acks.durable, 1);
  EXPECT_EQ(producer->poll_acks(acks), 0);
  world.subscribe();
  ASSERT_TRUE(world.run_until([&] { return world.seen.size() == 1; }));
  EXPECT_EQ(world.seen[0].offset, 0);
  EXPECT_EQ(world.seen[0].key, "key");
  EXPECT_EQ(world.seen[0].value, "value");
}

TEST(Client, tells_a_missing_key_and_value_from_empty_ones) {
  World world;
  Producer* producer = world.producer();
  producer->offer(std::nullopt, "");
  producer->offer("", std::nullopt);
  world.subscribe();
  ASSERT_TRUE(world.run_until([&] { return world.seen.size() == 2; }));
  EXPECT_EQ(world.seen[0].key, std::nullopt);
  EXPECT_EQ(world.seen[0].value, "");
  EXPECT_EQ(world.seen[1].key, "");
  EXPECT_EQ(world.seen[1].value, std::nullopt);
}

TEST(Client, gathers_records_into_one_batch_while_another_is_in_flight) {
  World world;
  Producer* producer = world.producer();
  producer->offer(std::nullopt, text(0));
  producer->flush();
  for (int i = 1; i < 6; ++i) producer->offer(std::nullopt, text(i));
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
  ASSERT_EQ(world.node.log("t").batches.size(), 2U);
  EXPECT_EQ(storage::BatchView(world.node.log("t").batches[1].data()).record_count(), 5);
}

TEST(Client, sends_an_unfilled_batch_when_its_linger_is_over) {
  World world;
  world.node.hold_memory = true;
  ProducerOptions options;
  options.linger_ns = 200'000;
  Producer* producer = world.producer("t", options);
  producer->offer(std::nullopt, text(0));
  producer->flush();
  producer->offer(std::nullopt, text(1));
  const std::uint64_t offered_ns = world.clock.monotonic_ns();
  ASSERT_TRUE(world.run_until([&] { return world.node.data_packets() == 2; }));
  EXPECT_GE(world.clock.monotonic_ns() - offered_ns, 200'000U);
}

TEST(Client, offers_claim_room_that_is_filled_in_place) {
  World world;
  Producer* producer = world.producer();
  void* room = nullptr;
  EXPECT_EQ(producer->claim("a", 5, &room), 0);
  EXPECT_EQ(producer->offer(std::nullopt, "between"), MR_INVALID);
  EXPECT_EQ(producer->claim("a", 5, &room), MR_INVALID);
  EXPECT_EQ(producer->abort(), MR_OK);
  EXPECT_EQ(producer->abort(), MR_INVALID);
  EXPECT_EQ(producer->claim("a", 5, &room), 0);
  std::memcpy(room, "hello", 5);
  world.run_for(100'000);  // an open claim is not sent
  EXPECT_EQ(producer->commit(), MR_OK);
  EXPECT_EQ(producer->commit(), MR_INVALID);
  world.subscribe();
  ASSERT_TRUE(world.run_until([&] { return world.seen.size() == 1; }));
  EXPECT_EQ(world.seen[0].value, "hello");
}

TEST(Client, is_pressed_back_when_its_buffers_are_full_and_goes_on_when_they_are_not) {
  World world;
  world.node.hold_durable = true;
  ProducerOptions options;
  options.buffer_bytes = 1;  // as few batches as there may be
  Producer* producer = world.producer("t", options);
  const std::string value(1000, 'x');
  std::int64_t taken = 0;
  world.run_until([&] {
    const std::int64_t result = producer->offer(std::nullopt, value);
    if (result >= 0) ++taken;
    return result == MR_BACK_PRESSURED;
  });
  EXPECT_EQ(producer->offer(std::nullopt, value), MR_BACK_PRESSURED);
  mr_acks acks;
  producer->poll_acks(acks);
  EXPECT_EQ(acks.durable, 0);
  world.node.hold_durable = false;
  EXPECT_EQ(world.offer(producer, std::nullopt, value), taken);
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
  producer->poll_acks(acks);
  EXPECT_EQ(acks.durable, taken + 1);
}

TEST(Client, releases_records_at_the_level_chosen) {
  World world;
  world.node.hold_durable = true;
  ProducerOptions options;
  options.ack = Level::memory;
  Producer* producer = world.producer("t", options);
  producer->offer(std::nullopt, text(0));
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
  mr_acks acks;
  EXPECT_EQ(producer->poll_acks(acks), 1);
  EXPECT_EQ(acks.memory, 1);
  EXPECT_EQ(acks.durable, 0);
}

TEST(Client, sends_batches_of_a_mebibyte_in_pieces) {
  World world;
  ProducerOptions options;
  options.batch_bytes = storage::batch_bytes_max;
  Producer* producer = world.producer("t", options);
  std::string value(700'000, 'v');
  for (std::size_t i = 0; i < value.size(); ++i) value[i] = static_cast<char>('a' + i % 23);
  producer->offer("big", value);
  producer->offer("big", value);
  producer->offer("small", "s");
  producer->flush();
  world.subscribe();
  ASSERT_TRUE(world.run_until([&] { return world.seen.size() == 3; }));
  EXPECT_EQ(world.seen[0].value, value);
  EXPECT_EQ(world.seen[1].value, value);
  EXPECT_EQ(world.seen[2].value, "s");
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
}

TEST(Client, takes_a_record_bigger_than_its_batches_and_refuses_one_over_a_mebibyte) {
  World world;
  Producer* producer = world.producer();
  const std::string value(1'000'000, 'w');
  EXPECT_EQ(world.offer(producer, std::nullopt, text(0)), 0);
  EXPECT_EQ(producer->offer(std::nullopt, value), 1);
  EXPECT_EQ(producer->offer(std::nullopt, std::string(1024 * 1024, 'x')), MR_TOO_LARGE);
  EXPECT_EQ(producer->offer(std::nullopt, std::string(1024 * 1024 - 62, 'x')), MR_TOO_LARGE);
  EXPECT_EQ(world.offer(producer, std::nullopt, text(2)), 2);
  world.subscribe();
  ASSERT_TRUE(world.run_until([&] { return world.seen.size() == 3 && producer->drained(); }));
  EXPECT_EQ(world.seen[1].value, value);
  EXPECT_EQ(world.seen[2].value, text(2));
}

TEST(Client, spreads_keys_over_all_partitions_as_kafka_does) {
  World world;
  world.node.add_topic("wide", 5);
  Producer* producer = world.producer("wide");
  ASSERT_TRUE(producer->ready());
  EXPECT_EQ(producer->lane_count(), 5U);
  std::array<std::int64_t, 5> expected{};
  for (int i = 0; i < 300; ++i) {
    const std::string key = "key " + std::to_string(i);
    EXPECT_EQ(world.offer(producer, key, text(i)), i);
    ++expected[base::partition_of_key(key, 5)];
    if (i % 10 == 0) world.turn();
  }
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
  for (std::uint32_t i = 0; i < 5; ++i) EXPECT_EQ(world.node.log("wide", i).end, expected[i]);
  mr_acks acks;
  producer->poll_acks(acks);
  EXPECT_EQ(acks.memory, 300);
  EXPECT_EQ(acks.durable, 300);
}

TEST(Client, opens_more_partitions_than_requests_may_be_unanswered) {
  World world;
  world.node.add_topic("wide", 100);
  Producer* producer = world.producer("wide");
  EXPECT_EQ(producer->lane_count(), 100U);
  for (int i = 0; i < 500; ++i) ASSERT_EQ(world.offer(producer, std::nullopt, text(i)), i);
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
  mr_acks acks;
  producer->poll_acks(acks);
  EXPECT_EQ(acks.durable, 500);
}

TEST(Client, tells_the_last_watermark_of_many_partitions_without_a_wait) {
  World world;
  world.node.add_topic("wide", 100);
  ProducerOptions options;
  options.ack = Level::memory;
  Producer* producer = world.producer("wide", options);
  world.node.hold_durable = true;
  for (int i = 0; i < 500; ++i) ASSERT_EQ(world.offer(producer, std::nullopt, text(i)), i);
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
  mr_acks acks{};
  producer->poll_acks(acks);
  EXPECT_EQ(acks.memory, 500);
  EXPECT_EQ(acks.durable, 0);
  world.node.hold_durable = false;
  EXPECT_TRUE(world.run_until(
      [&] {
        producer->poll_acks(acks);
        return acks.durable == 500;
      },
      100'000));
}

TEST(Client, never_reports_a_record_acknowledged_before_its_partition_has_it) {
  LineOptions line;
  line.trouble_percent = 10;
  World world(line);
  world.node.add_topic("wide", 3);
  Producer* producer = world.producer("wide");
  std::vector<std::uint32_t> lane_of;
  for (int i = 0; i < 2000; ++i) {
    const std::string key = std::to_string(i * 7919);
    ASSERT_EQ(world.offer(producer, key, text(i)), i);
    lane_of.push_back(base::partition_of_key(key, 3));
    world.turn();
    mr_acks acks;
    producer->poll_acks(acks);
    std::array<std::int64_t, 3> promised{};
    for (std::int64_t k = 0; k < acks.durable; ++k) ++promised[lane_of[static_cast<size_t>(k)]];
    for (std::uint32_t lane = 0; lane < 3; ++lane)
      ASSERT_LE(promised[lane], world.node.log("wide", lane).end);
    ASSERT_LE(acks.durable, acks.memory);
  }
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
}

TEST(Client, an_aborted_claim_holds_back_nothing) {
  World world;
  world.node.add_topic("wide", 3);
  Producer* producer = world.producer("wide");
  void* room = nullptr;
  ASSERT_GE(producer->claim("a", 5, &room), 0);
  ASSERT_EQ(producer->abort(), MR_OK);
  EXPECT_TRUE(producer->drained());
  for (int i = 0; i < 30; ++i) ASSERT_EQ(world.offer(producer, std::to_string(i), text(i)), i);
  ASSERT_GE(producer->claim(std::to_string(29), 5, &room), 0);
  ASSERT_EQ(producer->abort(), MR_OK);  // the batch has other records
  EXPECT_EQ(producer->flush(), MR_OK);
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
  mr_acks acks;
  producer->poll_acks(acks);
  EXPECT_EQ(acks.durable, 30);
}

TEST(Client, continues_the_numbering_of_a_producer_id_of_its_own) {
  World world;
  ProducerOptions options;
  options.producer_id = 77;
  world.node.log("t").accepted[77] = 40;
  Producer* producer = world.producer("t", options);
  EXPECT_EQ(producer->next_record(), 40);
  EXPECT_EQ(producer->offer(std::nullopt, "x"), 40);
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
  EXPECT_EQ(world.node.log("t").accepted[77], 41U);
}

TEST(Client, carries_its_numbering_over_the_end_of_kafkas_sequences) {
  World world;
  ProducerOptions options;
  options.producer_id = 77;
  constexpr std::int64_t start = (1LL << 31) - 3;
  world.node.log("t").accepted[77] = start;
  Producer* producer = world.producer("t", options);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(world.offer(producer, std::nullopt, text(i)), start + i);
    ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
    if (i == 6) world.node.restart();
  }
  mr_acks acks;
  producer->poll_acks(acks);
  EXPECT_EQ(acks.durable, start + 10);
  EXPECT_EQ(world.node.log("t").end, 10);
}

TEST(Client, starts_a_subscription_where_it_is_told_to) {
  World world;
  Producer* producer = world.producer();
  for (int i = 0; i < 10; ++i) producer->offer(std::nullopt, text(i));  // one batch
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
  Subscription* from_offset = world.subscribe(native::StartAt::offset, 7);
  ASSERT_TRUE(world.run_until([&] { return world.seen.size() == 3; }));
  EXPECT_EQ(world.seen[0].offset, 7);
  mr_position position;
  EXPECT_EQ(from_offset->position(position), MR_OK);
  EXPECT_EQ(position.next_offset, 10);
  EXPECT_EQ(position.log_end, 10);
  EXPECT_EQ(position.partition_count, 1U);

  Subscription* latest = world.subscribe(native::StartAt::latest);
  ASSERT_TRUE(world.run_until([&] { return latest->position(position) == MR_OK; }));
  EXPECT_EQ(position.next_offset, 10);
  world.seen.clear();
  producer->offer(std::nullopt, text(10));
  ASSERT_TRUE(world.run_until([&] { return world.seen.size() == 2; }));  // each of the two
  EXPECT_EQ(world.seen[0].offset, 10);
  EXPECT_EQ(world.seen[1].offset, 10);
}

TEST(Client, skips_records_older_than_the_time_asked_for) {
  World world;
  Producer* producer = world.producer();
  const auto now_ms = [&] { return static_cast<std::int64_t>(world.clock.wall_ns() / 1'000'000); };
  producer->offer(std::nullopt, "old");
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
  world.clock.advance(5 * base::second_ns);
  const std::int64_t then_ms = now_ms();
  world.turn();
  ASSERT_EQ(world.offer(producer, std::nullopt, "new"), 1);
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
  world.subscribe(native::StartAt::time, then_ms);
  ASSERT_TRUE(world.run_until([&] { return !world.seen.empty(); }));
  EXPECT_EQ(world.seen[0].value, "new");
}

TEST(Client, delivers_no_more_records_than_asked_for_and_loses_none) {
  World world;
  world.records_max = 3;
  Producer* producer = world.producer();
  world.subscribe();
  for (int i = 0; i < 500; ++i) ASSERT_EQ(world.offer(producer, std::nullopt, text(i)), i);
  ASSERT_TRUE(world.run_until([&] {
    const std::size_t before = world.seen.size();
    world.turn();
    EXPECT_LE(world.seen.size() - before, 3U);
    return world.seen.size() == 500;
  }));
  expect_in_order(world.seen, 500);
}

// Batches of a record each, which the node pushes twenty to a packet.
void publish_batches(World& world, int count) {
  world.node.batches_per_push = 20;
  ProducerOptions options;
  options.linger_ns = 0;
  Producer* producer = world.producer("t", options);
  for (int i = 0; i < count; ++i) {
    ASSERT_EQ(world.offer(producer, std::nullopt, text(i)), i);
    producer->flush();
    ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
  }
  ASSERT_EQ(world.node.log("t").batches.size(), static_cast<std::size_t>(count));
}

TEST(Client, takes_many_batches_out_of_one_packet) {
  for (const std::uint32_t records_max : {1'000'000U, 3U}) {
    World world;
    world.records_max = records_max;
    ASSERT_NO_FATAL_FAILURE(publish_batches(world, 100));
    const Subscription* subscription = world.subscribe(native::StartAt::earliest);
    ASSERT_TRUE(world.run_until([&] { return world.seen.size() == 100; }));
    EXPECT_LT(world.node.push_packets(), 20U);
    expect_in_order(world.seen, 100);
    mr_position position;
    EXPECT_EQ(subscription->position(position), MR_OK);
    EXPECT_EQ(position.next_offset, 100);
  }
}

// Of ten batches in one packet, three.
Subscription* deliver_three_of_ten(World& world) {
  publish_batches(world, 10);
  world.records_max = 1;
  Subscription* subscription = world.subscribe(native::StartAt::offset, 0);
  EXPECT_TRUE(world.run_until([&] { return world.seen.size() == 3; }));
  EXPECT_EQ(world.node.push_packets(), 1U);
  return subscription;
}

TEST(Client, what_is_left_of_a_packet_goes_with_its_subscription) {
  World world;
  Subscription* subscription = deliver_three_of_ten(world);
  world.node.send_error(native::Status::storage_failed, world.node.subscription());
  mr_position position;
  ASSERT_TRUE(world.run_until([&] { return subscription->position(position) < 0; }));
  world.run_for(10'000'000);
  EXPECT_LT(world.seen.size(), 10U);
}

TEST(Client, nothing_behind_a_damaged_batch_is_delivered) {
  World world;
  world.node.push_corrupt = true;  // the first batch of a packet
  ASSERT_NO_FATAL_FAILURE(publish_batches(world, 10));
  const Subscription* subscription = world.subscribe();
  mr_position position;
  ASSERT_TRUE(world.run_until([&] { return subscription->position(position) == MR_CORRUPT; }));
  world.run_for(10'000'000);
  EXPECT_TRUE(world.seen.empty());
}

TEST(Client, what_is_left_of_a_packet_comes_again_in_the_next_session) {
  World world;
  deliver_three_of_ten(world);
  world.node.restart();
  ASSERT_TRUE(world.run_until([&] { return world.seen.size() == 10; }));
  world.run_for(10'000'000);
  expect_in_order(world.seen, 10);
}

TEST(Client, stops_the_node_when_it_does_not_read_and_catches_up_later) {
  World world;
  world.records_max = 0;
  ProducerOptions options;
  options.linger_ns = 0;
  Producer* producer = world.producer("t", options);
  world.subscribe();
  for (int i = 0; i < 2000; ++i) {
    ASSERT_EQ(world.offer(producer, std::nullopt, text(i)), i);
    producer->flush();
    world.turn();
  }
  world.run_for(50'000'000);
  EXPECT_LE(world.port.frames_out(), 400U);  // no more than the credit it gave, and what it sends
  world.records_max = 1'000'000;
  ASSERT_TRUE(world.run_until([&] { return world.seen.size() == 2000; }));
  expect_in_order(world.seen, 2000);
}

TEST(Client, gives_every_frame_back) {
  World world;
  Producer* producer = world.producer();
  world.subscribe();
  for (int i = 0; i < 100; ++i) world.offer(producer, std::nullopt, text(i));
  world.run_for(1'000'000);
  world.client.reset();
  EXPECT_EQ(world.port.frames_out(), 0U);
}

TEST(Client, says_goodbye_when_it_is_closed) {
  World world;
  world.producer();
  world.client.reset();
  world.run_for(100'000);
  EXPECT_EQ(world.node.ended(), 1U);
}

TEST(Client, closes_the_streams_of_what_is_closed_before_it) {
  World world;
  Producer* producer = world.producer();
  Subscription* subscription = world.subscribe();
  ASSERT_TRUE(world.run_until([&] { return world.node.subscription() != 0; }));
  world.run_for(1'000'000);
  EXPECT_EQ(world.node.open_streams(), 2U);
  producer->offer(std::nullopt, text(0));
  producer->flush();
  world.client->close_producer(producer);
  world.client->unsubscribe(subscription);
  ASSERT_TRUE(world.run_until(
      [&] { return world.node.open_streams() == 0 && world.node.subscription() == 0; }));
  ProducerOptions other;
  other.producer_id = 9;
  Producer* next = world.producer("t", other);
  EXPECT_EQ(world.offer(next, std::nullopt, "next"), 0);
  ASSERT_TRUE(world.run_until([&] { return next->drained(); }));
}

// Polls that find nothing look at timers only now and then; what is owed leaves with the next one,
// however many such polls went before.
TEST(Client, quiet_polls_hold_back_nothing_that_has_to_leave) {
  World world;
  world.node.add_topic("other", 8);
  std::vector<Producer*> producers;
  for (std::uint16_t i = 0; i < 8; ++i) {
    ProducerOptions options;
    options.producer_id = 100 + i;
    options.partition = i;
    producers.push_back(world.producer("other", options));
  }
  world.run_for(1'000'000);
  const auto poll = [&] { world.client->poll(nullptr, nullptr, 0); };
  const auto be_quiet = [&](std::size_t polls) {
    for (std::size_t i = 0; i < 8 + polls; ++i) poll();
  };
  for (std::size_t i = 0; i < producers.size(); ++i) {
    be_quiet(i);
    world.node.send_ping(world.clock.monotonic_ns());
    world.clock.advance(LineOptions().delay_ns);
    std::uint64_t sent = world.port.to_node().sent();
    poll();
    EXPECT_EQ(world.port.to_node().sent(), sent + 1) << "a PONG, after " << 8 + i << " polls";
    be_quiet(i);
    sent = world.port.to_node().sent();
    world.client->close_producer(producers[i]);
    poll();
    EXPECT_EQ(world.port.to_node().sent(), sent + 1) << "a CLOSE, after " << 8 + i << " polls";
    world.run_for(1'000'000);
  }
}

TEST(Client, refuses_to_be_polled_from_within_a_handler) {
  World world;
  Producer* producer = world.producer();
  producer->offer(std::nullopt, text(0));
  world.subscribe();
  world.records_max = 0;
  world.run_for(1'000'000);
  int inner = 0;
  std::pair<Client*, int*> context(world.client.get(), &inner);
  const int count = world.client->poll(
      [](void* at, const mr_record*) {
        auto* pair = static_cast<std::pair<Client*, int*>*>(at);
        *pair->second = pair->first->poll(nullptr, nullptr, 0);
      },
      &context, 10);
  EXPECT_EQ(count, 1);
  EXPECT_EQ(inner, MR_INVALID);
}

}  // namespace
}  // namespace millrace::client

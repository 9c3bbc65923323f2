// What a program sees when packets, nodes and logs misbehave.
#include <gtest/gtest.h>

#include <string>

#include "dataplane/client/client.h"
#include "tests/dataplane/client/world.h"

namespace millrace::client {
namespace {

std::string text(std::int64_t number) { return "record " + std::to_string(number); }

void expect_in_order(const std::vector<SeenRecord>& seen, std::int64_t count) {
  ASSERT_EQ(static_cast<std::int64_t>(seen.size()), count);
  for (std::int64_t i = 0; i < count; ++i) {
    ASSERT_EQ(seen[static_cast<std::size_t>(i)].offset, i);
    ASSERT_EQ(seen[static_cast<std::size_t>(i)].value->substr(0, text(i).size()), text(i));
  }
}

class LossyLine : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(LossyLine, delivers_every_record_once_and_in_order) {
  World world({10, 5'000, GetParam()});
  ProducerOptions options;
  options.batch_bytes = GetParam() % 2 == 0 ? 0 : 20'000;
  Producer* producer = world.producer("t", options);
  world.subscribe();
  constexpr std::int64_t count = 1500;
  const std::string ballast(GetParam() * 40, '.');
  for (std::int64_t i = 0; i < count; ++i) {
    ASSERT_EQ(world.offer(producer, "k", text(i) + ballast), i);
    if (i % 5 == 0) world.turn();
  }
  ASSERT_TRUE(world.run_until([&] {
    return producer->drained() && static_cast<std::int64_t>(world.seen.size()) == count;
  }));
  expect_in_order(world.seen, count);
  EXPECT_EQ(world.node.log("t").end, count);
  EXPECT_GT(world.client->stats().packets_repaired, 0U);
  EXPECT_EQ(world.client->stats().sessions, 1U);
}

TEST_P(LossyLine, carries_batches_of_a_mebibyte) {
  World world({10, 5'000, GetParam()});
  ProducerOptions options;
  options.batch_bytes = storage::batch_bytes_max;
  Producer* producer = world.producer("t", options);
  world.subscribe();
  for (std::int64_t i = 0; i < 4; ++i) {
    std::string value = text(i);
    value.resize(1'000'000, static_cast<char>('a' + i));
    ASSERT_EQ(world.offer(producer, "k", value), i);
  }
  producer->flush();
  ASSERT_TRUE(world.run_until([&] { return world.seen.size() == 4 && producer->drained(); }));
  expect_in_order(world.seen, 4);
}

TEST_P(LossyLine, goes_on_after_the_node_lost_every_session) {
  World world({10, 5'000, GetParam()});
  world.node.silent_unknown = GetParam() % 2 == 0;  // found out by silence, or by being told
  Producer* producer = world.producer();
  Subscription* subscription = world.subscribe();
  constexpr std::int64_t count = 1200;
  const std::string ballast(300, '.');
  for (std::int64_t i = 0; i < count; ++i) {
    ASSERT_EQ(world.offer(producer, "k", text(i) + ballast), i);
    if (i % 7 == 0) world.turn();
    if (i == count / 3 || i == count / 2) world.node.restart();
  }
  ASSERT_TRUE(world.run_until([&] {
    return producer->drained() && static_cast<std::int64_t>(world.seen.size()) == count;
  }));
  expect_in_order(world.seen, count);
  EXPECT_EQ(world.node.log("t").end, count);
  EXPECT_GE(world.client->stats().sessions, 2U);
  mr_position position;
  EXPECT_EQ(subscription->position(position), MR_OK);
  mr_acks acks;
  producer->poll_acks(acks);
  EXPECT_EQ(acks.durable, count);
}

INSTANTIATE_TEST_SUITE_P(Seeds, LossyLine, ::testing::Values(1, 2, 3, 4, 5, 6));

TEST(Trouble, what_was_accepted_before_a_restart_is_answered_as_duplicate_and_not_doubled) {
  World world;
  world.node.hold_durable = true;
  Producer* producer = world.producer();
  for (int i = 0; i < 20; ++i) {
    producer->offer(std::nullopt, text(i));
    producer->flush();
  }
  ASSERT_TRUE(world.run_until([&] { return world.node.log("t").end == 20; }));
  world.run_for(1'000'000);
  EXPECT_FALSE(producer->drained());
  world.node.hold_durable = false;
  world.node.restart();
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
  EXPECT_EQ(world.node.log("t").end, 20);
  EXPECT_EQ(world.node.log("t").duplicates, 20U);
}

TEST(Trouble, an_end_from_the_node_is_followed_by_a_new_session) {
  World world;
  Producer* producer = world.producer();
  world.node.send_end();
  world.run_for(100'000);
  EXPECT_EQ(world.offer(producer, std::nullopt, text(0)), 0);
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
  EXPECT_EQ(world.client->stats().sessions, 2U);
}

TEST(Trouble, records_wait_in_the_buffers_while_the_node_is_away) {
  World world;
  Producer* producer = world.producer();
  world.port.to_node().set_cut(true);
  world.run_for(3 * base::second_ns);
  EXPECT_NE(world.client->status(), MR_OK);
  EXPECT_EQ(producer->offer(std::nullopt, text(0)), 0);
  world.port.to_node().set_cut(false);
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
  EXPECT_EQ(world.client->status(), MR_OK);
}

TEST(Trouble, a_program_that_did_not_poll_for_long_has_not_lost_its_session) {
  World world;
  Producer* producer = world.producer();
  producer->offer(std::nullopt, text(0));
  producer->flush();
  world.clock.advance(60 * base::second_ns);
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
  EXPECT_EQ(producer->status(), MR_OK);
  EXPECT_EQ(world.client->stats().sessions, 1U);
}

TEST(Trouble, records_not_acknowledged_in_time_stop_the_producer_and_retry_sends_them) {
  World world;
  Producer* producer = world.producer();
  world.node.hold_memory = true;
  producer->offer(std::nullopt, text(0));
  ASSERT_TRUE(world.run_until([&] { return producer->status() != MR_OK; }));
  EXPECT_EQ(producer->status(), MR_TIMED_OUT);
  EXPECT_EQ(producer->offer(std::nullopt, text(1)), MR_TIMED_OUT);
  EXPECT_EQ(producer->flush(), MR_TIMED_OUT);
  EXPECT_GE(world.clock.monotonic_ns(), 5 * base::second_ns);
  world.node.hold_memory = false;
  EXPECT_EQ(producer->retry(), MR_OK);
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
  EXPECT_EQ(world.offer(producer, std::nullopt, text(1)), 1);
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
  EXPECT_EQ(world.node.log("t").end, 2);
}

TEST(Trouble, a_refused_batch_stops_the_producer_and_retry_sends_it_again) {
  const std::pair<native::Status, int> cases[] = {
      {native::Status::journal_full, MR_REFUSED_FULL},
      {native::Status::disk_full, MR_DISK_FULL},
      {native::Status::fenced, MR_FENCED},
      {native::Status::out_of_order, MR_OUT_OF_ORDER},
      {native::Status::corrupt, MR_CORRUPT},
      {native::Status::partition_damaged, MR_DAMAGED},
      {native::Status::storage_failed, MR_STORAGE_FAILED},
      {native::Status::partition_gone, MR_UNKNOWN_TOPIC},
  };
  for (const auto& [refusal, status] : cases) {
    World world;
    Producer* producer = world.producer();
    world.node.refuse_append = refusal;
    for (int i = 0; i < 5; ++i) {
      producer->offer(std::nullopt, text(i));
      producer->flush();
    }
    ASSERT_TRUE(world.run_until([&] { return producer->status() != MR_OK; }));
    EXPECT_EQ(producer->status(), status);
    EXPECT_EQ(producer->offer(std::nullopt, "x"), status);
    mr_acks acks;
    EXPECT_EQ(producer->poll_acks(acks), status);
    EXPECT_EQ(acks.memory, 0);
    world.node.refuse_append = native::Status::ok;
    producer->retry();
    ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
    EXPECT_EQ(world.node.log("t").end, 5);
  }
}

TEST(Trouble, a_refused_open_is_reported_and_may_be_tried_again) {
  World world;
  Producer* producer = world.producer("later");
  EXPECT_EQ(producer->status(), MR_UNKNOWN_TOPIC);
  EXPECT_EQ(producer->offer(std::nullopt, "x"), MR_UNKNOWN_TOPIC);
  world.node.add_topic("later", 1);
  producer->retry();
  EXPECT_EQ(world.offer(producer, std::nullopt, "x"), 0);
}

TEST(Trouble, a_node_that_is_not_ready_is_asked_again) {
  World world;
  world.node.refuse_open = native::Status::not_ready;
  ProducerOptions options;
  options.topic = "t";
  Producer* producer = world.client->open_producer(options);
  Subscription* subscription = world.subscribe();
  EXPECT_EQ(producer->offer(std::nullopt, "x"), MR_NOT_CONNECTED);
  ASSERT_TRUE(world.run_until([&] { return producer->offer(std::nullopt, "x") == MR_NOT_READY; }));
  mr_position position;
  ASSERT_TRUE(world.run_until([&] { return subscription->position(position) == MR_NOT_READY; }));
  world.node.refuse_open = native::Status::ok;
  EXPECT_TRUE(world.run_until([&] { return producer->offer(std::nullopt, "x") == 0; }));
  EXPECT_TRUE(world.run_until([&] { return world.seen.size() == 1; }));
}

TEST(Trouble, a_full_node_is_named_and_asked_again) {
  World world;
  world.node.refuse_hello = native::Status::session_table_full;
  ProducerOptions options;
  options.topic = "t";
  Producer* producer = world.client->open_producer(options);
  ASSERT_TRUE(world.run_until([&] { return world.client->status() == MR_SERVER_FULL; }));
  EXPECT_EQ(producer->offer(std::nullopt, "x"), MR_SERVER_FULL);
  world.node.refuse_hello = native::Status::ok;
  EXPECT_TRUE(world.run_until([&] { return producer->offer(std::nullopt, "x") == 0; }));
}

TEST(Trouble, a_node_that_lost_acknowledged_records_is_not_written_to) {
  World world;
  ProducerOptions options;
  options.producer_id = 5;
  Producer* producer = world.producer("t", options);
  for (int i = 0; i < 4; ++i) producer->offer(std::nullopt, text(i));
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
  world.node.log("t").accepted[5] = 2;
  world.node.restart();
  ASSERT_TRUE(world.run_until([&] { return producer->status() != MR_OK; }));
  EXPECT_EQ(producer->status(), MR_OUT_OF_ORDER);
}

TEST(Trouble, a_lost_stream_is_opened_again) {
  World world;
  Producer* producer = world.producer();
  producer->offer(std::nullopt, text(0));
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
  world.node.send_error(native::Status::unknown_stream, world.node.stream_of("t"));
  world.run_for(100'000);
  EXPECT_EQ(world.offer(producer, std::nullopt, text(1)), 1);
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
  EXPECT_EQ(world.node.log("t").end, 2);
}

TEST(Trouble, a_refused_subscription_says_why) {
  World world;
  world.node.refuse_subscribe = native::Status::offset_out_of_range;
  Subscription* subscription = world.subscribe(native::StartAt::offset, 99);
  mr_position position;
  ASSERT_TRUE(world.run_until([&] { return subscription->position(position) == MR_OUT_OF_RANGE; }));
  EXPECT_EQ(position.next_offset, -1);
}

int status_after_first_push(World& world) {
  Producer* producer = world.producer();
  producer->offer(std::nullopt, text(0));
  Subscription* subscription = world.subscribe();
  mr_position position;
  world.run_until([&] { return subscription->position(position) == MR_OK; });
  world.run_for(10'000'000);
  return subscription->position(position);
}

TEST(Trouble, a_damaged_batch_is_not_delivered) {
  World world;
  world.node.push_corrupt = true;
  EXPECT_EQ(status_after_first_push(world), MR_CORRUPT);
  EXPECT_TRUE(world.seen.empty());
}

TEST(Trouble, a_compressed_batch_is_not_delivered_and_said_to_be_unsupported) {
  World world;
  world.node.push_attributes = 2;
  EXPECT_EQ(status_after_first_push(world), MR_UNSUPPORTED);
  EXPECT_TRUE(world.seen.empty());
}

TEST(Trouble, transaction_markers_are_passed_over) {
  World world;
  world.node.push_attributes = 0x20;
  EXPECT_EQ(status_after_first_push(world), MR_OK);
  EXPECT_TRUE(world.seen.empty());
  world.node.push_attributes = 0;
}

TEST(Trouble, packets_that_are_nonsense_or_of_another_session_are_dropped) {
  World world;
  Producer* producer = world.producer();
  std::mt19937_64 random(7);
  for (int i = 0; i < 20'000; ++i) {
    PacketBytes packet(random() % 200);
    for (std::byte& byte : packet) byte = static_cast<std::byte>(random());
    if (packet.size() > 22 && i % 2 == 0) {
      packet[0] = std::byte{0xA1};
      packet[1] = static_cast<std::byte>(random() % 0x31);
    }
    world.port.to_client().send(std::move(packet), world.clock.monotonic_ns());
    if (i % 50 == 0) world.turn();
  }
  world.run_for(1'000'000);
  EXPECT_EQ(world.client->stats().sessions, 1U);
  EXPECT_EQ(world.client->stats().packets_dropped, 20'000U);
  EXPECT_EQ(world.offer(producer, std::nullopt, text(0)), 0);
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
}

}  // namespace
}  // namespace millrace::client

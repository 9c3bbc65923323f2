// Core's edges: mail, what it shows, when it may sleep, how it ends. The sources are core_setup.cc.
#include <gtest/gtest.h>

#include <random>

#include "dataplane/core/core.h"
#include "tests/dataplane/core/guests.h"
#include "tests/support/faulty_disk.h"

namespace millrace::core {
namespace {

using link::MailboxKind;

shard::Status open_status(PeerGuests& guests, const std::string& topic,
                          std::uint16_t partition_index = 0) {
  Peer& peer = guests.add(base::no_producer_id);
  peer.open(topic, partition_index);
  EXPECT_TRUE(guests.run_until([&] { return !peer.opened.empty(); }));
  return static_cast<shard::Status>(peer.opened.at(0).status);
}

// --- mail ---

TEST(CoreMail, a_topic_is_there_from_its_message_to_its_deletion) {
  TestNode node;
  PeerGuests guests(node);
  EXPECT_EQ(open_status(guests, "t"), shard::Status::not_ready);
  node.make_topic(3);
  EXPECT_TRUE(node.at().core.catalog_complete());
  EXPECT_EQ(node.region->cores[0].mailbox_applied.get(), 2U);
  EXPECT_EQ(open_status(guests, "t", 2), shard::Status::ok);
  EXPECT_EQ(open_status(guests, "t", 3), shard::Status::unknown_topic);
  EXPECT_EQ(open_status(guests, "u"), shard::Status::unknown_topic);
  Peer& reader = *guests.peers()[1];
  reader.subscribe(native::StartAt::latest);
  ASSERT_TRUE(guests.run_until([&] { return reader.subscribed.size() == 1; }));
  node.mail(TestNode::message(MailboxKind::delete_topic));
  EXPECT_TRUE(guests.run_until([&] { return reader.gone.size() == 1; }));
  EXPECT_EQ(open_status(guests, "t"), shard::Status::unknown_topic);
}

TEST(CoreMail, a_topic_that_was_asked_for_and_is_not_there_is_told_to_control_now_and_then) {
  TestNode node;
  node.make_topic();
  PeerGuests guests(node);
  for (int i = 0; i < 10; ++i) open_status(guests, "wanted");
  auto& events = node.region->cores[0].events;
  const link::ControlEvent* event = events.peek();
  ASSERT_NE(event, nullptr);
  EXPECT_EQ(event->kind, link::ControlEventKind::topic_wanted);
  EXPECT_EQ(event->text.get(), "wanted");
  EXPECT_EQ(events.peek(1), nullptr);
  node.clock.advance(base::second_ns);
  open_status(guests, "wanted");
  EXPECT_NE(events.peek(1), nullptr);
}

TEST(CoreMail, messages_for_another_incarnation_are_taken_and_ignored) {
  TestNode node;
  auto stale = TestNode::message(MailboxKind::create_topic, "old", 9, 9);
  stale.incarnation = TestNode::incarnation - 1;
  node.mail(stale);
  auto complete = TestNode::message(MailboxKind::catalog_complete);
  complete.incarnation = TestNode::incarnation + 1;
  node.mail(complete);
  node.turns(3);
  EXPECT_FALSE(node.at().core.catalog_complete());
  EXPECT_EQ(node.region->cores[0].mailbox_applied.get(), 0U);
  EXPECT_EQ(node.region->cores[0].mailbox.peek(), nullptr);
  node.make_topic();
  PeerGuests guests(node);
  EXPECT_EQ(open_status(guests, "old"), shard::Status::unknown_topic);
  EXPECT_EQ(open_status(guests, "t"), shard::Status::ok);
}

TEST(CoreMail, what_was_sent_twice_changes_nothing) {
  TestNode node;
  node.make_topic();
  PeerGuests guests(node);
  Peer& writer = guests.add(100);
  ASSERT_TRUE(guests.connect());
  writer.publish(testing::make_batch(100, 0, 4, 10), 4, native::data_durable);
  ASSERT_TRUE(guests.run_until([&] { return guests.durable(writer) == 4; }));
  node.mail(TestNode::message(MailboxKind::delete_topic, "", 77));  // one that is not known
  node.make_topic();
  Peer& reader = guests.add(base::no_producer_id);
  ASSERT_TRUE(guests.connect());
  EXPECT_EQ(reader.opened[0].log_end, 4);
}

TEST(CoreMail, insane_messages_are_taken_without_harm) {
  TestNode node;
  node.make_topic();
  std::mt19937_64 random(5);
  for (int round = 0; round < 3000; ++round) {
    auto message = TestNode::message(static_cast<MailboxKind>(random() % 4));
    message.topic = base::TopicId{static_cast<std::uint32_t>(2 + random() % 100)};
    const std::uint32_t sizes[] = {0, 1, 64, 32768, 32769, ~0U};
    message.partition_count = sizes[random() % 6];
    message.first_partition =
        base::PartitionId{static_cast<std::uint32_t>(random() % 2 ? random() : 1)};
    message.name_bytes = static_cast<std::uint8_t>(random());
    for (char& letter : message.name) letter = static_cast<char>(random());
    node.mail(message);
    node.turn();
  }
  EXPECT_EQ(node.region->cores[0].mailbox_applied.get(), node.mail_sequence);
  PeerGuests guests(node);
  Peer& writer = guests.add(100);
  ASSERT_TRUE(guests.connect());
  writer.publish(testing::make_batch(100, 0, 1, 10), 1, native::data_durable);
  EXPECT_TRUE(guests.run_until([&] { return guests.durable(writer) == 1; }));
}

// --- restarting ---

TEST(CoreStart, what_was_durable_is_there_after_a_restart_and_repeats_are_known) {
  TestNode node;
  node.make_topic();
  const Bytes batch = testing::make_batch(100, 0, 4, 10);
  {
    PeerGuests guests(node);
    Peer& writer = guests.add(100);
    ASSERT_TRUE(guests.connect());
    writer.publish(batch, 4, native::data_durable);
    ASSERT_TRUE(guests.run_until([&] { return guests.durable(writer) == 4; }));
  }
  node.start();  // without a drain: a crash
  node.make_topic();
  PeerGuests guests(node);
  Peer& writer = guests.add(100);
  ASSERT_TRUE(guests.connect());
  EXPECT_EQ(writer.opened[0].last_sequence, 3);
  writer.publish(batch, 4, native::data_durable);
  writer.publish(testing::make_batch(100, 4, 1, 10), 1, native::data_durable);
  ASSERT_TRUE(guests.run_until([&] { return guests.durable(writer) == 5; }));
  Peer& reader = guests.add(base::no_producer_id);
  ASSERT_TRUE(guests.connect());
  EXPECT_EQ(reader.opened[0].log_end, 5);
  node.clock.advance(100'000'000);
  node.turn();
  EXPECT_EQ(node.region->cores[0].batches_duplicate.get(), 1U);
}

TEST(CoreStart, a_partition_that_the_catalog_does_not_name_is_dropped) {
  TestNode node;
  node.make_topic();
  {
    PeerGuests guests(node);
    Peer& writer = guests.add(100);
    ASSERT_TRUE(guests.connect());
    writer.publish(testing::make_batch(100, 0, 4, 10), 4, native::data_durable);
    ASSERT_TRUE(guests.run_until([&] { return guests.durable(writer) == 4; }));
  }
  EXPECT_TRUE(node.at().core.drain().has_value());
  node.start();
  node.mail(TestNode::message(MailboxKind::create_topic, "other", 2, 50));
  node.mail(TestNode::message(MailboxKind::catalog_complete));
  node.turns(2);
  node.make_topic();  // a later one that has the same partition finds nothing old in it
  PeerGuests guests(node);
  Peer& reader = guests.add(base::no_producer_id);
  ASSERT_TRUE(guests.connect());
  EXPECT_EQ(reader.opened[0].log_end, 0);
}

// --- sleeping ---

TEST(CoreSleep, a_core_may_sleep_until_its_next_deadline_and_not_while_bytes_gather) {
  TestNode node;
  node.make_topic();
  node.turns(5);
  EXPECT_GT(node.at().core.sleep_ns_max(), base::ms_ns);
  EXPECT_LE(node.at().core.sleep_ns_max(), 20 * base::ms_ns);
  EXPECT_FALSE(node.at().core.writes_awaited());
  PeerGuests guests(node);
  Peer& writer = guests.add(100);
  ASSERT_TRUE(guests.connect());
  writer.publish(testing::make_batch(100, 0, 1, 10), 1);
  for (int i = 0;
       i < 100 && node.at().journal->append_position() == node.at().journal->durable_position();
       ++i) {
    guests.step(1000);
  }
  ASSERT_NE(node.at().journal->append_position(), node.at().journal->durable_position());
  EXPECT_LE(node.at().core.sleep_ns_max(), node.at().journal->options().gather_ns);
}

TEST(CoreSleep, gives_way_to_a_write_that_sets_the_pace_and_to_none_that_nobody_waits_for) {
  TestNodeOptions options;
  testing::FaultyDisk* disk = nullptr;
  options.make_disk = [&](std::uint16_t) {
    auto made = std::make_unique<testing::FaultyDisk>(1, storage::Durability::flush);
    disk = made.get();
    return made;
  };
  TestNode node(options);
  node.make_topic();
  disk->hold(true);
  const auto append = [&] {
    const auto batch = testing::make_batch(base::no_producer_id, -1, 1, 900'000);
    node.at().log->append_batch(node.at().log->create_partition(base::PartitionId{0}), batch,
                                false);
    node.turns(10);
  };
  append();
  ASSERT_TRUE(node.at().journal->write_in_flight());
  EXPECT_FALSE(node.at().core.writes_awaited());
  for (int i = 0; i < 5; ++i) append();
  EXPECT_TRUE(node.at().core.writes_awaited());
  disk->hold(false);
  node.turns(20);
  EXPECT_FALSE(node.at().core.writes_awaited());
}

TEST(CoreSleep, what_a_timer_asks_of_a_shard_is_not_slept_on) {
  TestNode node;
  node.make_topic();
  PeerGuests guests(node);
  Peer& peer = guests.add(100);
  ASSERT_TRUE(guests.connect());
  peer.subscribe(native::StartAt::earliest);
  ASSERT_TRUE(guests.run_until([&] { return peer.subscribed.size() == 1; }));
  for (int i = 0; i < 10; ++i) guests.step();
  peer.publish(testing::make_batch(100, 0, 1, 10), 1);
  ASSERT_TRUE(guests.run_until([&] { return peer.idle(); }));
  ASSERT_EQ(peer.received[native::PacketType::push], 1U);  // and never acknowledged
  const auto sends_push = [&] {
    const auto sent = node.port().take_sent();
    return sent && sent->bytes.size() > net::udp_headers_bytes + native::push_overhead_bytes;
  };
  bool asked = false;
  for (int i = 0; i < 1000 && !sends_push(); ++i) {
    asked = node.at().core.sleep_ns_max() == 0;
    node.turn();
  }
  EXPECT_TRUE(asked);
}

TEST(CoreSleep, sleeping_ends_when_the_time_is_over) {
  TestNode node;
  node.turn();
  EXPECT_FALSE(node.at().core.sleep(1000));
  EXPECT_EQ(node.region->cores[0].sleeps.get(), 1U);
}

TEST(CoreTurns, a_turn_over_its_budget_is_counted_and_a_sleep_is_not) {
  TestNode node;
  node.turns(3);
  EXPECT_EQ(node.region->cores[0].slow_turns.get(), 0U);
  EXPECT_EQ(node.region->cores[0].turns.get(), 3U);
  node.turn(200'000);
  EXPECT_EQ(node.region->cores[0].slow_turns.get(), 1U);
  node.at().core.sleep(1000);
  node.turn(200'000);
  EXPECT_EQ(node.region->cores[0].slow_turns.get(), 1U);
}

// --- ending ---

TEST(CoreDrain, peers_hear_of_the_end_and_everything_is_given_back) {
  TestNode node;
  node.make_topic();
  PeerGuests guests(node);
  std::vector<Peer*> writers;
  for (int i = 0; i < 5; ++i) writers.push_back(&guests.add(100 + i));
  ASSERT_TRUE(guests.connect());
  for (Peer* writer : writers) writer->subscribe(native::StartAt::latest);
  ASSERT_TRUE(guests.run_until([&] { return writers.back()->subscribed.size() == 1; }));
  // Behind a gap, so that the core holds frames for as long as the sessions live.
  bool first = true;
  guests.on_send = [&](Bytes& packet, Peer& peer) {
    const bool is_data = packet[1] == static_cast<std::byte>(native::PacketType::data);
    if (!is_data || !std::exchange(first, !is_data)) guests.deliver(packet, peer.at());
  };
  for (Peer* writer : writers) {
    first = true;
    const base::ProducerId producer = 100 + (writer->at().udp_port - 40000);
    for (std::int32_t i = 0; i < 20; ++i) {
      writer->publish(testing::make_batch(producer, i, 1, 100), 1);
    }
    guests.step(1);
  }
  EXPECT_GT(node.port().rx_lent_count(), 0U);
  EXPECT_TRUE(node.at().core.drain().has_value());
  guests.take_sent();
  for (Peer* writer : writers) EXPECT_TRUE(writer->ended);
  node.expect_all_given_back();
  EXPECT_EQ(node.block().live.get(), 0U);
  EXPECT_EQ(node.region->cores[0].sessions.get(), 0U);
  EXPECT_EQ(node.at().journal->durable_position(), node.at().journal->append_position());
}

}  // namespace
}  // namespace millrace::core

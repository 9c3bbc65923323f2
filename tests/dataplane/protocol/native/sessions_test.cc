#include "dataplane/protocol/native/sessions.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "storage/batch.h"
#include "tests/dataplane/protocol/native/world.h"

namespace millrace::testing {
namespace {

using base::DropReason;
using native::PacketType;
using native::Status;

TEST(NativeSessions, a_batch_is_acknowledged_in_memory_then_durable) {
  World world;
  Peer& peer = world.add_peer();
  ASSERT_TRUE(world.connect(peer));
  EXPECT_EQ(peer.opened[0].status, Status::ok);
  EXPECT_EQ(peer.opened[0].partition_count, 4);
  EXPECT_EQ(peer.opened[0].last_sequence, -1);
  peer.publish(make_batch(100, 0, 5, 10), 5);
  ASSERT_TRUE(world.run_until([&] { return world.memory(peer) == 5; }));
  EXPECT_EQ(world.durable(peer), 0U);
  world.shard.make_durable();
  ASSERT_TRUE(world.run_until([&] { return world.durable(peer) == 5; }));
  EXPECT_EQ(world.shard.log(0).size(), 1U);
  EXPECT_EQ(peer.watermarks[peer.opened[0].stream].replicated, 5U);
}

TEST(NativeSessions, what_became_durable_has_a_packet_of_its_own_only_where_somebody_waits_for_it) {
  for (const std::uint16_t flags : {std::uint16_t{0}, native::data_durable}) {
    World world;
    Peer& peer = world.add_peer();
    ASSERT_TRUE(world.connect(peer));
    peer.publish(make_batch(100, 0, 5, 10), 5, flags);
    ASSERT_TRUE(world.run_until([&] { return world.memory(peer) == 5; }));
    world.shard.make_durable();
    world.run(10);
    EXPECT_EQ(world.durable(peer), flags == 0 ? 0U : 5U);
    peer.publish(make_batch(100, 5, 1, 10), 1, flags);
    ASSERT_TRUE(world.run_until([&] { return world.memory(peer) == 6; }));
    EXPECT_EQ(world.durable(peer), 5U);
    world.shard.make_durable();
    std::uint64_t turns = 0;
    std::vector<Outgoing> told;
    for (; told.empty() && turns < 1000; ++turns)
      told = world.node.turn(world.now_ns += base::ms_ns);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_LE(turns, flags == 0 ? native::Tables::late_ns / base::ms_ns + 1 : 1);
    EXPECT_EQ(turns > 1, flags == 0);
    peer.on_packet(told[0].bytes, world.now_ns);
    EXPECT_EQ(world.durable(peer), 6U);
  }
}

TEST(NativeSessions, a_subscriber_is_pushed_an_append_at_once) {
  World world;
  Peer& peer = world.add_peer();
  ASSERT_TRUE(world.connect(peer));
  peer.subscribe(native::StartAt::latest);
  ASSERT_TRUE(world.run_until([&] { return peer.subscribed.size() == 1; }));
  world.run(3);
  const Bytes batch = make_batch(100, 0, 3, 20);
  peer.publish(batch, 3);
  world.step();
  world.step();
  ASSERT_EQ(peer.delivered.size(), 1U);
  EXPECT_EQ(peer.delivered[0].bytes.size(), batch.size());
  EXPECT_EQ(storage::BatchView(peer.delivered[0].bytes.data()).record_count(), 3);
}

TEST(NativeSessions,
     every_batch_arrives_once_in_order_over_a_link_that_drops_doubles_and_reorders) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    World world(seed, 10);
    Peer& peer = world.add_peer();
    ASSERT_TRUE(world.connect(peer));
    peer.subscribe(native::StartAt::earliest);
    std::int32_t sequence = 0;
    std::vector<Bytes> batches;
    for (std::uint32_t i = 0; i < 120; ++i) {
      const std::uint32_t records = 1 + i % 7;
      // Every tenth takes many packets, the largest almost 1 MiB.
      const std::uint32_t value_bytes = i == 60 ? 1'000'000 / records : i % 10 == 0 ? 3000 : 50;
      batches.push_back(make_batch(100, sequence, records, value_bytes));
      peer.publish(batches.back(), records);
      sequence += static_cast<std::int32_t>(records);
    }
    const auto total = static_cast<std::uint64_t>(sequence);
    ASSERT_TRUE(world.run_until([&] {
      world.shard.make_durable();
      return world.durable(peer) == total && peer.delivered.size() == batches.size();
    })) << "seed "
        << seed << " durable " << world.durable(peer) << " delivered " << peer.delivered.size();
    ASSERT_EQ(world.shard.log(0).size(), batches.size());
    base::Offset offset = 0;
    for (std::size_t i = 0; i < batches.size(); ++i) {
      const storage::BatchView batch(peer.delivered[i].bytes.data());
      ASSERT_EQ(peer.delivered[i].base_offset, offset);
      ASSERT_EQ(storage::check_batch(peer.delivered[i].bytes), storage::BatchFault::none);
      ASSERT_TRUE(std::equal(batches[i].begin() + 16, batches[i].end(),
                             peer.delivered[i].bytes.begin() + 16));
      offset += batch.record_count();
    }
    EXPECT_EQ(world.node.held_frames(), 0U);
    EXPECT_EQ(world.shard.duplicates(), 0U) << "the window must have removed them";
  }
}

TEST(NativeSessions, many_peers_share_a_node_over_a_lossy_link) {
  World world(9, 5);
  std::vector<Peer*> peers;
  for (int i = 0; i < 6; ++i) peers.push_back(&world.add_peer(100 + i));
  for (int i = 0; i < 6; ++i) {
    peers[i]->open("t", static_cast<std::uint16_t>(i % 4));
    ASSERT_TRUE(world.run_until([&] { return peers[i]->opened.size() == 1; }));
    peers[i]->subscribe(native::StartAt::earliest);
  }
  for (int i = 0; i < 6; ++i) {
    for (int b = 0; b < 50; ++b) peers[i]->publish(make_batch(100 + i, b * 2, 2, 100), 2);
  }
  ASSERT_TRUE(world.run_until([&] {
    world.shard.make_durable();
    for (Peer* peer : peers) {
      if (world.durable(*peer) != 100) return false;
    }
    return true;
  }));
  // Two producers each on partitions 0 and 1.
  EXPECT_EQ(world.shard.log(0).size(), 100U);
  EXPECT_EQ(world.shard.log(2).size(), 50U);
  ASSERT_TRUE(world.run_until([&] {
    return peers[0]->delivered.size() == 100 && peers[4]->delivered.size() == 100 &&
           peers[2]->delivered.size() == 50;
  }));
}

TEST(NativeSessions, a_burst_of_data_brings_one_ack) {
  World world;
  Peer& peer = world.add_peer();
  ASSERT_TRUE(world.connect(peer));
  world.run(2);
  for (int i = 0; i < 20; ++i) peer.publish(make_batch(100, i, 1, 10), 1);
  const std::uint32_t before = peer.received[PacketType::ack];
  std::vector<Bytes> packets = peer.step(world.now_ns);
  for (const Bytes& packet : packets) world.node.receive(peer.at(), packet, world.now_ns);
  const auto sent = world.node.turn(world.now_ns);
  ASSERT_EQ(sent.size(), 1U);
  peer.on_packet(sent[0].bytes, world.now_ns);
  EXPECT_EQ(peer.received[PacketType::ack], before + 1);
  EXPECT_EQ(world.memory(peer), 20U);
  EXPECT_TRUE(peer.idle());
}

TEST(NativeSessions, a_refused_stream_says_so_and_drops_what_follows_until_it_is_opened_again) {
  World world;
  Peer& peer = world.add_peer();
  ASSERT_TRUE(world.connect(peer));
  world.shard.refuse_next(shard::Status::journal_full);
  peer.publish(make_batch(100, 0, 4, 10), 4);
  ASSERT_TRUE(world.run_until([&] { return !peer.errors.empty(); }));
  EXPECT_EQ(peer.errors[0].code, Status::journal_full);
  EXPECT_EQ(peer.errors[0].handle, peer.opened[0].stream);
  EXPECT_EQ(peer.errors[0].sequence, 0U);
  const std::uint64_t appends = world.shard.appends();
  peer.publish(make_batch(100, 0, 4, 10), 4);
  ASSERT_TRUE(world.run_until([&] { return peer.errors.size() == 2; }));
  EXPECT_EQ(world.shard.appends(), appends);
  EXPECT_EQ(world.node.dropped(DropReason::stream_refused), 1U);
  peer.open("t");
  ASSERT_TRUE(world.run_until([&] { return peer.opened.size() == 2; }));
  peer.opened.erase(peer.opened.begin());
  peer.publish(make_batch(100, 0, 4, 10), 4);
  EXPECT_TRUE(world.run_until([&] { return world.memory(peer) == 4; }));
}

TEST(NativeSessions, data_is_held_while_the_shard_has_no_room_and_credit_shrinks_to_nothing) {
  native::SessionsOptions options = small_options();
  options.ports[0].credits = 64;
  World world(1, 0, options);
  Peer& peer = world.add_peer();
  ASSERT_TRUE(world.connect(peer));
  EXPECT_EQ(peer.welcome.credit, 16);
  world.node.append_room_bytes = 0;
  world.run(1);
  for (int i = 0; i < 40; ++i) peer.publish(make_batch(100, i, 1, 10), 1);
  world.run(50);
  EXPECT_EQ(world.node.held_frames(), 16U);
  EXPECT_EQ(world.shard.appends(), 0U);
  EXPECT_EQ(world.node.dropped(DropReason::outside_window), 0U);
  EXPECT_FALSE(peer.idle());
  world.node.append_room_bytes = 1 << 20;
  ASSERT_TRUE(world.run_until([&] { return world.memory(peer) == 40; }));
  EXPECT_EQ(world.node.held_frames(), 0U);
}

TEST(NativeSessions, a_session_that_ends_gives_back_frames_credit_and_slots) {
  World world;
  world.node.append_room_bytes = 0;
  Peer& peer = world.add_peer();
  ASSERT_TRUE(world.connect(peer));
  peer.subscribe(native::StartAt::earliest);
  ASSERT_TRUE(world.run_until([&] { return peer.subscribed.size() == 1; }));
  world.run(1);
  for (int i = 0; i < 10; ++i) peer.publish(make_batch(100, i, 1, 10), 1);
  world.run(2);
  EXPECT_GT(world.node.held_frames(), 0U);
  peer.end();
  ASSERT_TRUE(world.run_until([&] { return peer.ended; }));
  EXPECT_EQ(world.node.held_frames(), 0U);
  EXPECT_EQ(world.node.sessions().session_count(), 0U);
  EXPECT_EQ(world.node.sessions().stream_count(), 0U);
  EXPECT_EQ(world.node.sessions().subscription_count(), 0U);
  EXPECT_EQ(world.shard.subscription_count(), 0U);
  Peer& next = world.add_peer();
  ASSERT_TRUE(world.connect(next));
  EXPECT_EQ(next.welcome.credit, peer.welcome.credit);
  EXPECT_NE(next.session, peer.session);
}

TEST(NativeSessions, a_silent_session_ends_after_its_idle_timeout) {
  World world;
  Peer& peer = world.add_peer();
  ASSERT_TRUE(world.connect(peer));
  ASSERT_EQ(peer.welcome.idle_timeout_ms, 10'000U);
  world.node.turn(world.now_ns + 9'900'000'000);
  EXPECT_EQ(world.node.sessions().session_count(), 1U);
  const auto sent = world.node.turn(world.now_ns + 10'100'000'000);
  EXPECT_EQ(world.node.sessions().session_count(), 0U);
  ASSERT_EQ(sent.size(), 1U);
  peer.on_packet(sent[0].bytes, world.now_ns);
  EXPECT_TRUE(peer.ended);
}

TEST(NativeSessions, nothing_is_kept_or_amplified_before_the_cookie_is_echoed) {
  World world;
  std::array<std::byte, native::control_bytes_max> packet;
  std::mt19937_64 random(3);
  for (int i = 0; i < 20'000; ++i) {
    native::Hello hello{.payload_bytes_max = 1472, .credit = 8, .session = 5};
    hello.nonce = {random(), random()};
    if (i % 2 == 1) hello.cookie = {random(), random()};
    const std::uint32_t bytes = encode(packet.data(), {.type = PacketType::hello}, hello);
    world.node.receive(endpoint(static_cast<std::uint16_t>(random())), {packet.data(), bytes},
                       world.now_ns);
    const auto sent = world.node.turn(world.now_ns);
    ASSERT_EQ(sent.size(), 1U);
    ASSERT_LE(sent[0].bytes.size(), bytes);
  }
  EXPECT_EQ(world.node.sessions().session_count(), 0U);
  EXPECT_EQ(world.node.dropped(DropReason::none), 10'000U);
  EXPECT_EQ(world.node.dropped(DropReason::bad_cookie), 10'000U);
}

TEST(NativeSessions, a_repeated_hello_finds_its_session_and_another_address_does_not_enter_it) {
  World world;
  Peer& peer = world.add_peer();
  ASSERT_TRUE(world.connect(peer));
  std::array<std::byte, native::control_bytes_max> packet;
  const auto bytes = finish_ack(packet.data(), peer.header(PacketType::ack), 0);
  const auto other = world.node.receive(endpoint(41'000), {packet.data(), bytes}, world.now_ns);
  EXPECT_EQ(other.reason, DropReason::unknown_session);
  base::store_le<std::uint32_t>(packet.data() + 2, peer.session + (1U << 20));
  const auto old = world.node.receive(peer.at(), {packet.data(), bytes}, world.now_ns);
  EXPECT_EQ(old.reason, DropReason::unknown_session);
  EXPECT_EQ(world.node.sessions().session_count(), 1U);
}

TEST(NativeSessions, a_packet_of_a_forgotten_session_is_answered_with_unknown_session) {
  World world;
  Peer& peer = world.add_peer();
  ASSERT_TRUE(world.connect(peer));
  Node restarted(world.shard);
  std::array<std::byte, native::control_bytes_max> packet;
  const auto bytes = encode(packet.data(), peer.header(PacketType::ping), native::Ping{1, 0});
  restarted.receive(peer.at(), {packet.data(), bytes}, world.now_ns);
  const auto sent = restarted.turn(world.now_ns);
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_LE(sent[0].bytes.size(), bytes);
  peer.on_packet(sent[0].bytes, world.now_ns);
  ASSERT_EQ(peer.errors.size(), 1U);
  EXPECT_EQ(peer.errors[0].code, Status::unknown_session);
  EXPECT_EQ(peer.errors[0].handle, peer.session);
}

TEST(NativeSessions, a_session_has_credit_where_others_have_been_given_all_of_it) {
  native::SessionsOptions options = small_options();
  options.ports[0].credits = 16;
  World world(1, 0, options);
  std::vector<Peer*> peers;
  std::uint32_t granted = 0;
  for (int i = 0; i < 10; ++i) {
    peers.push_back(&world.add_peer());
    ASSERT_TRUE(world.connect(*peers.back()));
    EXPECT_GE(peers.back()->welcome.credit, 2);
    granted += peers.back()->welcome.credit;
  }
  EXPECT_GT(granted, 16U);
  for (Peer* peer : peers) peer->end();
  ASSERT_TRUE(world.run_until([&] { return world.node.sessions().session_count() == 0; }));
  // What was not there to be given is not given back.
  Peer& first = world.add_peer();
  ASSERT_TRUE(world.connect(first));
  EXPECT_EQ(first.welcome.credit, 4);
}

// More sessions than the port has descriptors, each with two packets on their way.
struct CrowdedPort {
  static native::SessionsOptions options() {
    native::SessionsOptions options = small_options();
    options.ports[0].credits = 8;
    return options;
  }
  CrowdedPort() { crowd(); }
  void crowd() {
    peers.clear();
    for (int i = 0; i < 14; ++i) {
      peers.push_back(&world.add_peer(100 + i));
      EXPECT_TRUE(world.connect(*peers.back()));
    }
  }
  void publish(std::size_t value_bytes) {
    for (int i = 0; i < 10; ++i) {
      for (std::size_t p = 0; p < peers.size(); ++p) {
        peers[p]->publish(make_batch(100 + static_cast<base::ProducerId>(p), i, 1, value_bytes), 1);
      }
    }
  }
  void expect_all_taken() {
    for (const Peer* peer : peers) {
      ASSERT_TRUE(world.run_until([&] { return world.memory(*peer) == 10; }));
    }
    EXPECT_EQ(world.node.held_frames(), 0U);
  }

  World world{1, 0, options()};
  std::vector<Peer*> peers;
};

TEST(NativeSessions, no_more_frames_are_held_than_the_port_can_spare) {
  CrowdedPort at;
  at.world.node.append_room_bytes = 0;
  at.world.run(1);
  at.publish(10);
  at.world.run(50);
  // The eight that were charged for, and a quarter as many.
  EXPECT_LE(at.world.node.held_frames(), 8U + 2U);
  EXPECT_GE(at.world.node.dropped(DropReason::outside_window), 1U);
  at.world.node.append_room_bytes = 1 << 20;
  at.expect_all_taken();
}

TEST(NativeSessions, frames_of_sessions_that_end_may_be_held_by_others) {
  CrowdedPort at;
  std::size_t held = 0;
  for (int round = 0; round < 2; ++round) {
    at.world.node.append_room_bytes = 0;
    at.world.run(1);
    at.publish(10);
    at.world.run(50);
    if (round == 0) held = at.world.node.held_frames();
    EXPECT_GT(held, 8U);
    EXPECT_EQ(at.world.node.held_frames(), held);
    for (Peer* peer : at.peers) peer->end();
    ASSERT_TRUE(at.world.run_until([&] { return at.world.node.sessions().session_count() == 0; }));
    EXPECT_EQ(at.world.node.held_frames(), 0U);
    at.world.node.append_room_bytes = 1 << 20;
    at.crowd();
  }
}

// Two buffers put batches together: the next fragment of those who have one gets through.
TEST(NativeSessions, batches_in_fragments_of_a_crowd_all_arrive) {
  CrowdedPort at;
  at.publish(5000);
  at.expect_all_taken();
}

TEST(NativeSessions, sessions_are_refused_when_the_table_is_full) {
  native::SessionsOptions options = small_options();
  options.sessions_max = 1;
  World world(1, 0, options);
  Peer& first = world.add_peer();
  ASSERT_TRUE(world.connect(first));
  Peer& second = world.add_peer();
  second.open("t");
  ASSERT_TRUE(world.run_until([&] { return !second.errors.empty(); }));
  EXPECT_EQ(second.errors[0].code, Status::session_table_full);
  EXPECT_GE(world.node.dropped(DropReason::session_table_full), 1U);
}

TEST(NativeSessions, a_subscription_behind_the_log_start_ends_reliably) {
  World world(5, 20);
  Peer& peer = world.add_peer();
  ASSERT_TRUE(world.connect(peer));
  for (int i = 0; i < 10; ++i) peer.publish(make_batch(100, i, 1, 10), 1);
  ASSERT_TRUE(world.run_until([&] { return world.memory(peer) == 10; }));
  peer.subscribe(native::StartAt::latest);
  ASSERT_TRUE(world.run_until([&] { return peer.subscribed.size() == 1; }));
  world.shard.delete_topic("t");
  ASSERT_TRUE(world.run_until([&] { return peer.gone.size() == 1; }));
  EXPECT_EQ(peer.gone[peer.subscribed[0].subscription], Status::partition_gone);
}

// Small batches fill the window before they have used up what was granted.
TEST(NativeSessions, a_subscription_that_meets_damage_is_sent_all_that_lies_before_it) {
  World world;
  Peer& peer = world.add_peer();
  peer.push_credit = 4;
  ASSERT_TRUE(world.connect(peer));
  for (int i = 0; i < 20; ++i) peer.publish(make_batch(100, i, 1, 10), 1);
  ASSERT_TRUE(world.run_until([&] { return world.memory(peer) == 20; }));
  world.shard.damage(0, 15);
  peer.subscribe(native::StartAt::earliest);
  ASSERT_TRUE(world.run_until([&] { return peer.gone.size() == 1; }));
  EXPECT_EQ(peer.gone[peer.subscribed[0].subscription], Status::partition_damaged);
  EXPECT_EQ(peer.delivered.size(), 15U);
  EXPECT_EQ(world.shard.subscription_count(), 0U);
}

TEST(NativeSessions, an_idle_subscription_beats_with_doubling_intervals) {
  World world;
  Peer& peer = world.add_peer();
  ASSERT_TRUE(world.connect(peer));
  peer.subscribe(native::StartAt::latest);
  ASSERT_TRUE(world.run_until([&] { return peer.subscribed.size() == 1; }));
  world.run(800);  // 8 ms: beats at 1, 3 and 7 ms
  EXPECT_EQ(peer.received[PacketType::beat], 3U);
  EXPECT_EQ(peer.last_beat.next_offset, 0);
}

TEST(NativeSessions, open_of_an_unknown_topic_or_partition_is_answered) {
  World world;
  Peer& peer = world.add_peer();
  peer.open("nothing");
  peer.open("t", 4);
  ASSERT_TRUE(world.run_until([&] { return peer.opened.size() == 2; }));
  EXPECT_EQ(peer.opened[0].status, Status::unknown_topic);
  EXPECT_EQ(peer.opened[1].status, Status::unknown_topic);
  EXPECT_EQ(world.node.sessions().stream_count(), 0U);
}

TEST(NativeSessions, fragments_wait_for_a_buffer_and_all_buffers_come_back) {
  World world;
  std::vector<Peer*> peers;
  for (int i = 0; i < 5; ++i) {
    peers.push_back(&world.add_peer(100 + i));
    ASSERT_TRUE(world.connect(*peers.back()));
  }
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 5; ++i) peers[i]->publish(make_batch(100 + i, round, 1, 300'000), 1);
  }
  ASSERT_TRUE(world.run_until([&] {
    for (Peer* peer : peers) {
      if (world.memory(*peer) != 3) return false;
    }
    return true;
  }));
  EXPECT_EQ(world.node.held_frames(), 0U);
}

TEST(NativeSessions, a_batch_begun_and_never_finished_does_not_keep_its_buffer_by_pings_alone) {
  World world;
  Peer& peer = world.add_peer();
  ASSERT_TRUE(world.connect(peer));
  const std::uint32_t sessions_before = world.node.sessions().session_count();
  peer.publish(make_batch(100, 0, 1, 300'000), 1);
  for (const Bytes& packet : peer.step(world.now_ns)) {
    if (packet[1] == static_cast<std::byte>(PacketType::data)) {
      world.node.receive(peer.at(), packet, world.now_ns);
      break;
    }
  }
  for (int second = 0; second < 8; ++second) {
    world.now_ns += base::second_ns;
    Bytes packet(native::control_bytes_max);
    const auto bytes = encode(packet.data(), peer.header(PacketType::ping), native::Ping{1, 0});
    world.node.receive(peer.at(), {packet.data(), bytes}, world.now_ns);
    world.node.turn(world.now_ns);
    if (second < 4) {
      EXPECT_EQ(world.node.sessions().session_count(), sessions_before);
    }
  }
  EXPECT_EQ(world.node.sessions().session_count(), sessions_before - 1);
}

TEST(NativeSessions, few_buffers_and_short_ranges_only_slow_a_subscriber_down) {
  World world(3, 3);
  world.shard.set_range_bytes_max(2000);
  world.node.packets_per_turn = 3;
  Peer& peer = world.add_peer();
  peer.push_credit = 5;
  ASSERT_TRUE(world.connect(peer));
  peer.subscribe(native::StartAt::earliest);
  for (int i = 0; i < 30; ++i) peer.publish(make_batch(100, i, 1, i % 3 == 0 ? 20'000 : 30), 1);
  ASSERT_TRUE(world.run_until([&] { return peer.delivered.size() == 30; }));
  EXPECT_EQ(peer.delivered[29].base_offset, 29);
}

// The node has the batch, and is about to push it.
void subscribe_and_publish_one(World& world, Peer& peer) {
  ASSERT_TRUE(world.connect(peer));
  peer.subscribe(native::StartAt::earliest);
  ASSERT_TRUE(world.run_until([&] { return peer.subscribed.size() == 1; }));
  world.run(2);
  peer.publish(make_batch(100, 0, 1, 10), 1);
  for (Bytes& packet : peer.step(world.now_ns)) world.node.receive(peer.at(), packet, world.now_ns);
}

TEST(NativeSessions, offsets_that_compaction_took_are_passed) {
  World world(4, 3);
  Peer& peer = world.add_peer();
  ASSERT_TRUE(world.connect(peer));
  for (int i = 0; i < 20; ++i) peer.publish(make_batch(100, i, 1, 3000), 1);
  ASSERT_TRUE(world.run_until([&] { return world.memory(peer) == 20; }));
  for (base::Offset offset = 0; offset < 20; ++offset) {
    if (offset % 5 != 3) world.shard.compact(0, offset, {});
  }
  peer.subscribe(native::StartAt::earliest);
  ASSERT_TRUE(world.run_until([&] { return peer.delivered.size() == 4; }));
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(peer.delivered[i].base_offset, static_cast<base::Offset>(5 * i + 3));
  }
  peer.publish(make_batch(100, 20, 1, 10), 1);  // behind the gap at the end
  ASSERT_TRUE(world.run_until([&] { return peer.delivered.size() == 5; }));
  EXPECT_EQ(peer.delivered[4].base_offset, 20);
}

TEST(NativeSessions, a_batch_that_compaction_changed_is_sent_from_its_beginning) {
  for (const std::uint32_t left_bytes : {30U, 15'000U}) {
    World world;
    world.shard.set_range_bytes_max(2000);
    world.node.packets_per_turn = 3;
    Peer& peer = world.add_peer();
    peer.push_credit = 5;
    ASSERT_TRUE(world.connect(peer));
    peer.publish(make_batch(100, 0, 1, 20'000), 1);
    ASSERT_TRUE(world.run_until([&] { return world.memory(peer) == 1; }));
    peer.subscribe(native::StartAt::earliest);
    ASSERT_TRUE(world.run_until([&] { return world.shard.subscription_count() == 1; }));
    world.run(4);
    ASSERT_TRUE(peer.delivered.empty());
    const Bytes left = make_batch(100, 0, 1, left_bytes);
    world.shard.compact(0, 0, left);
    ASSERT_TRUE(world.run_until([&] { return peer.delivered.size() == 1; }, 1000)) << left_bytes;
    EXPECT_EQ(storage::check_batch(peer.delivered[0].bytes), storage::BatchFault::none);
    EXPECT_EQ(peer.delivered[0].bytes.size(), left.size());
  }
}

TEST(NativeSessions, a_lost_push_whose_batch_compaction_changed_ends_the_subscription) {
  for (const std::uint32_t left_bytes : {0U, 5U, 20U}) {
    World world;
    Peer& peer = world.add_peer();
    ASSERT_NO_FATAL_FAILURE(subscribe_and_publish_one(world, peer));
    world.node.turn(world.now_ns);  // pushed, and lost
    world.shard.compact(0, 0, left_bytes == 0 ? Bytes() : make_batch(100, 0, 1, left_bytes));
    peer.publish(make_batch(100, 1, 1, 10), 1);
    ASSERT_TRUE(world.run_until([&] { return peer.gone.size() == 1; }, 1000)) << left_bytes;
    EXPECT_EQ(peer.gone[peer.subscribed[0].subscription], Status::offset_out_of_range);
    EXPECT_TRUE(peer.delivered.empty());
  }
}

// A subscriber to whom so many batches are pushed in one turn; the packets of that.
std::vector<Outgoing> push_at_once(World& world, Peer& peer, std::int32_t batches) {
  EXPECT_TRUE(world.connect(peer));
  peer.subscribe(native::StartAt::earliest);
  EXPECT_TRUE(world.run_until([&] { return peer.subscribed.size() == 1; }));
  world.run(4);
  for (std::int32_t i = 0; i < batches; ++i) peer.publish(make_batch(100, i, 1, 80 + i % 7), 1);
  for (Bytes& packet : peer.step(world.now_ns)) world.node.receive(peer.at(), packet, world.now_ns);
  std::vector<Outgoing> pushed = world.node.turn(world.now_ns);
  std::erase_if(pushed, [](const Outgoing& packet) {
    return packet.bytes[1] != static_cast<std::byte>(PacketType::push);
  });
  return pushed;
}

void expect_all(const Peer& peer, std::size_t batches) {
  ASSERT_EQ(peer.delivered.size(), batches);
  for (std::size_t i = 0; i < batches; ++i) {
    EXPECT_EQ(peer.delivered[i].base_offset, static_cast<base::Offset>(i));
    EXPECT_EQ(storage::check_batch(peer.delivered[i].bytes), storage::BatchFault::none);
  }
}

TEST(NativeSessions, small_batches_of_one_turn_share_packets) {
  World world;
  Peer& peer = world.add_peer();
  const std::vector<Outgoing> pushed = push_at_once(world, peer, 60);
  EXPECT_EQ(pushed.size(), 7U);  // of 1,472 bytes, for batches of some 160
  for (const Outgoing& packet : pushed) peer.on_packet(packet.bytes, world.now_ns);
  expect_all(peer, 60);
}

TEST(NativeSessions, lost_pushes_of_many_batches_are_sent_again_as_they_were) {
  // Of more peers than packets are put together at a time, and with fewer buffers than packets. To
  // read one again takes longer than a peer waits before it asks again.
  for (const std::uint32_t packets_per_turn : {64U, 2U}) {
    World world;
    std::vector<Peer*> peers;
    for (base::ProducerId i = 0; i < 12; ++i) {
      peers.push_back(&world.add_peer(100 + i));
      peers.back()->open("t", static_cast<std::uint16_t>(i % 4));
    }
    ASSERT_TRUE(world.run_until([&] {
      return std::ranges::all_of(peers, [](const Peer* peer) { return peer->opened.size() == 1; });
    }));
    for (Peer* peer : peers) peer->subscribe(native::StartAt::earliest);
    world.run(6);
    for (std::size_t i = 0; i < 4; ++i) {
      for (std::int32_t n = 0; n < 40; ++n) {
        peers[i]->publish(make_batch(100 + static_cast<base::ProducerId>(i), n, 1, 80), 1);
      }
      for (Bytes& packet : peers[i]->step(world.now_ns)) {
        world.node.receive(peers[i]->at(), packet, world.now_ns);
      }
    }
    std::size_t lost = 0;
    for (const Outgoing& packet : world.node.turn(world.now_ns)) {
      lost += packet.bytes[1] == static_cast<std::byte>(PacketType::push) ? 1 : 0;
    }
    EXPECT_GE(lost, 40U);
    world.node.packets_per_turn = packets_per_turn;
    ASSERT_TRUE(world.run_until(
        [&] {
          return std::ranges::all_of(peers,
                                     [](const Peer* peer) { return peer->delivered.size() >= 40; });
        },
        20'000));
    for (const Peer* peer : peers) {
      expect_all(*peer, 40);
      EXPECT_TRUE(peer->gone.empty());
    }
  }
}

TEST(NativeSessions, a_lost_push_of_many_batches_that_are_not_all_there_ends_the_subscription) {
  for (const base::Offset taken : {0, 3, 8}) {
    World world;
    Peer& peer = world.add_peer();
    ASSERT_EQ(push_at_once(world, peer, 9).size(), 1U);
    world.shard.compact(0, taken, {});
    ASSERT_TRUE(world.run_until([&] { return peer.gone.size() == 1; }, 1000)) << taken;
    EXPECT_EQ(peer.gone[peer.subscribed[0].subscription], Status::offset_out_of_range);
    EXPECT_TRUE(peer.delivered.empty());
  }
}

TEST(NativeSessions,
     a_lost_push_of_which_compaction_made_as_many_bytes_of_fewer_batches_is_missed) {
  World world;
  Peer& peer = world.add_peer();
  ASSERT_EQ(push_at_once(world, peer, 3).size(), 1U);
  const auto& log = world.shard.log(0);
  const std::size_t wanted = log[0].bytes.size() + log[2].bytes.size();
  std::uint32_t value_bytes = 80;
  while (make_batch(100, 0, 1, value_bytes).size() < wanted) ++value_bytes;
  ASSERT_EQ(make_batch(100, 0, 1, value_bytes).size(), wanted);
  world.shard.compact(0, 0, make_batch(100, 0, 1, value_bytes));
  ASSERT_TRUE(world.run_until([&] { return peer.gone.size() == 1; }, 1000));
  EXPECT_TRUE(peer.delivered.empty());
}

TEST(NativeSessions, what_is_granted_fits_the_window_and_is_not_read_twice) {
  for (const std::uint32_t value_bytes : {10U, 700U, 1000U, 3000U}) {
    World world;
    Peer& peer = world.add_peer();
    peer.push_credit = 8;
    ASSERT_TRUE(world.connect(peer));
    for (std::int32_t i = 0; i < 300; ++i) peer.publish(make_batch(100, i, 1, value_bytes), 1);
    ASSERT_TRUE(world.run_until([&] { return world.memory(peer) == 300; }));
    peer.subscribe(native::StartAt::earliest);
    ASSERT_TRUE(world.run_until([&] { return peer.delivered.size() == 300; }));
    std::uint64_t bytes = 0;
    for (const auto& one : peer.delivered) bytes += one.bytes.size();
    // But for pieces, where the window had less room than one more packet.
    EXPECT_LE(world.shard.pushed_bytes(), bytes + bytes / 20) << value_bytes;
  }
}

TEST(NativeSessions, random_truncated_and_replayed_packets_are_each_counted_under_one_reason) {
  World world(1);
  Peer& peer = world.add_peer();
  ASSERT_TRUE(world.connect(peer));
  peer.subscribe(native::StartAt::earliest);
  ASSERT_TRUE(world.run_until([&] { return peer.subscribed.size() == 1; }));
  peer.publish(make_batch(100, 0, 1, 3000), 1);
  std::vector<Bytes> seen = peer.step(world.now_ns);
  std::mt19937_64 random(11);
  for (int i = 0; i < 200'000; ++i) {
    Bytes packet = seen[random() % seen.size()];
    if (i % 4 != 0) {
      const std::uint64_t changes = 1 + random() % 6;
      for (std::uint64_t c = 0; c < changes; ++c) {
        packet[random() % packet.size()] = static_cast<std::byte>(random());
      }
    }
    if (i % 3 == 0) packet[1] = static_cast<std::byte>(random() % 0x32);
    if (i % 5 == 0) packet.resize(random() % (packet.size() + 1));
    world.node.receive(peer.at(), packet, world.now_ns);
    if (i % 8 == 0) {
      world.now_ns += random() % 20'000;
      world.node.turn(world.now_ns);
    }
  }
  std::uint64_t counted = 0;
  for (std::size_t i = 0; i < base::drop_reason_count; ++i) {
    counted += world.node.dropped(static_cast<DropReason>(i));
  }
  EXPECT_EQ(counted, world.node.received());
  for (const DropReason reason :
       {DropReason::bad_magic, DropReason::bad_version, DropReason::unknown_type,
        DropReason::malformed, DropReason::unknown_session, DropReason::duplicate_packet,
        DropReason::outside_window}) {
    EXPECT_GT(world.node.dropped(reason), 0U) << static_cast<int>(reason);
  }
}

TEST(NativeSessions, a_lost_push_whose_bytes_left_the_log_ends_the_subscription) {
  World world;
  Peer& peer = world.add_peer();
  ASSERT_NO_FATAL_FAILURE(subscribe_and_publish_one(world, peer));
  bool pushed = false;  // and lost
  for (const Outgoing& packet : world.node.turn(world.now_ns)) {
    pushed |= packet.bytes[1] == static_cast<std::byte>(PacketType::push);
  }
  ASSERT_TRUE(pushed);
  world.shard.trim(0, 1);
  ASSERT_TRUE(world.run_until([&] { return peer.gone.size() == 1; }, 1000));
  EXPECT_EQ(peer.gone[peer.subscribed[0].subscription], Status::offset_out_of_range);
  EXPECT_EQ(world.shard.subscription_count(), 0U);
  EXPECT_TRUE(peer.delivered.empty());
}

TEST(NativeSessions,
     a_push_that_arrived_and_cannot_be_repaired_ends_the_subscription_all_the_same) {
  World world;
  Peer& peer = world.add_peer();
  ASSERT_NO_FATAL_FAILURE(subscribe_and_publish_one(world, peer));
  for (const Outgoing& packet : world.node.turn(world.now_ns)) {
    peer.on_packet(packet.bytes, world.now_ns);
  }
  ASSERT_EQ(peer.delivered.size(), 1U);
  // All that the peer says of it is lost, and the node reads it again, too late.
  world.shard.trim(0, 1);
  for (int i = 0; i < 2'000 && world.shard.subscription_count() != 0; ++i) {
    world.now_ns += 100'000;
    static_cast<void>(peer.step(world.now_ns));
    for (const Outgoing& packet : world.node.turn(world.now_ns)) {
      peer.on_packet(packet.bytes, world.now_ns);
    }
  }
  ASSERT_EQ(world.shard.subscription_count(), 0U);
  ASSERT_TRUE(world.run_until([&] { return peer.gone.size() == 1; }, 1000));
  EXPECT_EQ(peer.gone[peer.subscribed[0].subscription], Status::offset_out_of_range);
}

TEST(NativeSessions, a_producer_that_comes_back_resumes_and_its_duplicates_are_acknowledged) {
  World world;
  Peer& before = world.add_peer();
  ASSERT_TRUE(world.connect(before));
  before.publish(make_batch(100, 0, 5, 10), 5);
  ASSERT_TRUE(world.run_until([&] { return world.memory(before) == 5; }));
  Peer& after = world.add_peer();
  ASSERT_TRUE(world.connect(after));
  EXPECT_EQ(after.opened[0].last_sequence, 4);
  EXPECT_EQ(after.opened[0].accepted, 5U);
  after.publish(make_batch(100, 0, 5, 10), 5);
  after.publish(make_batch(100, 5, 2, 10), 2);
  ASSERT_TRUE(world.run_until([&] { return world.memory(after) == 7; }));
  EXPECT_EQ(world.durable(after), 0U) << "nothing is durable yet";
  world.shard.make_durable();
  ASSERT_TRUE(world.run_until([&] { return world.durable(after) == 7; }));
  EXPECT_EQ(world.shard.duplicates(), 1U);
  EXPECT_EQ(world.shard.log(0).size(), 2U);
}

TEST(NativeSessions, an_ack_that_was_lost_is_told_again_after_a_ping) {
  World world;
  Peer& peer = world.add_peer();
  ASSERT_TRUE(world.connect(peer));
  peer.publish(make_batch(100, 0, 5, 10), 5);
  for (Bytes& packet : peer.step(world.now_ns)) world.node.receive(peer.at(), packet, world.now_ns);
  world.node.turn(world.now_ns);  // lost
  world.shard.make_durable();
  world.node.turn(world.now_ns);  // lost
  EXPECT_EQ(world.durable(peer), 0U);
  EXPECT_TRUE(world.run_until([&] { return world.durable(peer) == 5; }, 1000));
}

TEST(NativeSessions, all_sessions_can_be_ended_for_a_shutdown) {
  World world;
  Peer& first = world.add_peer();
  Peer& second = world.add_peer();
  ASSERT_TRUE(world.connect(first));
  ASSERT_TRUE(world.connect(second));
  world.node.sessions().end_all(Status::shutting_down);
  ASSERT_TRUE(world.run_until([&] { return first.ended && second.ended; }, 10));
  EXPECT_EQ(world.node.sessions().session_count(), 0U);
  EXPECT_EQ(world.node.sessions().next_deadline_ns(), native::never_ns);
}

}  // namespace
}  // namespace millrace::testing

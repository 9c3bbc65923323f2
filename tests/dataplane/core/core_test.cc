#include "dataplane/core/core.h"

#include <gtest/gtest.h>

#include <random>

#include "dataplane/net/parse.h"
#include "tests/dataplane/core/guests.h"

namespace millrace::core {
namespace {

using base::Delivery;
using base::DropReason;

TestNodeOptions ethernet() {
  TestNodeOptions options;
  options.port.framing = port::Framing::ethernet;
  return options;
}

// The real client publishes and reads back what it published.
void expect_round_trip(const TestNodeOptions& options) {
  TestNode node(options);
  node.make_topic();
  ClientGuest guest(node, node.clock);
  client::Producer* producer = guest.client.open_producer({.topic = "t"});
  guest.client.subscribe({.topic = "t", .start_at = native::StartAt::earliest});
  constexpr std::size_t count = 5000;
  std::vector<std::string> offered;
  mr_acks acks{};
  const auto done = [&] { return guest.records.size() == count && producer->drained(); };
  for (int turn = 0; turn < 200'000 && !done(); ++turn) {
    while (offered.size() < count) {
      const std::string value = "record " + std::to_string(offered.size());
      if (producer->offer(std::nullopt, value) < 0) break;
      offered.push_back(value);
    }
    guest.poll();
    producer->poll_acks(acks);
    node.turn();
  }
  EXPECT_EQ(offered.size(), count);
  EXPECT_EQ(guest.records, offered);
  EXPECT_TRUE(producer->drained());
  node.clock.advance(100'000'000);
  node.turn();
  EXPECT_EQ(node.region->cores[0].records_appended.get(), count);
  EXPECT_EQ(node.region->cores[0].sessions.get(), 1U);
  EXPECT_EQ(node.region->partitions[0].log_end.get(), count);
  EXPECT_EQ(node.region->partitions[0].durable_end.get(), count);
  EXPECT_EQ(node.region->shards[0].durable_position.get(),
            node.region->shards[0].append_position.get());
  node.expect_balanced();
  EXPECT_TRUE(node.at().core.drain().has_value());
  node.expect_all_given_back();
}

TEST(Core, a_client_publishes_and_reads_it_back_over_datagrams) { expect_round_trip({}); }

TEST(Core, a_client_finds_the_node_by_arp_and_does_the_same_over_ethernet) {
  expect_round_trip(ethernet());
}

TEST(Core, arp_and_ping_are_answered) {
  TestNode node(ethernet());
  const net::Identity guest{.mac = {2, 0, 0, 0, 0, 2}, .ipv4 = 0x0a000002};
  Bytes request(net::arp_frame_bytes);
  net::write_arp_request(request.data(), guest, node.options.port.ipv4);
  ASSERT_TRUE(node.port().deliver(request));
  node.turn();
  const auto arp = node.port().take_sent();
  ASSERT_TRUE(arp.has_value());
  const auto reply = net::parse_frame(arp->bytes, guest, false);
  EXPECT_EQ(reply.kind, net::FrameKind::arp_reply);
  EXPECT_EQ(reply.peer.mac, node.options.port.mac);

  Bytes message(sizeof(net::IcmpHeader) + 40, std::byte{0x5a});
  base::Endpoint us;
  us.ipv4 = node.options.port.ipv4;
  us.mac = node.options.port.mac;
  Bytes ping(message.size() + 34);
  ASSERT_EQ(net::write_icmp_echo_reply(ping, guest, us, message), ping.size());
  ping[34] = std::byte{net::icmp_echo_request};
  ping[35] = std::byte{0};
  base::store_be<std::uint16_t>(ping.data() + 36, 0);
  base::store_be<std::uint16_t>(ping.data() + 36,
                                net::internet_checksum(std::span(ping).subspan(34)));
  ASSERT_TRUE(node.port().deliver(ping));
  node.turn();
  const auto echo = node.port().take_sent();
  ASSERT_TRUE(echo.has_value());
  ASSERT_EQ(echo->bytes.size(), ping.size());
  EXPECT_EQ(echo->bytes[34], std::byte{net::icmp_echo_reply});
  EXPECT_TRUE(std::equal(echo->bytes.begin() + 38, echo->bytes.end(), ping.begin() + 38));
  EXPECT_EQ(node.delivered(Delivery::arp), 1U);
  EXPECT_EQ(node.delivered(Delivery::icmp), 1U);
  node.expect_balanced();
}

TEST(Core, datagrams_to_a_listener_become_records) {
  TestNodeOptions options;
  options.listeners = {"5514=t,framing=lines,key=source"};
  TestNode node(options);
  PeerGuests guests(node);
  const std::string text = "one\ntwo\n";
  const auto bytes = std::as_bytes(std::span(text));
  guests.deliver(bytes, {.ipv4 = 0x01020304, .udp_port = 9}, 5514);
  node.turns(2);
  EXPECT_EQ(node.dropped(DropReason::unknown_topic), 1U);
  node.make_topic();
  node.clock.advance(datagram::Listeners::reopen_ns);
  node.turns(3);
  guests.deliver(bytes, {.ipv4 = 0x01020304, .udp_port = 9}, 5514);
  node.turns(10);
  EXPECT_EQ(node.delivered(Delivery::listener), 1U);
  Peer& reader = guests.add();
  ASSERT_TRUE(guests.connect());
  reader.subscribe(native::StartAt::earliest);
  ASSERT_TRUE(guests.run_until([&] { return reader.delivered.size() == 1; }));
  storage::RecordReader records{storage::BatchView(reader.delivered[0].bytes.data())};
  storage::Record record;
  ASSERT_TRUE(records.next(record));
  EXPECT_EQ(record.key, "1.2.3.4");
  EXPECT_EQ(record.value, "one");
  ASSERT_TRUE(records.next(record));
  EXPECT_EQ(record.value, "two");
  node.expect_balanced();
}

TEST(Core, datagrams_that_the_log_refuses_move_from_delivered_to_dropped) {
  TestNodeOptions options;
  options.listeners = {"5514=t,framing=lines"};
  options.files_max = 2;
  TestNode node(options);
  node.make_topic();
  PeerGuests guests(node);
  std::string text;
  while (text.size() < 1400) text += "line\n";
  std::uint64_t sent = 0;
  while (node.dropped(DropReason::log_refused) < 100) {
    ASSERT_LT(sent, 50'000U);
    for (int i = 0; i < 32; ++i, ++sent) {
      guests.deliver(std::as_bytes(std::span(text)), {.ipv4 = 1, .udp_port = 9}, 5514);
    }
    node.turn(1'000'000);
  }
  node.clock.advance(100'000'000);
  node.turns(2);
  node.expect_balanced();
  EXPECT_LE(node.delivered(Delivery::listener), sent);
  EXPECT_GT(node.region->shards[0].refused_full.get(), 0U);
}

// --- batches of every size, in turns that may not allocate ---

TEST(Core, no_turn_allocates_with_batches_up_to_the_largest) {
  TestNode node;
  node.make_topic();
  PeerGuests guests(node);
  Peer& writer = guests.add(100);
  Peer& reader = guests.add(base::no_producer_id);
  ASSERT_TRUE(guests.connect());
  reader.subscribe(native::StartAt::earliest);
  std::vector<Bytes> batches;
  std::int32_t sequence = 0;
  for (const std::uint32_t value_bytes : {10U, 1000U, 10'000U, 200'000U, 1'048'000U, 64U}) {
    batches.push_back(testing::make_batch(100, sequence++, 1, value_bytes));
    writer.publish(batches.back(), 1, native::data_durable);
  }
  ASSERT_TRUE(guests.run_until([&] {
    return guests.durable(writer) == batches.size() && reader.delivered.size() == batches.size();
  }));
  for (std::size_t i = 0; i < batches.size(); ++i) {
    storage::stamp_batch(batches[i].data(), static_cast<base::Offset>(i), 0);
    EXPECT_EQ(reader.delivered[i].bytes, batches[i]) << i;
  }
  node.expect_balanced();
}

TEST(Core, the_past_is_read_from_disk_in_turns_that_may_not_allocate) {
  TestNode node;
  node.make_topic();
  PeerGuests guests(node);
  Peer& writer = guests.add(100);
  ASSERT_TRUE(guests.connect());
  std::vector<Bytes> batches;
  for (std::int32_t i = 0; i < 36; ++i) {  // 14 MiB through a tail of 8
    batches.push_back(testing::make_batch(100, i, 1, 400'000));
    writer.publish(batches.back(), 1, native::data_durable);
    ASSERT_TRUE(guests.run_until([&] { return guests.durable(writer) == batches.size(); }));
  }
  Peer& reader = guests.add(base::no_producer_id);
  ASSERT_TRUE(guests.connect());
  reader.subscribe(native::StartAt::earliest);
  ASSERT_TRUE(guests.run_until([&] { return reader.delivered.size() == batches.size(); }));
  for (std::size_t i = 0; i < batches.size(); ++i) {
    storage::stamp_batch(batches[i].data(), static_cast<base::Offset>(i), 0);
    ASSERT_EQ(reader.delivered[i].bytes, batches[i]) << i;
  }
}

// --- the ledger ---

// Frames of every kind, good and bad, from a seed.
class Storm {
 public:
  Storm(TestNode& node, PeerGuests& guests, std::uint64_t seed)
      : node_(node), guests_(guests), random_(seed) {
    guests.on_send = [this](Bytes& packet, Peer& peer) {
      peer.impersonated = true;
      const Bytes frame = guests_.udp_frame(packet, peer.at(), 7070);
      if (seen_.size() < 500) seen_.push_back(frame);
      if (random_() % 20 != 0) deliver(frame);
      if (random_() % 20 == 0) deliver(frame);
    };
  }

  void blow(int count) {
    for (int i = 0; i < count; ++i) deliver(next());
  }
  std::uint64_t delivered = 0;

 private:
  void deliver(const Bytes& frame) { delivered += node_.port().deliver(frame) ? 1 : 0; }

  Bytes random_bytes(std::size_t most) {
    Bytes bytes(random_() % (most + 1));
    for (auto& byte : bytes) byte = static_cast<std::byte>(random_());
    return bytes;
  }
  Bytes next() {
    const base::Endpoint stranger{.ipv4 = 0x0a000003, .udp_port = 50000};
    switch (random_() % 8) {
      case 0:
        return random_bytes(200);
      case 1:  // a payload of noise behind good headers, to native, listener or nobody
        return guests_.udp_frame(random_bytes(1400), stranger,
                                 std::array<std::uint16_t, 3>{7070, 5514, 99}[random_() % 3]);
      case 2: {  // a good header of the protocol, then noise
        Bytes payload = random_bytes(600);
        payload.resize(payload.size() + native::header_bytes);
        native::store_header(payload.data(),
                             {.type = static_cast<native::PacketType>(random_() % 0x32),
                              .session = static_cast<std::uint32_t>(random_())});
        return guests_.udp_frame(payload, stranger, 7070);
      }
      case 3: {
        Bytes arp(net::arp_frame_bytes);
        net::write_arp_request(arp.data(), PeerGuests::identity_of(stranger),
                               random_() % 2 ? node_.options.port.ipv4 : 0x0a0000ffU);
        return arp;
      }
      default:
        break;
    }
    Bytes frame = seen_.empty() ? random_bytes(100) : seen_[random_() % seen_.size()];
    switch (random_() % 4) {
      case 0:
        frame.resize(random_() % (frame.size() + 1));  // truncated
        break;
      case 1:
        if (!frame.empty())
          frame[random_() % frame.size()] ^= static_cast<std::byte>(1 + random_() % 255);
        break;
      case 2:
        if (frame.size() > 5) frame[5] ^= std::byte{1};  // another's
        break;
      default:
        break;  // replayed
    }
    return frame;
  }

  TestNode& node_;
  PeerGuests& guests_;
  std::mt19937_64 random_;
  std::vector<Bytes> seen_;
};

void expect_whole_ledger(std::uint64_t seed, std::uint32_t tx_frames) {
  SCOPED_TRACE(seed);
  TestNodeOptions options = ethernet();
  options.listeners = {"5514=t,framing=lines"};
  options.port.tx_frames = tx_frames;
  TestNode node(options);
  node.make_topic();
  PeerGuests guests(node);
  Storm storm(node, guests, seed);
  for (int i = 0; i < 4; ++i) guests.add(100 + i).open("t");
  std::int32_t sequence = 0;
  for (int round = 0; round < 1000; ++round) {
    for (auto& peer : guests.peers()) {
      if (peer->opened.empty() || !peer->idle() || round % 8 != 0) continue;
      const base::ProducerId producer = 100 + (peer->at().udp_port - 40000);
      peer->publish(testing::make_batch(producer, sequence, 1, 3000), 1);
      if (peer->subscribed.empty() && round < 16) peer->subscribe(native::StartAt::earliest);
    }
    if (round % 8 == 0) ++sequence;
    storm.blow(26);
    guests.step();
  }
  for (int i = 0; i < 400; ++i) guests.step();
  node.clock.advance(100'000'000);
  node.turn();
  EXPECT_EQ(node.port().counters().rx_packets.get(), storm.delivered);
  EXPECT_GT(storm.delivered, 20'000U);
  node.expect_balanced();
  for (const auto reason : {DropReason::truncated_frame, DropReason::not_for_us,
                            DropReason::no_listener, DropReason::bad_magic, DropReason::malformed,
                            DropReason::unknown_session, DropReason::unknown_type}) {
    EXPECT_GT(node.dropped(reason), 0U)
        << base::drop_reason_names[static_cast<std::size_t>(reason)];
  }
  EXPECT_TRUE(node.at().core.drain().has_value());
  node.expect_balanced();
  node.expect_all_given_back();
}

TEST(Core, every_frame_is_delivered_or_dropped_for_one_reason_and_given_back) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) expect_whole_ledger(seed, 256);
}

TEST(Core, the_ledger_is_whole_when_the_port_runs_out_of_transmit_buffers) {
  expect_whole_ledger(11, 3);
}

TEST(Core, a_port_without_any_transmit_buffer_takes_everything_and_says_nothing) {
  TestNodeOptions options = ethernet();
  options.port.tx_frames = 0;
  TestNode node(options);
  node.make_topic();
  PeerGuests guests(node);
  Storm storm(node, guests, 21);
  guests.add(100).open("t");
  for (int i = 0; i < 300; ++i) {
    storm.blow(30);
    guests.step();
  }
  EXPECT_EQ(node.port().counters().tx_packets.get(), 0U);
  EXPECT_EQ(node.port().counters().rx_packets.get(), storm.delivered);
  EXPECT_GT(node.dropped(DropReason::busy), 0U);
  node.expect_balanced();
  EXPECT_TRUE(node.at().core.drain().has_value());
  node.expect_all_given_back();
}

// --- looks between turns ---

TEST(Core, a_look_finds_a_frame_and_leaves_it_to_the_next_turn) {
  TestNode node;
  node.make_topic();
  PeerGuests guests(node);
  EXPECT_FALSE(node.at().core.has_input());
  ASSERT_TRUE(guests.deliver(Bytes(30), testing::endpoint(1)));
  EXPECT_TRUE(node.at().core.has_input());
  EXPECT_TRUE(node.at().core.has_input());
  EXPECT_EQ(node.port().rx_lent_count(), 1U);
  node.turn();
  EXPECT_EQ(node.port().rx_lent_count(), 0U);
  EXPECT_EQ(node.port().counters().rx_packets.get(), 1U);
  EXPECT_FALSE(node.at().core.has_input());
  node.expect_balanced();
  EXPECT_TRUE(node.at().core.drain().has_value());
}

TEST(Core, a_look_finds_what_another_core_sent) {
  TestNodeOptions options;
  options.core_count = 2;
  TestNode node(options);
  node.make_topic(2);
  PeerGuests guests(node);
  Peer& peer = guests.add(100);
  ASSERT_TRUE(guests.connect(1));  // the partition of the other core
  for (int i = 0; i < 10; ++i) node.turn();
  EXPECT_FALSE(node.at(0).core.has_input());
  EXPECT_FALSE(node.at(1).core.has_input());
  peer.publish(testing::make_batch(100, 0, 1, 20), 1, 0);
  for (Bytes& packet : peer.step(guests.now())) guests.deliver(packet, peer.at());
  node.at(0).core.run_turn();
  EXPECT_TRUE(node.at(1).core.has_input()) << "a command";
  node.at(1).core.run_turn();
  EXPECT_FALSE(node.at(1).core.has_input());
  EXPECT_TRUE(node.at(0).core.has_input()) << "an event";
  node.at(0).core.run_turn();
  EXPECT_FALSE(node.at(0).core.has_input());
}

// --- many commands at once ---

// Publishes `count` batches of one packet each; the first packet waits in `late`.
void publish_behind_a_gap(PeerGuests& guests, std::int32_t count, std::vector<Bytes>& late) {
  guests.on_send = [&](Bytes& packet, Peer& peer) {
    const bool is_data = packet[1] == static_cast<std::byte>(native::PacketType::data);
    const auto seq = base::load_le<std::uint64_t>(packet.data() + 6) & native::sequence_max;
    if (is_data && seq == 1) {
      if (late.size() <= static_cast<std::size_t>(peer.at().udp_port - 40000)) {
        late.push_back(packet);
      }
      return;
    }
    guests.deliver(packet, peer.at());
  };
  for (auto& peer : guests.peers()) {
    const base::ProducerId producer = 100 + (peer->at().udp_port - 40000);
    for (std::int32_t i = 0; i < count; ++i) {
      peer->publish(testing::make_batch(producer, i, 1, 20), 1, native::data_durable);
    }
  }
}

TEST(Core, gaps_of_many_sessions_that_close_in_one_burst_are_taken_as_the_ring_has_room) {
  TestNodeOptions options;
  options.port.rx_frames = 16384;
  TestNode node(options);
  node.make_topic();
  PeerGuests guests(node);
  for (int i = 0; i < 12; ++i) guests.add(100 + i);
  ASSERT_TRUE(guests.connect());
  constexpr std::int32_t count = 250;
  std::vector<Bytes> late;
  publish_behind_a_gap(guests, count, late);
  for (int i = 0; i < 150; ++i) guests.step(1000);
  ASSERT_EQ(late.size(), 12U);
  ASSERT_GT(node.port().rx_lent_count(), 2048U);
  guests.on_send = [&](Bytes& packet, Peer& peer) { guests.deliver(packet, peer.at()); };
  for (std::size_t i = 0; i < late.size(); ++i) {
    guests.deliver(late[i], guests.peers()[i]->at());
  }
  ASSERT_TRUE(guests.run_until([&] {
    return std::all_of(guests.peers().begin(), guests.peers().end(),
                       [&](const auto& peer) { return guests.durable(*peer) == count; });
  }));
  node.expect_balanced();
  EXPECT_TRUE(node.at().core.drain().has_value());
  node.expect_all_given_back();
}

TEST(Core, a_core_whose_neighbour_stands_still_stops_reading_and_goes_on_when_it_wakes) {
  TestNodeOptions options;
  options.core_count = 2;
  options.port.rx_frames = 32'000;
  TestNode node(options);
  node.make_topic(2);
  PeerGuests guests(node);
  for (int i = 0; i < 8; ++i) guests.add(100 + i);
  ASSERT_TRUE(guests.connect(1));  // the partition of the other core
  for (auto& peer : guests.peers()) {
    const base::ProducerId producer = 100 + (peer->at().udp_port - 40000);
    for (std::int32_t i = 0; i < 100; ++i) {
      peer->publish(testing::make_batch(producer, i, 1, 20), 1, native::data_durable);
    }
  }
  // Only core 0 turns. Its commands stay in the ring to core 1, and each frame it takes waits for
  // them.
  std::uint64_t noise = 0;
  for (int turn = 0; turn < 3000; ++turn) {
    node.clock.advance(1000);
    for (auto& peer : guests.peers()) {
      for (Bytes& packet : peer->step(guests.now())) guests.deliver(packet, peer->at());
    }
    for (int i = 0; i < 29; ++i) noise += guests.deliver(Bytes(30), testing::endpoint(1)) ? 1 : 0;
    node.at(0).core.run_turn();
    guests.take_sent();
  }
  EXPECT_GT(noise, 16'384U);
  EXPECT_GT(node.port().rx_lent_count(), 16'000U);
  ASSERT_TRUE(guests.run_until([&] {
    return std::all_of(guests.peers().begin(), guests.peers().end(),
                       [&](const auto& peer) { return guests.durable(*peer) == 100; });
  }));
  node.expect_balanced();
  EXPECT_TRUE(node.at(0).core.drain().has_value());
  node.expect_all_given_back();
}

}  // namespace
}  // namespace millrace::core

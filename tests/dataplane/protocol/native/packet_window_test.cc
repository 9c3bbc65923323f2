#include "dataplane/protocol/native/packet_window.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace millrace::native {
namespace {

using Arrival = ReceiveWindow::Arrival;

TEST(PacketWindow, packets_in_order_are_next_and_cost_no_credit_once_delivered) {
  ReceiveWindow window;
  window.reset(4);
  for (std::uint64_t seq = 1; seq <= 1000; ++seq) {
    ASSERT_EQ(window.arrive(seq, 0), Arrival::next);
    window.delivered();
    ASSERT_EQ(window.ack_upto(), seq);
    ASSERT_EQ(window.credit(), 4);
  }
  EXPECT_EQ(window.nak_due_ns(), never_ns);
}

TEST(PacketWindow, what_is_not_delivered_shrinks_the_credit_to_nothing) {
  ReceiveWindow window;
  window.reset(3);
  EXPECT_EQ(window.arrive(1, 0), Arrival::next);
  EXPECT_EQ(window.arrive(2, 0), Arrival::held);
  EXPECT_EQ(window.arrive(3, 0), Arrival::held);
  EXPECT_EQ(window.ack_upto(), 3U);
  EXPECT_EQ(window.credit(), 0);
  EXPECT_EQ(window.arrive(4, 0), Arrival::outside);
  window.delivered();
  EXPECT_EQ(window.credit(), 1);
  EXPECT_EQ(window.arrive(1, 0), Arrival::duplicate);
  EXPECT_EQ(window.arrive(3, 0), Arrival::duplicate);
}

TEST(PacketWindow, all_gaps_are_asked_for_at_once_and_each_once_per_round_trip) {
  ReceiveWindow window;
  window.reset(256);
  for (const std::uint64_t seq : {3, 4, 7}) window.arrive(seq, 1000);
  EXPECT_EQ(window.nak_due_ns(), 1000U) << "three later packets";
  std::array<PacketRange, 4> ranges;
  ASSERT_EQ(window.missing_packets(1'000'000, 100'000, ranges), 2U);
  EXPECT_EQ(ranges[0].first, 1U);
  EXPECT_EQ(ranges[0].count, 2U);
  EXPECT_EQ(ranges[1].first, 5U);
  EXPECT_EQ(ranges[1].count, 2U);
  EXPECT_EQ(window.missing_packets(1'050'000, 100'000, ranges), 0U);
  window.arrive(9, 1'050'000);
  ASSERT_EQ(window.missing_packets(1'060'000, 100'000, ranges), 1U);
  EXPECT_EQ(ranges[0].first, 8U);
  EXPECT_EQ(window.missing_packets(1'200'000, 100'000, ranges), 3U);
}

TEST(PacketWindow, a_single_gap_is_asked_for_after_a_short_delay) {
  ReceiveWindow window;
  window.reset(8);
  window.arrive(2, 1000);
  EXPECT_EQ(window.nak_due_ns(), 1000 + nak_delay_ns);
  window.arrive(1, 1500);
  EXPECT_EQ(window.nak_due_ns(), never_ns);
}

TEST(PacketWindow, an_ack_of_what_was_never_sent_is_ignored) {
  SendWindow window;
  window.reset(8, 0);
  window.take_seq(0);
  EXPECT_FALSE(window.on_ack(2, 8, 10));
  EXPECT_EQ(window.in_flight(), 1U);
  window.on_nak({sequence_max - 1, 256});
  EXPECT_EQ(window.take_repair(10), 0U);
  EXPECT_TRUE(window.on_ack(1, 8, 10));
  EXPECT_FALSE(window.on_ack(0, 256, 10)) << "overtaken";
  EXPECT_EQ(window.room(), 8U);
}

TEST(PacketWindow, repairs_keep_to_their_share_and_never_starve) {
  SendWindow window;
  window.reset(256, 0);
  for (int i = 0; i < 200; ++i) window.take_seq(0);
  window.on_nak({1, 200});
  std::uint64_t repaired = 0;
  while (window.take_repair(1000) != 0) ++repaired;
  EXPECT_EQ(repaired, repairs_floor);
  for (std::uint64_t now_ns = 1000; repaired < 200; now_ns = window.deadline_ns()) {
    ASSERT_LT(now_ns, 20 * base::ms_ns);
    window.on_deadline(now_ns);
    std::uint64_t in_interval = 0;
    while (window.take_repair(now_ns) != 0) ++in_interval;
    ASSERT_LE(in_interval, 50U);
    repaired += in_interval;
  }
}

TEST(PacketWindow, a_lost_tail_is_probed_and_then_repeated_with_doubling_pauses) {
  SendWindow window;
  window.reset(8, 0);
  for (int i = 0; i < 3; ++i) window.take_seq(0);
  EXPECT_EQ(window.deadline_ns(), 2 * srtt_initial_ns);
  window.on_deadline(window.deadline_ns());
  EXPECT_EQ(window.take_repair(200'000), 3U) << "the last shows the receiver all gaps";
  EXPECT_EQ(window.take_repair(200'000), 0U);
  std::uint64_t last_ns = 200'000;
  std::uint64_t pause_ns = 400'000;
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(window.deadline_ns() - last_ns, std::min(pause_ns, timeout_max_ns));
    last_ns = window.deadline_ns();
    window.on_deadline(last_ns);
    EXPECT_EQ(window.take_repair(last_ns), 1U);
    EXPECT_EQ(window.take_repair(last_ns), 3U);
    pause_ns *= 2;
  }
  window.on_ack(3, 8, last_ns + 1);
  EXPECT_EQ(window.deadline_ns(), never_ns);
}

TEST(PacketWindow, round_trips_of_repaired_packets_are_not_measured) {
  SendWindow window;
  window.reset(8, 0);
  window.take_seq(0);
  window.on_nak({1, 1});
  EXPECT_EQ(window.take_repair(1'000'000), 1U);
  window.on_ack(1, 8, 1'000'010);
  EXPECT_FALSE(window.srtt_known());
  window.take_seq(2'000'000);
  window.on_ack(2, 8, 2'007'000);
  EXPECT_TRUE(window.srtt_known());
  EXPECT_EQ(window.srtt_ns(), 7000U);
}

// Both windows over a link that drops, doubles and reorders both ways.
void run_lossy(std::uint64_t seed, std::uint32_t window_packets_given) {
  std::mt19937_64 random(seed);
  const auto chance = [&](std::uint64_t percent) { return random() % 100 < percent; };
  struct Transit {
    std::uint64_t at_ns;
    bool data;
    std::uint64_t seq;
    std::uint16_t credit;
    std::vector<PacketRange> ranges;
  };
  SendWindow send;
  ReceiveWindow receive;
  send.reset(static_cast<std::uint16_t>(window_packets_given), 1);
  receive.reset(window_packets_given);
  std::vector<Transit> link;
  const auto transmit = [&](std::uint64_t now_ns, Transit transit) {
    if (chance(10)) return;
    transit.at_ns = now_ns + 5000 + (chance(10) ? random() % 100'000 : 0);
    if (chance(10)) link.push_back(transit);
    link.push_back(std::move(transit));
  };
  constexpr std::uint64_t total = 3000;
  std::uint64_t delivered = 0;
  std::uint64_t now_ns = 1;
  for (; send.acked_upto() < total; now_ns += 1000) {
    ASSERT_LT(now_ns, 20 * base::second_ns) << "seed " << seed;
    if (send.deadline_ns() <= now_ns) send.on_deadline(now_ns);
    while (const std::uint64_t seq = send.take_repair(now_ns))
      transmit(now_ns, {0, true, seq, 0, {}});
    for (int i = 0; i < 4 && send.can_send() && send.next_seq() <= total; ++i) {
      transmit(now_ns, {0, true, send.take_seq(now_ns), 0, {}});
    }
    if (send.in_flight() == 0 && send.acked_upto() < total) {
      transmit(now_ns, {0, false, receive.ack_upto(), receive.credit(), {}});  // as PING and PONG
    }
    std::vector<Transit> due;
    std::erase_if(link, [&](const Transit& transit) {
      if (transit.at_ns > now_ns) return false;
      due.push_back(transit);
      return true;
    });
    for (const Transit& transit : due) {
      if (!transit.data) {
        send.on_ack(transit.seq, transit.credit, now_ns);
        for (const PacketRange& range : transit.ranges) send.on_nak(range);
        continue;
      }
      const Arrival arrival = receive.arrive(transit.seq, now_ns);
      ASSERT_NE(arrival, Arrival::outside);
      // The owner is slow now and then.
      while (receive.deliverable() && !chance(20)) {
        ASSERT_EQ(receive.next_seq(), ++delivered);
        receive.delivered();
      }
      transmit(now_ns, {0, false, receive.ack_upto(), receive.credit(), {}});
    }
    while (receive.deliverable() && chance(50)) {
      ASSERT_EQ(receive.next_seq(), ++delivered);
      receive.delivered();
    }
    if (receive.nak_due_ns() <= now_ns) {
      std::array<PacketRange, nak_ranges_max> ranges;
      const auto count = receive.missing_packets(now_ns, 20'000, ranges);
      if (count != 0) {
        transmit(now_ns, {0,
                          false,
                          receive.ack_upto(),
                          receive.credit(),
                          {ranges.begin(), ranges.begin() + count}});
      }
    }
  }
  while (receive.deliverable()) {
    ASSERT_EQ(receive.next_seq(), ++delivered);
    receive.delivered();
  }
  EXPECT_EQ(delivered, total);
}

TEST(PacketWindow, everything_is_delivered_once_in_order_whatever_the_link_does) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    for (const std::uint32_t packets : {2U, 17U, 256U}) run_lossy(seed, packets);
  }
}

}  // namespace
}  // namespace millrace::native

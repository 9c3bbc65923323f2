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
class LossyPair {
 public:
  static constexpr std::uint64_t total = 3000;

  LossyPair(std::uint64_t seed, std::uint32_t window) : random_(seed) {
    send_.reset(static_cast<std::uint16_t>(window), 1);
    receive_.reset(window);
  }

  // False when it did not end in time.
  bool run() {
    for (std::uint64_t now_ns = 1; send_.acked_upto() < total; now_ns += 1000) {
      if (now_ns > 20 * base::second_ns) return false;
      send_packets(now_ns);
      for (const Transit& transit : take_due(now_ns)) arrive(transit, now_ns);
      while (receive_.deliverable() && chance(50)) deliver();
      if (receive_.nak_due_ns() <= now_ns) ask_again(now_ns);
    }
    while (receive_.deliverable()) deliver();
    return true;
  }
  std::uint64_t delivered() const { return delivered_; }

 private:
  struct Transit {
    std::uint64_t at_ns = 0;
    bool data = false;
    std::uint64_t seq = 0;
    std::uint16_t credit = 0;
    std::vector<PacketRange> ranges = {};
  };

  bool chance(std::uint64_t percent) { return random_() % 100 < percent; }
  void transmit(std::uint64_t now_ns, Transit transit) {
    if (chance(10)) return;
    transit.at_ns = now_ns + 5000 + (chance(10) ? random_() % 100'000 : 0);
    if (chance(10)) link_.push_back(transit);
    link_.push_back(std::move(transit));
  }
  void acknowledge(std::uint64_t now_ns) {
    transmit(now_ns, {.seq = receive_.ack_upto(), .credit = receive_.credit()});
  }
  void send_packets(std::uint64_t now_ns) {
    if (send_.deadline_ns() <= now_ns) send_.on_deadline(now_ns);
    while (const std::uint64_t seq = send_.take_repair(now_ns)) {
      transmit(now_ns, {.data = true, .seq = seq});
    }
    for (int i = 0; i < 4 && send_.can_send() && send_.next_seq() <= total; ++i) {
      transmit(now_ns, {.data = true, .seq = send_.take_seq(now_ns)});
    }
    if (send_.in_flight() == 0) acknowledge(now_ns);  // as PING and PONG do
  }
  std::vector<Transit> take_due(std::uint64_t now_ns) {
    std::vector<Transit> due;
    std::erase_if(link_, [&](const Transit& transit) {
      if (transit.at_ns > now_ns) return false;
      due.push_back(transit);
      return true;
    });
    return due;
  }
  void arrive(const Transit& transit, std::uint64_t now_ns) {
    if (!transit.data) {
      send_.on_ack(transit.seq, transit.credit, now_ns);
      for (const PacketRange& range : transit.ranges) send_.on_nak(range);
      return;
    }
    EXPECT_NE(receive_.arrive(transit.seq, now_ns), Arrival::outside);
    while (receive_.deliverable() && !chance(20)) deliver();  // the owner is slow now and then
    acknowledge(now_ns);
  }
  void deliver() {
    EXPECT_EQ(receive_.next_seq(), ++delivered_);
    receive_.delivered();
  }
  void ask_again(std::uint64_t now_ns) {
    std::array<PacketRange, nak_ranges_max> ranges;
    const auto count = receive_.missing_packets(now_ns, 20'000, ranges);
    if (count == 0) return;
    transmit(now_ns, {.seq = receive_.ack_upto(),
                      .credit = receive_.credit(),
                      .ranges = {ranges.begin(), ranges.begin() + count}});
  }

  SendWindow send_;
  ReceiveWindow receive_;
  std::vector<Transit> link_;
  std::mt19937_64 random_;
  std::uint64_t delivered_ = 0;
};

TEST(PacketWindow, everything_is_delivered_once_in_order_whatever_the_link_does) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    for (const std::uint32_t window : {2U, 17U, 256U}) {
      LossyPair pair(seed, window);
      ASSERT_TRUE(pair.run()) << "seed " << seed << " window " << window;
      EXPECT_EQ(pair.delivered(), LossyPair::total);
    }
  }
}

}  // namespace
}  // namespace millrace::native

#include "tests/support/fake_port.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "tests/support/lossy_port.h"

namespace millrace::test {
namespace {

using port::burst_max;

bool send(port::Port& port, std::string_view text, std::uint16_t to_port = 7070) {
  std::array<port::TxFrame, 1> frames;
  if (port.allocate_frames(frames) == 0) return false;
  std::memcpy(frames[0].data, text.data(), text.size());
  frames[0].bytes = static_cast<std::uint32_t>(text.size());
  frames[0].to.udp_port = to_port;
  port.send_frames(frames);
  return true;
}

std::vector<std::string> receive_all(port::Port& port) {
  std::vector<std::string> texts;
  for (int empty = 0; empty < 3;) {
    std::array<port::RxFrame, burst_max> frames;
    const auto got = port.receive_frames(frames);
    for (std::uint32_t i = 0; i < got; ++i) {
      texts.emplace_back(reinterpret_cast<const char*>(frames[i].data), frames[i].bytes);
    }
    port.release_frames({frames.data(), got});
    empty = got == 0 ? empty + 1 : 0;
  }
  return texts;
}

TEST(FakePort, two_joined_ends_carry_frames_in_order_with_their_sender) {
  FakePort a({.ipv4 = 1, .udp_port = 10});
  FakePort b({.ipv4 = 2, .udp_port = 20});
  FakePort::join(a, b);
  ASSERT_TRUE(send(a, "one", 20));
  ASSERT_TRUE(send(a, "two", 21));
  std::array<port::RxFrame, burst_max> frames;
  ASSERT_EQ(b.receive_frames(frames), 2U);
  EXPECT_EQ(frames[0].peer.ipv4, 1U);
  EXPECT_EQ(frames[0].peer.udp_port, 10);
  EXPECT_EQ(frames[0].local_port, 20);
  EXPECT_EQ(frames[1].local_port, 21);
  EXPECT_EQ(std::memcmp(frames[1].data, "two", 3), 0);
  b.release_frames({frames.data(), 2});
  EXPECT_EQ(b.rx_lent_count(), 0U);
}

TEST(FakePort, frames_beyond_its_descriptors_are_missed_and_counted) {
  FakePort port({.rx_frames = 2});
  const std::array<std::byte, 1> frame{};
  EXPECT_TRUE(port.deliver(frame));
  EXPECT_TRUE(port.deliver(frame));
  EXPECT_FALSE(port.deliver(frame));
  EXPECT_EQ(port.counters().rx_missed.get(), 1U);
  EXPECT_EQ(receive_all(port).size(), 2U);
  EXPECT_TRUE(port.deliver(frame));
}

TEST(FakePort, alone_it_keeps_what_was_sent) {
  FakePort port({.tx_frames = 2});
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(send(port, std::to_string(i), 99));
  for (int i = 0; i < 5; ++i) {
    const auto sent = port.take_sent();
    ASSERT_TRUE(sent.has_value());
    EXPECT_EQ(sent->bytes[0], static_cast<std::byte>('0' + i));
    EXPECT_EQ(sent->to.udp_port, 99);
  }
  EXPECT_FALSE(port.take_sent().has_value());
  EXPECT_EQ(port.tx_free_count(), 2U);
}

TEST(FakePort, a_frame_held_back_comes_late_but_comes) {
  FakePort a({});
  FakePort b({});
  FakePort::join(a, b);
  a.set_fate([](std::span<const std::byte> frame) {
    return Fate{.drop = frame[0] == std::byte{'d'},
                .duplicate = frame[0] == std::byte{'2'},
                .hold = frame[0] == std::byte{'h'}};
  });
  for (const char* text : {"d", "h", "2", "x"}) ASSERT_TRUE(send(a, text));
  EXPECT_EQ(receive_all(b), (std::vector<std::string>{"2", "2", "x", "h"}));
}

TEST(LossyPort, in_calm_weather_it_is_its_inner_port) {
  FakePort a({});
  FakePort b({});
  FakePort::join(a, b);
  LossyPort lossy(b, {}, {});
  std::vector<std::string> sent;
  for (int i = 0; i < 200; ++i) {
    sent.push_back(std::to_string(i));
    ASSERT_TRUE(send(a, sent.back()));
  }
  EXPECT_EQ(receive_all(lossy), sent);
}

TEST(LossyPort, packets_are_dropped_doubled_and_reordered_by_their_shares_both_ways) {
  const WeatherOptions weather{
      .seed = 7, .drop_permille = 100, .duplicate_permille = 100, .hold_permille = 100};
  for (const bool sending : {false, true}) {
    FakePort a({});
    FakePort b({});
    FakePort::join(a, b);
    LossyPort lossy(sending ? static_cast<port::Port&>(a) : b, sending ? WeatherOptions{} : weather,
                    sending ? weather : WeatherOptions{});
    port::Port& from = sending ? static_cast<port::Port&>(lossy) : a;
    port::Port& to = sending ? static_cast<port::Port&>(b) : lossy;
    std::vector<std::string> received;
    constexpr int count = 2000;
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(send(from, std::to_string(i)));
      if (i % 16 != 15) continue;
      receive_all(from);  // lets go of what it holds
      for (auto& text : receive_all(to)) received.push_back(std::move(text));
    }
    receive_all(from);
    for (auto& text : receive_all(to)) received.push_back(std::move(text));

    EXPECT_EQ(received.size(), count - lossy.dropped_count() + lossy.duplicated_count());
    const std::set<std::string> distinct(received.begin(), received.end());
    EXPECT_EQ(distinct.size(), count - lossy.dropped_count());
    for (const auto share : {lossy.dropped_count(), lossy.duplicated_count(), lossy.held_count()}) {
      EXPECT_GT(share, 100U);
      EXPECT_LT(share, 300U);
    }
    EXPECT_FALSE(std::is_sorted(received.begin(), received.end(),
                                [](const auto& x, const auto& y) { return stoi(x) < stoi(y); }));
  }
}

}  // namespace
}  // namespace millrace::test

#include "dataplane/net/arp_resolver.h"

#include <gtest/gtest.h>

#include "dataplane/net/answer_limit.h"

namespace millrace::net {
namespace {

constexpr std::uint64_t ms = 1'000'000;

Parsed reply_from(std::uint32_t ipv4, const Mac& mac) {
  Parsed parsed;
  parsed.kind = FrameKind::arp_reply;
  parsed.peer.ipv4 = ipv4;
  parsed.peer.mac = mac;
  return parsed;
}

TEST(ArpResolver, asks_at_once_then_at_doubling_intervals_until_answered) {
  ArpResolver resolver(0x0a000001, 10 * ms);
  EXPECT_TRUE(resolver.poll(100 * ms));
  EXPECT_FALSE(resolver.poll(109 * ms));
  EXPECT_TRUE(resolver.poll(110 * ms));
  EXPECT_FALSE(resolver.poll(129 * ms));
  EXPECT_TRUE(resolver.poll(130 * ms));
  EXPECT_TRUE(resolver.learn(reply_from(0x0a000001, {2, 0, 0, 0, 0, 9})));
  EXPECT_EQ(resolver.mac(), (Mac{2, 0, 0, 0, 0, 9}));
  EXPECT_FALSE(resolver.poll(10'000 * ms));
}

TEST(ArpResolver, the_interval_stops_growing_at_32_times) {
  ArpResolver resolver(0x0a000001, 10 * ms);
  std::uint64_t now_ns = 1;
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(resolver.poll(now_ns));
    EXPECT_LE(resolver.deadline_ns() - now_ns, 320 * ms);
    now_ns = resolver.deadline_ns();
  }
}

TEST(ArpResolver, answers_of_others_and_frames_of_other_kinds_teach_nothing) {
  ArpResolver resolver(0x0a000001);
  EXPECT_FALSE(resolver.learn(reply_from(0x0a000002, {2, 0, 0, 0, 0, 9})));
  Parsed udp = reply_from(0x0a000001, {2, 0, 0, 0, 0, 9});
  udp.kind = FrameKind::udp;
  EXPECT_FALSE(resolver.learn(udp));
  EXPECT_FALSE(resolver.mac().has_value());
}

TEST(ArpResolver, asking_again_keeps_the_old_answer_until_a_new_one_comes) {
  ArpResolver resolver(0x0a000001, 10 * ms);
  EXPECT_TRUE(resolver.learn(reply_from(0x0a000001, {2, 0, 0, 0, 0, 9})));
  resolver.ask_again();
  EXPECT_TRUE(resolver.poll(500 * ms));
  EXPECT_EQ(resolver.mac(), (Mac{2, 0, 0, 0, 0, 9}));
  EXPECT_TRUE(resolver.learn(reply_from(0x0a000001, {2, 0, 0, 0, 0, 8})));
  EXPECT_EQ(resolver.mac(), (Mac{2, 0, 0, 0, 0, 8}));
}

TEST(AnswerLimit, a_burst_passes_then_the_rate_holds) {
  AnswerLimit limit(1000, 5);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(limit.take(10 * ms));
  EXPECT_FALSE(limit.take(10 * ms));
  EXPECT_FALSE(limit.take(10 * ms + 999'999));
  EXPECT_TRUE(limit.take(11 * ms));
  EXPECT_FALSE(limit.take(11 * ms));
}

TEST(AnswerLimit, a_long_silence_saves_no_more_than_the_burst) {
  AnswerLimit limit(1000, 5);
  EXPECT_TRUE(limit.take(1));
  int taken = 0;
  while (limit.take(std::uint64_t{1} << 62)) ++taken;
  EXPECT_EQ(taken, 5);
}

}  // namespace
}  // namespace millrace::net

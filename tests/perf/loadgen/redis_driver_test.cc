#include "perf/loadgen/drivers/redis_driver.h"

#include <gtest/gtest.h>

#include "perf/loadgen/drivers/bytes.h"
#include "tests/perf/loadgen/fake_server.h"

namespace millrace::loadgen {
namespace {

TEST(RedisDriver, a_list_is_pushed_to_answered_and_popped_from) {
  ServedDriver<RedisDriver> redis(RedisKind::list);
  ASSERT_TRUE(redis.driver.prepare({.topic = "t", .partitions = 2}));
  ASSERT_TRUE(redis.driver.offer(0, bytes_of(payload)));
  ASSERT_TRUE(redis.driver.offer(1, bytes_of(payload)));
  const int writer = redis.server.accept();
  const int reader = redis.server.accept();
  redis.expect(writer,
               "*3\r\n$5\r\nRPUSH\r\n$3\r\nt-0\r\n$16\r\nsixteen bytes or\r\n"
               "*3\r\n$5\r\nRPUSH\r\n$3\r\nt-1\r\n$16\r\nsixteen bytes or\r\n");
  const std::string pop =
      "*8\r\n$6\r\nBLMPOP\r\n$1\r\n0\r\n$1\r\n2\r\n$3\r\nt-0\r\n$3\r\nt-1\r\n$4\r\nLEFT\r\n"
      "$5\r\nCOUNT\r\n$3\r\n256\r\n";
  redis.expect(reader, pop);
  redis.server.send(writer, ":1\r\n:1\r\n");
  redis.server.send(reader, "*2\r\n$3\r\nt-1\r\n*1\r\n$16\r\nsixteen bytes or\r\n");
  redis.expect(reader, pop);
  EXPECT_EQ(redis.seen.acknowledged_numbers, (std::vector<std::uint64_t>{0, 1}));
  ASSERT_EQ(redis.seen.deliveries.size(), 1U);
  EXPECT_EQ(redis.seen.deliveries[0], Delivery(1, payload));
}

TEST(RedisDriver, a_stream_is_read_on_from_the_last_entry) {
  ServedDriver<RedisDriver> redis(RedisKind::stream);
  ASSERT_TRUE(redis.driver.prepare({.topic = "t"}));
  redis.server.accept();
  const int reader = redis.server.accept();
  const auto read_from = [](const std::string& id) {
    return "*8\r\n$5\r\nXREAD\r\n$5\r\nCOUNT\r\n$3\r\n256\r\n$5\r\nBLOCK\r\n$1\r\n0\r\n"
           "$7\r\nSTREAMS\r\n$3\r\nt-0\r\n$" +
           std::to_string(id.size()) + "\r\n" + id + "\r\n";
  };
  redis.expect(reader, read_from("0"));
  redis.server.send(reader,
                    "*1\r\n*2\r\n$3\r\nt-0\r\n*2\r\n*2\r\n$3\r\n5-0\r\n*2\r\n$1\r\nm\r\n$1\r\na\r\n"
                    "*2\r\n$3\r\n5-1\r\n*2\r\n$1\r\nm\r\n$1\r\nb\r\n");
  redis.expect(reader, read_from("5-1"));
  ASSERT_EQ(redis.seen.deliveries.size(), 2U);
  EXPECT_EQ(redis.seen.deliveries[1].second, "b");
}

TEST(RedisDriver, an_error_is_told_in_its_own_words) {
  ServedDriver<RedisDriver> redis(RedisKind::list);
  ASSERT_TRUE(redis.driver.prepare({.topic = "t", .consumes = false}));
  ASSERT_TRUE(redis.driver.offer(0, bytes_of(payload)));
  const int writer = redis.server.accept();
  EXPECT_EQ(redis.error_after(writer, "-OOM command not allowed\r\n"),
            "redis: OOM command not allowed");
}

TEST(RedisDriver, a_channel_is_subscribed_to_before_it_is_published_in) {
  ServedDriver<RedisDriver> redis(RedisKind::channel);
  auto prepared = redis.prepare({.topic = "t"});
  const int writer = redis.server.accept();
  const int reader = redis.server.accept();
  redis.server.expect(reader, "*2\r\n$9\r\nSUBSCRIBE\r\n$3\r\nt-0\r\n");
  redis.server.send(reader, "*3\r\n$9\r\nsubscribe\r\n$3\r\nt-0\r\n:1\r\n");
  ASSERT_EQ(error_of(prepared), "");
  ASSERT_TRUE(redis.driver.offer(0, bytes_of(payload)));
  redis.expect(writer, "*3\r\n$7\r\nPUBLISH\r\n$3\r\nt-0\r\n$16\r\nsixteen bytes or\r\n");
  redis.send_in_pieces(writer, ":1\r\n");
  redis.send_in_pieces(reader, "*3\r\n$7\r\nmessage\r\n$3\r\nt-0\r\n$16\r\nsixteen bytes or\r\n");
  redis.poll_until(1, 1);
  EXPECT_EQ(redis.seen.deliveries[0], Delivery(0, payload));
}

TEST(RedisDriver, a_subscription_that_is_refused_is_told_at_once) {
  ServedDriver<RedisDriver> redis(RedisKind::channel);
  auto prepared = redis.prepare({.topic = "t"});
  redis.server.accept();
  redis.server.send(redis.server.accept(), "-NOPERM no such channel for you\r\n");
  EXPECT_EQ(error_of(prepared), "redis: NOPERM no such channel for you");
}

TEST(RedisDriver, an_answer_of_another_shape_is_an_error_and_no_message) {
  constexpr std::string_view other = "redis: an answer came that is not one to what was asked";
  const auto error = [](RedisKind kind, std::string_view answer) {
    ServedDriver<RedisDriver> redis(kind);
    EXPECT_TRUE(redis.driver.prepare({.topic = "t"}));
    redis.server.accept();
    const std::string told = redis.error_after(redis.server.accept(), answer);
    EXPECT_TRUE(redis.seen.deliveries.empty());
    return told;
  };
  EXPECT_EQ(error(RedisKind::list, "+OK\r\n"), other);
  EXPECT_EQ(error(RedisKind::list, "*-1\r\n"), other);
  EXPECT_EQ(error(RedisKind::list, "*2\r\n$3\r\nt-1\r\n*1\r\n$1\r\na\r\n"), other);
  EXPECT_EQ(error(RedisKind::stream, "*1\r\n:1\r\n"), other);
  EXPECT_EQ(error(RedisKind::stream,
                  "*1\r\n*2\r\n$3\r\nt-0\r\n*9\r\n:1\r\n:1\r\n:1\r\n:1\r\n"
                  ":1\r\n:1\r\n:1\r\n:1\r\n:1\r\n"),
            "redis: an answer came that is not one to what was asked");
  EXPECT_EQ(error(RedisKind::list, "HTTP/1.1 400 Bad Request\r\n"),
            "redis: what came does not read as RESP");
}

}  // namespace
}  // namespace millrace::loadgen

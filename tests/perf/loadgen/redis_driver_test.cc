#include "perf/loadgen/drivers/redis_driver.h"

#include <gtest/gtest.h>

#include "perf/loadgen/drivers/bytes.h"
#include "tests/perf/loadgen/fake_server.h"

namespace millrace::loadgen {
namespace {

TEST(RedisDriver, a_list_is_pushed_to_answered_and_popped_from) {
  FakeServer server;
  RedisDriver driver(server.address(), RedisKind::list);
  ASSERT_TRUE(driver.prepare({.topic = "t", .partitions = 2}));
  SeenEvents seen;
  ASSERT_TRUE(driver.offer(0, bytes_of(payload)));
  ASSERT_TRUE(driver.offer(1, bytes_of(payload)));
  const int writer = server.accept();
  const int reader = server.accept();
  server.expect(driver, seen, writer,
                "*3\r\n$5\r\nRPUSH\r\n$3\r\nt-0\r\n$16\r\nsixteen bytes or\r\n"
                "*3\r\n$5\r\nRPUSH\r\n$3\r\nt-1\r\n$16\r\nsixteen bytes or\r\n");
  const std::string pop =
      "*8\r\n$6\r\nBLMPOP\r\n$1\r\n0\r\n$1\r\n2\r\n$3\r\nt-0\r\n$3\r\nt-1\r\n$4\r\nLEFT\r\n"
      "$5\r\nCOUNT\r\n$3\r\n256\r\n";
  server.expect(driver, seen, reader, pop);
  server.send(writer, ":1\r\n:1\r\n");
  server.send(reader, "*2\r\n$3\r\nt-1\r\n*1\r\n$16\r\nsixteen bytes or\r\n");
  server.expect(driver, seen, reader, pop);
  EXPECT_EQ(seen.acknowledged_numbers, (std::vector<std::uint64_t>{0, 1}));
  ASSERT_EQ(seen.deliveries.size(), 1U);
  EXPECT_EQ(seen.deliveries[0], Delivery(1, payload));
}

TEST(RedisDriver, a_stream_is_read_on_from_the_last_entry) {
  FakeServer server;
  RedisDriver driver(server.address(), RedisKind::stream);
  ASSERT_TRUE(driver.prepare({.topic = "t"}));
  SeenEvents seen;
  server.accept();
  const int reader = server.accept();
  const auto read_from = [](const std::string& id) {
    return "*8\r\n$5\r\nXREAD\r\n$5\r\nCOUNT\r\n$3\r\n256\r\n$5\r\nBLOCK\r\n$1\r\n0\r\n"
           "$7\r\nSTREAMS\r\n$3\r\nt-0\r\n$" +
           std::to_string(id.size()) + "\r\n" + id + "\r\n";
  };
  server.expect(driver, seen, reader, read_from("0"));
  server.send(reader,
              "*1\r\n*2\r\n$3\r\nt-0\r\n*2\r\n*2\r\n$3\r\n5-0\r\n*2\r\n$1\r\nm\r\n$1\r\na\r\n"
              "*2\r\n$3\r\n5-1\r\n*2\r\n$1\r\nm\r\n$1\r\nb\r\n");
  server.expect(driver, seen, reader, read_from("5-1"));
  ASSERT_EQ(seen.deliveries.size(), 2U);
  EXPECT_EQ(seen.deliveries[1].second, "b");
}

TEST(RedisDriver, an_error_is_told_in_its_own_words) {
  FakeServer server;
  RedisDriver driver(server.address(), RedisKind::list);
  ASSERT_TRUE(driver.prepare({.topic = "t", .consumes = false}));
  SeenEvents seen;
  ASSERT_TRUE(driver.offer(0, bytes_of(payload)));
  const int writer = server.accept();
  server.send(writer, "-OOM command not allowed\r\n");
  EXPECT_EQ(server.error_of(driver, seen), "redis: OOM command not allowed");
}

TEST(RedisDriver, a_channel_is_subscribed_to_before_it_is_published_in) {
  FakeServer server;
  RedisDriver driver(server.address(), RedisKind::channel);
  auto prepared = prepare(driver, {.topic = "t"});
  const int writer = server.accept();
  const int reader = server.accept();
  server.expect(reader, "*2\r\n$9\r\nSUBSCRIBE\r\n$3\r\nt-0\r\n");
  server.send(reader, "*3\r\n$9\r\nsubscribe\r\n$3\r\nt-0\r\n:1\r\n");
  ASSERT_EQ(error_of(prepared), "");
  SeenEvents seen;
  ASSERT_TRUE(driver.offer(0, bytes_of(payload)));
  server.expect(driver, seen, writer,
                "*3\r\n$7\r\nPUBLISH\r\n$3\r\nt-0\r\n$16\r\nsixteen bytes or\r\n");
  server.send_in_pieces(driver, seen, writer, ":1\r\n");
  server.send_in_pieces(driver, seen, reader,
                        "*3\r\n$7\r\nmessage\r\n$3\r\nt-0\r\n$16\r\nsixteen bytes or\r\n");
  server.poll_until(driver, seen, 1, 1);
  EXPECT_EQ(seen.deliveries[0], Delivery(0, payload));
}

TEST(RedisDriver, a_subscription_that_is_refused_is_told_at_once) {
  FakeServer server;
  RedisDriver driver(server.address(), RedisKind::channel);
  auto prepared = prepare(driver, {.topic = "t"});
  server.accept();
  server.send(server.accept(), "-NOPERM no such channel for you\r\n");
  EXPECT_EQ(error_of(prepared), "redis: NOPERM no such channel for you");
}

TEST(RedisDriver, an_answer_of_another_shape_is_an_error_and_no_message) {
  constexpr std::string_view other = "redis: an answer came that is not one to what was asked";
  const auto error = [](RedisKind kind, std::string_view answer) {
    FakeServer server;
    RedisDriver driver(server.address(), kind);
    EXPECT_TRUE(driver.prepare({.topic = "t"}));
    server.accept();
    server.send(server.accept(), answer);
    SeenEvents seen;
    const std::string told = server.error_of(driver, seen);
    EXPECT_TRUE(seen.deliveries.empty());
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

#include "perf/loadgen/drivers/redis_driver.h"

#include <gtest/gtest.h>

#include "tests/perf/loadgen/fake_server.h"

namespace millrace::loadgen {
namespace {

constexpr std::string_view payload = "sixteen bytes or";

std::span<const std::byte> bytes() { return std::as_bytes(std::span(payload)); }

TEST(RedisDriver, a_list_is_pushed_to_answered_and_popped_from) {
  FakeServer server;
  RedisDriver driver(server.address(), RedisKind::list);
  ASSERT_TRUE(driver.prepare({.topic = "t", .partitions = 2}));
  SeenEvents seen;
  ASSERT_TRUE(driver.offer(0, bytes()));
  ASSERT_TRUE(driver.offer(1, bytes()));
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
  EXPECT_EQ(seen.deliveries[0], (std::pair<std::uint32_t, std::string>(1, payload)));
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
  ASSERT_TRUE(driver.offer(0, bytes()));
  const int writer = server.accept();
  server.send(writer, "-OOM command not allowed\r\n");
  EXPECT_EQ(server.error_of(driver, seen), "redis: OOM command not allowed");
}

}  // namespace
}  // namespace millrace::loadgen

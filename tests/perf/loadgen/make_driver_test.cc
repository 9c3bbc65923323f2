#include "perf/loadgen/drivers/make_driver.h"

#include <gtest/gtest.h>

#include <set>

#include "perf/loadgen/drivers/bytes.h"
#include "perf/loadgen/drivers/rabbitmq_driver.h"
#include "tests/perf/loadgen/fake_server.h"

namespace millrace::loadgen {
namespace {

using namespace std::string_view_literals;

// A method's frame; its arguments follow class and method.
std::string amqp(std::uint16_t channel, std::uint32_t method, std::string_view arguments) {
  std::string out("\1");
  append_be(out, channel);
  append_be(out, static_cast<std::uint32_t>(sizeof method + arguments.size()));
  append_be(out, method);
  return out.append(arguments).append("\xCE");
}

std::string error_of(const DriverOptions& options) {
  const auto made = make_driver(options);
  return made ? "none" : std::string(made.error().message());
}

TEST(MakeDriver, each_name_is_there_once_and_makes_a_driver) {
  std::set<std::string> names;
  for (const DriverInfo& info : drivers()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_EQ(error_of({.name = info.name, .address = {}, .settings = {}}), "none");
  }
}

TEST(MakeDriver, who_yields_is_a_setting) {
  for (const auto& [idle, yields] : {std::pair{"yield", true}, {"spin", false}}) {
    const auto made = make_driver({.name = "native", .address = {}, .settings = {{"idle", idle}}});
    ASSERT_TRUE(made);
    EXPECT_EQ((*made)->yields(), yields) << idle;
  }
}

TEST(MakeDriver, what_is_not_known_is_named) {
  EXPECT_TRUE(error_of({.name = "carrier-pigeon", .address = {}, .settings = {}})
                  .starts_with("no driver 'carrier-pigeon'; there are null, native"));
  EXPECT_EQ(error_of({.name = "native", .address = {}, .settings = {{"akc", "memory"}}}),
            "driver native has no setting 'akc'; it has ack, port-offset, batch-bytes, idle");
  EXPECT_EQ(error_of({.name = "native", .address = {}, .settings = {{"ack", "often"}}}),
            "setting ack: 'often' is not durable or memory");
  EXPECT_EQ(error_of({.name = "native", .address = {}, .settings = {{"idle", "sleep"}}}),
            "setting idle: 'sleep' is not yield or spin");
  EXPECT_EQ(error_of({.name = "native", .address = {}, .settings = {{"batch-bytes", "1k"}}}),
            "setting batch-bytes: '1k' is no number");
}

TEST(RabbitMqDriver, a_message_of_no_consumer_of_its_own_is_an_error) {
  for (const std::string_view tag : {"\0012"sv, "\1x"sv}) {
    FakeServer server;
    RabbitMqDriver driver({.address = server.address()});
    auto prepared = std::async(std::launch::async, [&] {
      return driver.prepare(
          {.topic = "t", .partitions = 1, .publishes = false, .makes_topic = false});
    });
    server.send(server.accept(),
                amqp(0, AMQP_CONNECTION_START_METHOD, "\0\x9\0\0\0\0\0\0\0\5PLAIN\0\0\0\5en_US"sv) +
                    amqp(0, AMQP_CONNECTION_TUNE_METHOD, "\0\1\0\2\0\0\0\0"sv) +
                    amqp(0, AMQP_CONNECTION_OPEN_OK_METHOD, "\0"sv) +
                    amqp(1, AMQP_CHANNEL_OPEN_OK_METHOD, "\0\0\0\0"sv) +
                    amqp(1, AMQP_BASIC_QOS_OK_METHOD, "") +
                    amqp(1, AMQP_BASIC_CONSUME_OK_METHOD, "\0010") +
                    amqp(1, AMQP_BASIC_DELIVER_METHOD,
                         std::string(tag).append("\0\0\0\0\0\0\0\1\0\0\3t-0"sv)));
    ASSERT_TRUE(prepared.get());
    SeenEvents seen;
    auto polled = driver.poll(seen);
    for (int i = 0; i < 5'000'000 && polled; ++i) polled = driver.poll(seen);
    ASSERT_FALSE(polled);
    EXPECT_EQ(polled.error().message(),
              "rabbitmq: a message of consumer tag '" + std::string(tag.substr(1)) + "' came");
  }
}

}  // namespace
}  // namespace millrace::loadgen

#include "perf/loadgen/drivers/nats_driver.h"

#include <gtest/gtest.h>

#include "perf/loadgen/drivers/bytes.h"
#include "tests/perf/loadgen/fake_server.h"

namespace millrace::loadgen {
namespace {

constexpr std::string_view connect_line =
    R"(CONNECT {"verbose":false,"pedantic":false,"headers":true,"lang":"c++","version":"1"})"
    "\r\n";

// A connection that has been greeted.
int greet(FakeServer& server) {
  const int connection = server.accept();
  server.send(connection, "INFO {\"headers\":true} \r\n");
  server.expect(connection, connect_line);
  server.expect(connection, "PING\r\n");
  server.send(connection, "PONG\r\n");
  return connection;
}

std::string request(std::string_view subject, std::string_view body) {
  return "PUB " + std::string(subject) + " _INBOX.t-0.answer.api " + std::to_string(body.size()) +
         "\r\n" + std::string(body) + "\r\n";
}

std::string answer(std::string_view subject, std::string_view body) {
  return "MSG _INBOX.t-0.answer." + std::string(subject) + " 1 " + std::to_string(body.size()) +
         "\r\n" + std::string(body) + "\r\n";
}

constexpr std::string_view stream_settings =
    R"({"name":"t","subjects":["t.*"],"storage":"file","retention":"limits","discard":"old",)"
    R"("num_replicas":1,"max_consumers":-1,"max_msgs":-1,"max_bytes":-1})";
constexpr std::string_view consumer_settings =
    R"({"stream_name":"t","config":{"deliver_subject":"_INBOX.t-0.delivery","deliver_policy":"all",)"
    R"("ack_policy":"none","replay_policy":"instant","flow_control":true,)"
    R"("idle_heartbeat":5000000000,"mem_storage":true,"num_replicas":1}})";

// A driver of two partitions with its connections.
class Nats : public ServedDriver<NatsDriver> {
 public:
  explicit Nats(NatsKind kind) : ServedDriver(kind) {
    auto prepared = prepare({.topic = "t", .partitions = 2});
    writer = greet(server);
    const bool is_stream = kind == NatsKind::jetstream;
    if (is_stream) {
      server.expect(writer, "SUB _INBOX.t-0.answer.* 1\r\n");
      server.expect(writer, request("$JS.API.STREAM.CREATE.t", stream_settings));
      server.send(writer, answer("api", R"({"did_create":true})"));
    }
    reader = greet(server);
    server.expect(reader, is_stream ? "SUB _INBOX.t-0.delivery 1\r\n" : "SUB t.* 1\r\n");
    server.expect(reader, "PING\r\n");
    server.send(reader, "PONG\r\n");
    if (is_stream) {
      server.expect(writer, request("$JS.API.CONSUMER.CREATE.t", consumer_settings));
      server.send(writer, answer("api", R"({"name":"c"})"));
    }
    EXPECT_EQ(error_of(prepared), "");
  }

  int writer = -1;
  int reader = -1;
};

TEST(NatsDriver, core_publishes_and_delivers_by_subject) {
  Nats nats(NatsKind::core);
  ASSERT_TRUE(nats.driver.offer(0, bytes_of(payload)));
  ASSERT_TRUE(nats.driver.offer(1, bytes_of(payload)));
  nats.expect(nats.writer, "PUB t.0 16\r\nsixteen bytes or\r\nPUB t.1 16\r\nsixteen bytes or\r\n");
  nats.server.send(nats.reader, "MSG t.1 1 16\r\nsixteen bytes or\r\nMSG t.0 1 4\r\na\r\nb\r\n");
  nats.poll_until(0, 2);
  EXPECT_EQ(nats.seen.deliveries,
            (std::vector<Delivery>{{1, std::string(payload)}, {0, "a\r\nb"}}));
  EXPECT_FALSE(nats.driver.acknowledges());
}

TEST(NatsDriver, what_comes_byte_by_byte_is_one_message_and_a_ping_is_answered) {
  Nats nats(NatsKind::core);
  nats.send_in_pieces(nats.reader,
                      "+OK\r\nPING\r\nHMSG t.1 1 r 12 16\r\nNATS/1.0\r\n\r\na\r\nb\r\n");
  nats.poll_until(0, 1);
  EXPECT_EQ(nats.seen.deliveries[0], Delivery(1, "a\r\nb"));
  nats.expect(nats.reader, "PONG\r\n");
}

TEST(NatsDriver, a_stream_answers_for_each_number) {
  Nats nats(NatsKind::jetstream);
  ASSERT_TRUE(nats.driver.offer(0, bytes_of(payload)));
  ASSERT_TRUE(nats.driver.offer(1, bytes_of(payload)));
  nats.expect(nats.writer,
              "PUB t.0 _INBOX.t-0.answer.0 16\r\nsixteen bytes or\r\n"
              "PUB t.1 _INBOX.t-0.answer.1 16\r\nsixteen bytes or\r\n");
  nats.send_in_pieces(nats.writer, answer("1", R"({"stream":"t","seq":2})") +
                                       answer("0", R"({"stream":"t","seq":1})"));
  nats.server.send(nats.reader, "MSG t.1 1 $JS.ACK.t.c.1.1.1.1.0 16\r\nsixteen bytes or\r\n");
  nats.poll_until(2, 1);
  EXPECT_EQ(nats.seen.acknowledged_numbers, (std::vector<std::uint64_t>{1, 0}));
  EXPECT_EQ(nats.seen.deliveries[0], Delivery(1, payload));
}

TEST(NatsDriver, flow_control_is_answered_and_is_no_message) {
  Nats nats(NatsKind::jetstream);
  nats.server.send(nats.reader,
                   "HMSG _INBOX.t-0.delivery 1 31 31\r\nNATS/1.0 100 Idle Heartbeat\r\n\r\n\r\n"
                   "HMSG _INBOX.t-0.delivery 1 $JS.FC.t 36 36\r\n"
                   "NATS/1.0 100 FlowControl Request\r\n\r\n\r\n");
  nats.expect(nats.reader, "PUB $JS.FC.t 0\r\n\r\n");
  EXPECT_TRUE(nats.seen.deliveries.empty());
}

TEST(NatsDriver, errors_are_told_in_the_servers_words) {
  Nats stale(NatsKind::core);
  EXPECT_EQ(stale.error_after(stale.reader, "-ERR 'Stale Connection'\r\n"),
            "nats: -ERR 'Stale Connection'");
  Nats full(NatsKind::jetstream);
  EXPECT_EQ(full.error_after(full.writer, answer("0", R"({"error":{"code":503}})")),
            R"(nats: {"error":{"code":503}})");
  Nats gone(NatsKind::jetstream);
  EXPECT_EQ(gone.error_after(gone.writer,
                             "HMSG _INBOX.t-0.answer.0 1 16 16\r\n"
                             "NATS/1.0 503\r\n\r\n\r\n"),
            "nats: no stream takes what is published");
}

TEST(NatsDriver, a_stream_that_cannot_be_is_told_in_the_servers_words) {
  ServedDriver<NatsDriver> fresh(NatsKind::jetstream);
  auto prepared = fresh.prepare({.topic = "t"});
  const int writer = greet(fresh.server);
  fresh.server.send(writer, answer("api", R"({"error":{"description":"no space"}})"));
  EXPECT_EQ(error_of(prepared), R"(nats: {"error":{"description":"no space"}})");
}

TEST(NatsDriver, what_nobody_asked_for_is_an_error) {
  Nats other(NatsKind::core);
  EXPECT_EQ(other.error_after(other.reader, "MSG t.2 1 1\r\na\r\n"),
            "nats: a message of subject 't.2' came");
  Nats answered(NatsKind::jetstream);
  EXPECT_EQ(answered.error_after(answered.writer, answer("0", R"({"seq":1})")),
            "nats: a message of subject '_INBOX.t-0.answer.0' came");
}

TEST(NatsDriver, what_is_not_nats_is_an_error) {
  Nats nats(NatsKind::core);
  EXPECT_EQ(nats.error_after(nats.reader, "HTTP/1.1 400 Bad Request\r\n"),
            "nats: what came does not read as NATS");
  ServedDriver<NatsDriver> fresh(NatsKind::core);
  auto prepared = fresh.prepare({.topic = "t"});
  fresh.server.send(fresh.server.accept(), "220 mail.example ready\r\n");
  EXPECT_EQ(error_of(prepared), "nats: what came does not read as NATS");
}

}  // namespace
}  // namespace millrace::loadgen

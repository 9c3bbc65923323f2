#include "perf/loadgen/drivers/nsq_driver.h"

#include <gtest/gtest.h>

#include "perf/loadgen/drivers/bytes.h"
#include "tests/perf/loadgen/fake_server.h"

namespace millrace::loadgen {
namespace {

using namespace std::string_view_literals;

std::string counted(std::string_view body) {
  std::string out;
  append_be(out, static_cast<std::uint32_t>(body.size()));
  return out.append(body);
}

std::string frame(std::uint32_t type, std::string_view data) {
  std::string body;
  append_be(body, type);
  return counted(body.append(data));
}

std::string message(std::string_view id, std::string_view body) {
  return frame(2, "timetimeat" + std::string(id) + std::string(body));
}

// A driver of two partitions with its connections.
class Nsq : public ServedDriver<NsqDriver> {
 public:
  Nsq() : ServedDriver(true) {
    auto prepared = prepare({.topic = "t", .partitions = 2});
    for (std::size_t i = 0; i < readers.size(); ++i) {
      readers[i] = server.accept();
      server.expect(readers[i], "  V2SUB t-" + std::to_string(i) + " load\n");
      server.send(readers[i], frame(0, "OK"));
    }
    EXPECT_EQ(error_of(prepared), "");
    writer = server.accept();
    for (const int reader : readers) expect(reader, "RDY 2500\n");
  }

  std::array<int, 2> readers{};
  int writer = -1;
};

TEST(NsqDriver, what_is_published_is_answered_delivered_and_finished) {
  Nsq nsq;
  ASSERT_TRUE(nsq.driver.offer(0, bytes_of(payload)));
  ASSERT_TRUE(nsq.driver.offer(1, bytes_of(payload)));
  nsq.expect(nsq.writer,
             "  V2PUB t-0\n\0\0\0\x10sixteen bytes orPUB t-1\n\0\0\0\x10sixteen bytes or"sv);
  nsq.server.send(nsq.writer, frame(0, "OK") + frame(0, "OK"));
  nsq.server.send(nsq.readers[1], message("0123456789abcdef", payload));
  nsq.expect(nsq.readers[1], "FIN 0123456789abcdef\n");
  EXPECT_EQ(nsq.seen.acknowledged_numbers, (std::vector<std::uint64_t>{0, 1}));
  EXPECT_EQ(nsq.seen.deliveries, (std::vector<Delivery>{{1, std::string(payload)}}));
}

TEST(NsqDriver, what_comes_byte_by_byte_is_one_message_and_a_heartbeat_is_answered) {
  Nsq nsq;
  nsq.send_in_pieces(nsq.writer, frame(0, "OK"));
  nsq.send_in_pieces(nsq.readers[0],
                     frame(0, "_heartbeat_") + message("0123456789abcdef", "a\0b"sv));
  nsq.poll_until(1, 1);
  EXPECT_EQ(nsq.seen.deliveries[0], Delivery(0, "a\0b"sv));
  nsq.expect(nsq.readers[0], "NOP\nFIN 0123456789abcdef\n");
}

TEST(NsqDriver, without_buffers_nsqd_is_told_to_send_at_once) {
  ServedDriver<NsqDriver> fresh(false);
  auto prepared = fresh.prepare({.topic = "t"});
  const int reader = fresh.server.accept();
  fresh.server.expect(reader, "  V2IDENTIFY\n" + counted(R"({"output_buffer_size":-1,)"
                                                         R"("output_buffer_timeout":-1})"));
  fresh.server.send(reader, frame(0, "OK"));
  fresh.server.expect(reader, "SUB t-0 load\n");
  fresh.server.send(reader, frame(1, "E_BAD_CHANNEL SUB channel name \"load\" is not valid"));
  EXPECT_EQ(error_of(prepared), "nsq: E_BAD_CHANNEL SUB channel name \"load\" is not valid");
}

TEST(NsqDriver, errors_are_told_in_the_servers_words) {
  Nsq nsq;
  EXPECT_EQ(nsq.error_after(nsq.writer, frame(1, "E_BAD_MESSAGE PUB message too big")),
            "nsq: E_BAD_MESSAGE PUB message too big");
  Nsq closing;
  EXPECT_EQ(closing.error_after(closing.readers[0], frame(0, "CLOSE_WAIT")), "nsq: CLOSE_WAIT");
}

TEST(NsqDriver, a_message_where_an_answer_is_due_is_an_error) {
  Nsq nsq;
  EXPECT_EQ(nsq.error_after(nsq.writer, message("0123456789abcdef", "OK")),
            "nsq: a message came where an answer was due");
  ServedDriver<NsqDriver> fresh(true);
  auto prepared = fresh.prepare({.topic = "t"});
  fresh.server.send(fresh.server.accept(), message("0123456789abcdef", ""));
  EXPECT_EQ(error_of(prepared), "nsq: a message came where an answer was due");
}

TEST(NsqDriver, what_is_not_nsq_is_an_error) {
  constexpr std::string_view not_nsq = "nsq: what came does not read as NSQ";
  Nsq web;
  EXPECT_EQ(web.error_after(web.writer, "HTTP/1.1 400 Bad Request\r\n"), not_nsq);
  Nsq cut;
  EXPECT_EQ(cut.error_after(cut.readers[0], frame(2, "shorter than its id")), not_nsq);
  EXPECT_TRUE(cut.seen.deliveries.empty());
}

}  // namespace
}  // namespace millrace::loadgen

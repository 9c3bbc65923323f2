// What the readers of nats_message, nsq_frame, beanstalkd_reply and gearman_packet take and refuse.
#include <gtest/gtest.h>

#include "perf/loadgen/drivers/beanstalkd_reply.h"
#include "perf/loadgen/drivers/bytes.h"
#include "perf/loadgen/drivers/gearman_packet.h"
#include "perf/loadgen/drivers/nats_message.h"
#include "perf/loadgen/drivers/nsq_frame.h"

namespace millrace::loadgen {
namespace {

using namespace std::string_view_literals;

// Nothing before its last byte; then all of it, whatever follows.
template <typename Message>
Message whole(std::int64_t (*read)(std::string_view, Message&), std::string_view bytes) {
  Message message;
  for (std::size_t count = 0; count < bytes.size(); ++count) {
    EXPECT_EQ(read(bytes.substr(0, count), message), 0) << count << " of " << bytes;
  }
  EXPECT_EQ(read(std::string(bytes) + "more", message), static_cast<std::int64_t>(bytes.size()));
  EXPECT_EQ(read(bytes, message), static_cast<std::int64_t>(bytes.size()));
  return message;
}

template <typename Message>
std::int64_t bytes_read(std::int64_t (*read)(std::string_view, Message&), std::string_view bytes) {
  Message message;
  return read(bytes, message);
}

TEST(Bytes, a_partition_is_what_follows_the_last_separator_and_exists) {
  EXPECT_EQ(partition_of("my-topic-12", '-', 13), 12U);
  EXPECT_EQ(partition_of("t.3", '.', 4), 3U);
  EXPECT_EQ(partition_of("my-topic-12", '-', 12), std::nullopt);
  EXPECT_EQ(partition_of("my-topic-", '-', 12), std::nullopt);
  EXPECT_EQ(partition_of("topic", '-', 12), std::nullopt);
  EXPECT_EQ(partition_of("t-4294967296", '-', 12), std::nullopt);
}

TEST(Bytes, a_number_is_digits_and_nothing_else) {
  EXPECT_EQ(read_number<std::uint8_t>("255"), 255);
  for (const std::string_view text : {"", "256", "-1", "+1", " 1", "1 ", "0x1"}) {
    EXPECT_EQ(read_number<std::uint8_t>(text), std::nullopt) << text;
  }
}

TEST(Bytes, numbers_are_written_big_end_first) {
  std::string out;
  append_be<std::uint16_t>(out, 0x0102);
  append_be<std::uint32_t>(out, 0xfffefdfc);
  EXPECT_EQ(out, "\x01\x02\xff\xfe\xfd\xfc");
  EXPECT_EQ(read_u32(out, 2), 0xfffefdfcU);
}

TEST(NatsMessage, a_message_has_a_subject_a_payload_and_perhaps_a_reply_and_headers) {
  const NatsMessage plain = whole(read_nats, "MSG t.1 9 4\r\na\r\nb\r\n");
  EXPECT_EQ(plain.verb, NatsVerb::message);
  EXPECT_EQ(plain.subject, "t.1");
  EXPECT_EQ(plain.reply, "");
  EXPECT_EQ(plain.payload, "a\r\nb");
  EXPECT_EQ(whole(read_nats, "MSG  t.1  9  answer  0\r\n\r\n").reply, "answer");
  const NatsMessage all = whole(read_nats, "HMSG t.1 9 answer 12 15\r\nNATS/1.0\r\n\r\nabc\r\n");
  EXPECT_EQ(all.reply, "answer");
  EXPECT_EQ(all.headers, "NATS/1.0\r\n\r\n");
  EXPECT_EQ(all.payload, "abc");
  EXPECT_EQ(whole(read_nats, "HMSG t.1 9 12 12\r\nNATS/1.0\r\n\r\n\r\n").payload, "");
}

TEST(NatsMessage, what_else_a_server_says_is_a_line) {
  EXPECT_EQ(whole(read_nats, "INFO {\"port\":4222} \r\n").verb, NatsVerb::info);
  EXPECT_EQ(whole(read_nats, "PING\r\n").verb, NatsVerb::ping);
  EXPECT_EQ(whole(read_nats, "PONG\r\n").verb, NatsVerb::pong);
  EXPECT_EQ(whole(read_nats, "+OK\r\n").verb, NatsVerb::ok);
  const NatsMessage error = whole(read_nats, "-ERR 'Stale Connection'\r\n");
  EXPECT_EQ(error.verb, NatsVerb::error);
  EXPECT_EQ(error.line, "-ERR 'Stale Connection'");
}

TEST(NatsMessage, what_is_none_is_refused) {
  for (const std::string_view bytes :
       {"\r\n"sv, "HTTP/1.1 400 Bad Request\r\n"sv, "MSG\r\n"sv, "MSG t 1\r\n"sv,
        "MSG t 1 r x 0\r\n\r\n"sv, "MSG t 1 r x y z 0\r\n\r\n"sv, "MSG t 1 -1\r\n\r\n"sv,
        "MSG t 1 1x\r\na\r\n"sv, "HMSG t 1 4\r\nabcd\r\n"sv, "HMSG t 1 5 4\r\nabcd\r\n"sv,
        "HMSG t 1 r x 1 4\r\nabcd\r\n"sv, "MSG t 1 3\r\nabcd\r\n"sv}) {
    EXPECT_EQ(bytes_read(read_nats, bytes), -1) << bytes;
  }
}

TEST(NsqFrame, a_message_has_an_id_and_a_body) {
  const NsqFrame ok = whole(read_nsq, "\0\0\0\6\0\0\0\0OK"sv);
  EXPECT_EQ(ok.type, NsqFrameType::response);
  EXPECT_EQ(ok.data, "OK");
  EXPECT_EQ(whole(read_nsq, "\0\0\0\x9\0\0\0\1E_BAD"sv).type, NsqFrameType::error);
  EXPECT_EQ(whole(read_nsq, "\0\0\0\4\0\0\0\0"sv).data, "");
  const NsqFrame message = whole(read_nsq, "\0\0\0\x21\0\0\0\2timetimeat0123456789abcdefa\0b"sv);
  EXPECT_EQ(message.type, NsqFrameType::message);
  EXPECT_EQ(message.id, "0123456789abcdef");
  EXPECT_EQ(message.data, "a\0b"sv);
}

TEST(NsqFrame, what_is_none_is_refused) {
  for (const std::string_view bytes :
       {"HTTP/1.1"sv, "\0\0\0\0"sv, "\0\0\0\3\0\0\0"sv, "\0\0\0\4\0\0\0\3"sv,
        "\0\0\0\x1d\0\0\0\2timetimeat0123456789abcde"sv}) {
    EXPECT_EQ(bytes_read(read_nsq, bytes), -1) << bytes;
  }
}

TEST(BeanstalkdReply, a_reply_is_a_word_and_a_job_has_a_body) {
  EXPECT_EQ(whole(read_beanstalkd, "INSERTED 7\r\n").word, "INSERTED");
  EXPECT_EQ(whole(read_beanstalkd, "OUT_OF_MEMORY\r\n").line, "OUT_OF_MEMORY");
  const BeanstalkdReply job = whole(read_beanstalkd, "RESERVED 7 4\r\na\r\nb\r\n");
  EXPECT_EQ(job.id, "7");
  EXPECT_EQ(job.body, "a\r\nb");
  EXPECT_EQ(whole(read_beanstalkd, "RESERVED 7 0\r\n\r\n").body, "");
}

TEST(BeanstalkdReply, what_is_none_is_refused) {
  for (const std::string_view bytes :
       {"\r\n"sv, "HTTP/1.1 400 Bad Request\r\n"sv, " INSERTED 1\r\n"sv, "RESERVED\r\n"sv,
        "RESERVED 1\r\n"sv, "RESERVED 1 \r\n"sv, "RESERVED x 1\r\na\r\n"sv,
        "RESERVED 1 -1\r\na\r\n"sv, "RESERVED 1 1 1\r\na\r\n"sv, "RESERVED 1 3\r\nabcd\r\n"sv}) {
    EXPECT_EQ(bytes_read(read_beanstalkd, bytes), -1) << bytes;
  }
}

TEST(GearmanPacket, a_job_has_a_handle_a_function_and_a_workload) {
  const GearmanPacket job = whole(read_gearman, "\0RES\0\0\0\xb\0\0\0\xeH:vm:1\0t-1\0a\0b"sv);
  EXPECT_EQ(job.type, GearmanType::job_assign);
  EXPECT_EQ(job.handle, "H:vm:1");
  EXPECT_EQ(job.function, "t-1");
  EXPECT_EQ(job.data, "a\0b"sv);
  EXPECT_EQ(whole(read_gearman, "\0RES\0\0\0\6\0\0\0\0"sv).type, GearmanType::noop);
  EXPECT_EQ(whole(read_gearman, "\0RES\0\0\0\x13\0\0\0\x8QUEUE\0no"sv).data, "no");
}

TEST(GearmanPacket, what_is_none_is_refused) {
  for (const std::string_view bytes :
       {"H"sv, "\0REQ"sv, "\0RES\0\0\0\xb\0\0\0\6H:vm:1"sv, "\0RES\0\0\0\xb\0\0\0\7H:vm:1\0"sv,
        "\0RES\0\0\0\xb\0\0\0\0"sv}) {
    EXPECT_EQ(bytes_read(read_gearman, bytes), -1) << bytes;
  }
}

TEST(Codecs, what_claims_more_than_can_be_is_refused_and_not_waited_for) {
  EXPECT_EQ(bytes_read(read_nats, "MSG t 1 536870912\r\n"), 0);
  EXPECT_EQ(bytes_read(read_beanstalkd, "RESERVED 1 536870912\r\n"), 0);
  EXPECT_EQ(bytes_read(read_nsq, "\x20\0\0\0"sv), 0);
  EXPECT_EQ(bytes_read(read_gearman, "\0RES\0\0\0\x8\x20\0\0\0"sv), 0);
  for (const std::string_view count : {"536870913", "18446744073709551615", "18446744073709551616",
                                       "99999999999999999999999999999999"}) {
    const std::string end = std::string(count) + "\r\n";
    EXPECT_EQ(bytes_read(read_nats, "MSG t 1 " + end), -1) << end;
    EXPECT_EQ(bytes_read(read_nats, "HMSG t 1 0 " + end), -1) << end;
    EXPECT_EQ(bytes_read(read_beanstalkd, "RESERVED 1 " + end), -1) << end;
  }
  EXPECT_EQ(bytes_read(read_nsq, "\x20\0\0\1"sv), -1);
  EXPECT_EQ(bytes_read(read_nsq, "\xff\xff\xff\xff"sv), -1);
  EXPECT_EQ(bytes_read(read_gearman, "\0RES\0\0\0\x8\x20\0\0\1"sv), -1);
  EXPECT_EQ(bytes_read(read_gearman, "\0RES\0\0\0\x8\xff\xff\xff\xff"sv), -1);
}

TEST(Codecs, a_line_without_an_end_is_refused_in_the_end) {
  std::string line = "INFO " + std::string(line_bytes_max - 5, 'x');
  EXPECT_EQ(bytes_read(read_nats, std::string_view(line).substr(1)), 0);
  EXPECT_EQ(bytes_read(read_nats, line), -1);
  EXPECT_EQ(bytes_read(read_beanstalkd, line), -1);
  EXPECT_EQ(bytes_read(read_nats, line + "\r\n"), -1);
}

}  // namespace
}  // namespace millrace::loadgen

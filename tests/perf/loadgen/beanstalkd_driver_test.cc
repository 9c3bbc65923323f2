#include "perf/loadgen/drivers/beanstalkd_driver.h"

#include <gtest/gtest.h>

#include "perf/loadgen/drivers/bytes.h"
#include "tests/perf/loadgen/fake_server.h"

namespace millrace::loadgen {
namespace {

// A driver of two partitions with its connections.
class Beanstalkd : public ServedDriver<BeanstalkdDriver> {
 public:
  Beanstalkd() {
    auto prepared = prepare({.topic = "t", .partitions = 2});
    writer = server.accept();
    for (int& reader : readers) {
      reader = server.accept();
      server.expect(reader, "watch t-0\r\nwatch t-1\r\nignore default\r\n");
      server.send(reader, "WATCHING 2\r\nWATCHING 3\r\nWATCHING 2\r\n");
    }
    EXPECT_EQ(error_of(prepared), "");
    for (const int reader : readers) expect(reader, "reserve\r\n");
  }

  std::array<int, 16> readers{};
  int writer = -1;
};

TEST(BeanstalkdDriver, what_is_put_is_answered_reserved_and_deleted) {
  Beanstalkd queue;
  for (std::uint64_t number = 0; number < 2; ++number) {
    ASSERT_TRUE(queue.driver.offer(number, bytes_of(payload)));
  }
  queue.expect(queue.writer,
               "use t-0\r\nput 1024 0 3600 16\r\nsixteen bytes or\r\n"
               "use t-1\r\nput 1024 0 3600 16\r\nsixteen bytes or\r\n");
  queue.server.send(queue.writer, "USING t-0\r\nINSERTED 17\r\nUSING t-1\r\nINSERTED 18\r\n");
  queue.server.send(queue.readers[3], "RESERVED 18 16\r\nsixteen bytes or\r\n");
  queue.expect(queue.readers[3], "delete 18\r\nreserve\r\n");
  EXPECT_EQ(queue.seen.acknowledged_numbers, (std::vector<std::uint64_t>{0, 1}));
  EXPECT_EQ(queue.seen.deliveries, (std::vector<Delivery>{{3, std::string(payload)}}));
}

TEST(BeanstalkdDriver, what_comes_byte_by_byte_is_one_job) {
  Beanstalkd queue;
  queue.send_in_pieces(queue.writer, "INSERTED 1\r\n");
  queue.send_in_pieces(queue.readers[0], "DELETED\r\nRESERVED 1 4\r\na\r\nb\r\n");
  queue.poll_until(1, 1);
  EXPECT_EQ(queue.seen.deliveries[0], Delivery(0, "a\r\nb"));
}

TEST(BeanstalkdDriver, errors_are_told_in_the_servers_words) {
  Beanstalkd full;
  EXPECT_EQ(full.error_after(full.writer, "OUT_OF_MEMORY\r\n"), "beanstalkd: OUT_OF_MEMORY");
  Beanstalkd slow;
  EXPECT_EQ(slow.error_after(slow.readers[5], "DEADLINE_SOON\r\n"), "beanstalkd: DEADLINE_SOON");
  ServedDriver<BeanstalkdDriver> fresh;
  auto prepared = fresh.prepare({.topic = "t"});
  fresh.server.accept();
  fresh.server.send(fresh.server.accept(), "WATCHING 2\r\nNOT_IGNORED\r\n");
  EXPECT_EQ(error_of(prepared), "beanstalkd: NOT_IGNORED");
}

TEST(BeanstalkdDriver, what_is_not_beanstalkd_is_an_error) {
  constexpr std::string_view no_reply = "beanstalkd: what came does not read as a reply";
  Beanstalkd web;
  EXPECT_EQ(web.error_after(web.writer, "HTTP/1.1 400 Bad Request\r\n"), no_reply);
  Beanstalkd cut;
  EXPECT_EQ(cut.error_after(cut.readers[0], "RESERVED 5\r\n"), no_reply);
  Beanstalkd huge;
  EXPECT_EQ(huge.error_after(huge.readers[0], "RESERVED 5 18446744073709551615\r\n"), no_reply);
  EXPECT_TRUE(huge.seen.deliveries.empty());
  ServedDriver<BeanstalkdDriver> fresh;
  auto prepared = fresh.prepare({.topic = "t"});
  fresh.server.accept();
  fresh.server.send(fresh.server.accept(), "220 mail.example ready\r\n");
  EXPECT_EQ(error_of(prepared), no_reply);
}

}  // namespace
}  // namespace millrace::loadgen

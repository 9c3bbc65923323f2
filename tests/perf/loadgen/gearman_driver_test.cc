#include "perf/loadgen/drivers/gearman_driver.h"

#include <gtest/gtest.h>

#include "perf/loadgen/drivers/bytes.h"
#include "tests/perf/loadgen/fake_server.h"

namespace millrace::loadgen {
namespace {

using namespace std::string_view_literals;

std::string packet(std::string_view magic, std::uint32_t type, std::string_view data) {
  std::string out(magic);
  append_be(out, type);
  append_be(out, static_cast<std::uint32_t>(data.size()));
  return out.append(data);
}

std::string request(std::uint32_t type, std::string_view data = {}) {
  return packet("\0REQ"sv, type, data);
}

std::string response(std::uint32_t type, std::string_view data = {}) {
  return packet("\0RES"sv, type, data);
}

const std::string grab_job = request(9);
const std::string no_job = response(10);

// A driver of two partitions with its connections.
class Gearman : public ServedDriver<GearmanDriver> {
 public:
  Gearman() {
    auto prepared = prepare({.topic = "t", .partitions = 2});
    worker = server.accept();
    server.expect(worker, request(1, "t-0") + request(1, "t-1") + request(16));
    server.send(worker, response(17));
    EXPECT_EQ(error_of(prepared), "");
    client = server.accept();
    expect(worker, grab_job);
  }

  int worker = -1;
  int client = -1;
};

TEST(GearmanDriver, what_is_submitted_is_answered_assigned_and_completed) {
  Gearman gearman;
  ASSERT_TRUE(gearman.driver.offer(0, bytes_of(payload)));
  ASSERT_TRUE(gearman.driver.offer(1, bytes_of(payload)));
  gearman.expect(gearman.client, request(18,
                                         "t-0\0"
                                         "0\0sixteen bytes or"sv) +
                                     request(18,
                                             "t-1\0"
                                             "1\0sixteen bytes or"sv));
  gearman.server.send(gearman.client, response(8, "H:vm:1") + response(8, "H:vm:2"));
  gearman.server.send(gearman.worker, response(11, "H:vm:2\0t-1\0sixteen bytes or"sv));
  gearman.expect(gearman.worker, request(13, "H:vm:2\0"sv) + grab_job + grab_job + grab_job);
  EXPECT_EQ(gearman.seen.acknowledged_numbers, (std::vector<std::uint64_t>{0, 1}));
  EXPECT_EQ(gearman.seen.deliveries, (std::vector<Delivery>{{1, std::string(payload)}}));
}

TEST(GearmanDriver, a_worker_without_a_job_sleeps_until_it_is_woken) {
  Gearman gearman;
  gearman.server.send(gearman.worker, no_job);
  gearman.expect(gearman.worker, request(4));
  gearman.server.send(gearman.worker, response(6));
  gearman.expect(gearman.worker, grab_job);
}

TEST(GearmanDriver, what_comes_byte_by_byte_is_one_job) {
  Gearman gearman;
  gearman.send_in_pieces(gearman.client, response(8, "H:vm:1"));
  gearman.send_in_pieces(gearman.worker, response(11, "H:my-host-7:2\0t-0\0a\0b"sv));
  gearman.poll_until(1, 1);
  EXPECT_EQ(gearman.seen.deliveries[0], Delivery(0, "a\0b"sv));
}

TEST(GearmanDriver, errors_are_told_in_the_servers_words) {
  Gearman gearman;
  EXPECT_EQ(gearman.error_after(gearman.client, response(19, "QUEUE_ERROR\0the queue is full"sv)),
            "gearman: the queue is full");
  ServedDriver<GearmanDriver> fresh;
  auto prepared = fresh.prepare({.topic = "t"});
  fresh.server.send(fresh.server.accept(), response(19, "NO\0no workers here"sv));
  EXPECT_EQ(error_of(prepared), "gearman: no workers here");
}

TEST(GearmanDriver, what_nobody_asked_for_is_an_error) {
  Gearman other;
  EXPECT_EQ(other.error_after(other.worker, response(11, "H:my-host-0:2\0t-2\0a"sv)),
            "gearman: a job of function 't-2' came");
  Gearman nameless;
  EXPECT_EQ(nameless.error_after(nameless.worker, response(11, "H:my-host-0:2\0t\0a"sv)),
            "gearman: a job of function 't' came");
  Gearman twice;
  EXPECT_EQ(twice.error_after(twice.worker, no_job + no_job), "gearman: a packet of type 10 came");
  Gearman answer;
  EXPECT_EQ(answer.error_after(answer.client, response(6)), "gearman: a packet of type 6 came");
}

TEST(GearmanDriver, what_is_not_gearman_is_an_error) {
  constexpr std::string_view no_response = "gearman: what came does not read as a response";
  Gearman web;
  EXPECT_EQ(web.error_after(web.client, "HTTP"), no_response);
  Gearman cut;
  EXPECT_EQ(cut.error_after(cut.worker, response(11, "H:vm:1\0t-0"sv)), no_response);
  Gearman huge;
  EXPECT_EQ(huge.error_after(huge.worker, "\0RES\0\0\0\xb\xff\xff\xff\xff"sv), no_response);
  EXPECT_TRUE(huge.seen.deliveries.empty());
}

}  // namespace
}  // namespace millrace::loadgen

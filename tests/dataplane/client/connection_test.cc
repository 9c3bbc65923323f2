// The client against the real server side of the native protocol, over a line that loses, doubles
// and delays a tenth of the packets, in virtual time.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "dataplane/client/client.h"
#include "tests/dataplane/client/link_port.h"
#include "tests/dataplane/client/world.h"
#include "tests/dataplane/protocol/native/node.h"

namespace millrace::client {
namespace {

class EndToEnd : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  EndToEnd()
      : port_(clock_, {10, 5'000, GetParam()}, server()),
        node_(std::make_unique<millrace::testing::Node>(shard_)) {
    shard_.add_topic("t", 1);
    ClientOptions options;
    options.server = server();
    options.local_port = 1;
    options.connection.seed = GetParam();
    client_ = std::make_unique<Client>(port_, clock_, options);
  }

  static base::Endpoint server() { return {0x0a000001, native::default_udp_port, 0, {}}; }

  void turn() {
    clock_.advance(5'000);
    const std::uint64_t now_ns = clock_.monotonic_ns();
    PacketBytes packet;
    while (port_.to_node().receive(packet, now_ns))
      node_->receive(millrace::testing::endpoint(40'000), packet, now_ns);
    if (now_ns >= durable_at_ns_) {
      shard_.make_durable();
      durable_at_ns_ = now_ns + 80'000;
    }
    for (const auto& sent : node_->turn(now_ns)) port_.to_client().send(sent.bytes, now_ns);
    client_->poll(
        [](void* context, const mr_record* record) {
          static_cast<std::vector<SeenRecord>*>(context)->push_back(World::copy(*record));
        },
        &seen_, 1'000'000);
  }
  template <typename Done>
  bool run_until(Done done) {
    const std::uint64_t end_ns = clock_.monotonic_ns() + 20 * base::second_ns;
    while (!done()) {
      if (clock_.monotonic_ns() >= end_ns) return false;
      turn();
    }
    return true;
  }
  Producer* producer(std::uint32_t batch_bytes = 0) {
    ProducerOptions options;
    options.topic = "t";
    options.producer_id = 7;
    options.batch_bytes = batch_bytes;
    return client_->open_producer(options);
  }
  std::int64_t offer(Producer* producer, const std::string& value) {
    std::int64_t result = MR_BACK_PRESSURED;
    run_until([&] {
      result = producer->offer("k", value);
      return result != MR_BACK_PRESSURED && result != MR_NOT_CONNECTED;
    });
    return result;
  }
  static std::string text(std::int64_t number, std::size_t bytes) {
    std::string value = "record " + std::to_string(number) + " ";
    value.resize(std::max(bytes, value.size()), static_cast<char>('a' + number % 26));
    return value;
  }
  // Publishes count records and says whether all came back, once and in order.
  void publish_and_check(Producer* producer, std::int64_t count, std::size_t bytes,
                         std::int64_t restart_every = 0) {
    client_->subscribe({"t", 0, native::StartAt::earliest, 0, nullptr});
    for (std::int64_t i = 0; i < count; ++i) {
      ASSERT_EQ(offer(producer, text(i, bytes)), i);
      if (i % 5 == 0) turn();
      if (restart_every != 0 && i % restart_every == restart_every - 1)
        node_ = std::make_unique<millrace::testing::Node>(shard_);
    }
    producer->flush();
    ASSERT_TRUE(run_until([&] {
      return producer->drained() && static_cast<std::int64_t>(seen_.size()) >= count;
    })) << seen_.size()
        << " of " << count << ", " << mr_status_text(producer->status());
    for (int i = 0; i < 200; ++i) turn();
    ASSERT_EQ(static_cast<std::int64_t>(seen_.size()), count);
    for (std::int64_t i = 0; i < count; ++i) {
      const SeenRecord& record = seen_[static_cast<std::size_t>(i)];
      ASSERT_EQ(record.offset, i);
      ASSERT_EQ(record.value, text(i, bytes));
    }
    mr_acks acks;
    producer->poll_acks(acks);
    EXPECT_EQ(acks.memory, count);
    EXPECT_EQ(acks.durable, count);
  }

  base::VirtualClock clock_;
  LinkPort port_;
  millrace::testing::FakeShard shard_;
  std::unique_ptr<millrace::testing::Node> node_;
  std::unique_ptr<Client> client_;
  std::vector<SeenRecord> seen_;
  std::uint64_t durable_at_ns_ = 0;
};

TEST_P(EndToEnd, every_record_arrives_once_and_in_order) {
  publish_and_check(producer(), 2000, 200);
}

TEST_P(EndToEnd, batches_of_several_packets_arrive_whole) {
  publish_and_check(producer(30'000), 600, 2'000);
}

TEST_P(EndToEnd, batches_of_a_mebibyte_arrive_whole) {
  publish_and_check(producer(storage::batch_bytes_max), 4, 1'000'000);
}

TEST_P(EndToEnd, a_server_started_anew_costs_no_record_and_doubles_none) {
  publish_and_check(producer(), 1500, 300, 400);
  EXPECT_GE(client_->stats().sessions, 2U);
}

TEST_P(EndToEnd, a_full_journal_stops_the_producer_and_retry_goes_on) {
  Producer* one = producer();
  ASSERT_EQ(offer(one, text(0, 100)), 0);
  ASSERT_TRUE(run_until([&] { return one->drained(); }));
  shard_.refuse_next(shard::Status::journal_full);
  ASSERT_EQ(offer(one, text(1, 100)), 1);
  ASSERT_TRUE(run_until([&] { return one->status() != MR_OK; }));
  EXPECT_EQ(one->status(), MR_REFUSED_FULL);
  EXPECT_EQ(one->retry(), MR_OK);
  ASSERT_TRUE(run_until([&] { return one->drained(); }));
  EXPECT_EQ(shard_.log(0).size(), 2U);
}

INSTANTIATE_TEST_SUITE_P(Seeds, EndToEnd, ::testing::Values(1, 2, 3, 4));

}  // namespace
}  // namespace millrace::client

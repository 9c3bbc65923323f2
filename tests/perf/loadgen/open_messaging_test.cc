#include "perf/loadgen/open_messaging.h"

#include <gtest/gtest.h>

#include "dataplane/base/units.h"

namespace millrace::loadgen {
namespace {

TEST(OpenMessaging, a_workload_is_read) {
  const auto workload = read_open_messaging(R"(
name: 1-topic-16-partitions-1kb
topics: 1
partitionsPerTopic: 16
keyDistributor: "NO_KEY"
messageSize: 1024
payloadFile: "payload/payload-1Kb.data"
subscriptionsPerTopic: 3
consumerPerSubscription: 1
producersPerTopic: 4
producerRate: 50000
consumerBacklogSizeGB: 0
testDurationMinutes: 0.5
)");
  ASSERT_TRUE(workload) << workload.error().message();
  EXPECT_EQ(workload->partitions, 16U);
  EXPECT_EQ(workload->payload_bytes, 1024U);
  EXPECT_EQ(workload->rate, 50'000U);
  EXPECT_EQ(workload->connections, 4U);
  EXPECT_EQ(workload->subscribers, 3U);
  EXPECT_EQ(workload->measured_ns, 30 * base::second_ns);
  EXPECT_EQ(workload->warm_up_ns, 60 * base::second_ns);
}

TEST(OpenMessaging, what_is_not_done_or_not_known_is_named) {
  const auto error = [](const std::string& yaml) {
    const auto read = read_open_messaging(yaml);
    return read ? "none" : std::string(read.error().message());
  };
  EXPECT_EQ(error("topics: 7"), "workload: topics: 7 is not done by this generator");
  EXPECT_EQ(error("consumerBacklogSizeGB: 5"),
            "workload: consumerBacklogSizeGB: 5 is not done by this generator");
  EXPECT_EQ(error("messageSise: 7"), "workload: unknown setting messageSise");
  EXPECT_EQ(error("messageSize: 8"),
            "workload: messageSize is at least 16; partitionsPerTopic, producersPerTopic and "
            "subscriptionsPerTopic are at least 1");
  EXPECT_NE(error("producersPerTopic: 0"), "none");
  EXPECT_NE(error("messageSize: many"), "none");
  EXPECT_NE(error("- a\n- list"), "none");
  EXPECT_NE(error("a: [unclosed"), "none");
}

}  // namespace
}  // namespace millrace::loadgen

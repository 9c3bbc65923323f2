#include "dataplane/client/client.h"

#include <gtest/gtest.h>

#include "tests/dataplane/client/world.h"

namespace millrace::client {
namespace {

TEST(Client, publishes_a_record_and_gets_it_back) {
  World world;
  Producer* producer = world.producer();
  ASSERT_TRUE(producer->ready());
  EXPECT_EQ(producer->offer("key", "value"), 0);
  ASSERT_TRUE(world.run_until([&] { return producer->drained(); }));
  mr_acks acks;
  EXPECT_EQ(producer->poll_acks(acks), 1);
  EXPECT_EQ(acks.memory, 1);
  EXPECT_EQ(acks.replicated, 1);
  EXPECT_EQ(acks.durable, 1);
  EXPECT_EQ(producer->poll_acks(acks), 0);
  world.subscribe();
  ASSERT_TRUE(world.run_until([&] { return world.seen.size() == 1; }));
  EXPECT_EQ(world.seen[0].offset, 0);
  EXPECT_EQ(world.seen[0].key, "key");
  EXPECT_EQ(world.seen[0].value, "value");
}

}  // namespace
}  // namespace millrace::client

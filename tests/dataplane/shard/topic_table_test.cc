#include "dataplane/shard/topic_table.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>

namespace millrace::shard {
namespace {

Topic make_topic(std::uint32_t id, const std::string& name, std::uint32_t partition_count = 1) {
  Topic topic;
  topic.id = base::TopicId{id};
  topic.first_partition = base::PartitionId{id * 100};
  topic.partition_count = partition_count;
  topic.name_bytes = static_cast<std::uint8_t>(name.size());
  std::memcpy(topic.name, name.data(), name.size());
  return topic;
}

class TopicTableTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t topics_max = 100;
  base::Arena arena_ = std::move(
      *base::Arena::create({.bytes = TopicTable::arena_bytes(topics_max), .huge_pages = false}));
  TopicTable table_{arena_, topics_max};
};

TEST_F(TopicTableTest, finds_a_topic_by_name_and_by_id) {
  ASSERT_TRUE(table_.add(make_topic(3, "orders", 4)));
  ASSERT_NE(table_.find("orders"), nullptr);
  EXPECT_EQ(table_.find("orders")->partition(2), base::PartitionId{302});
  EXPECT_EQ(table_.find(base::TopicId{3})->name_text(), "orders");
  EXPECT_EQ(table_.find("order"), nullptr);
}

TEST_F(TopicTableTest, takes_the_same_topic_twice_as_once) {
  ASSERT_TRUE(table_.add(make_topic(3, "orders")));
  ASSERT_TRUE(table_.add(make_topic(3, "orders")));
  EXPECT_EQ(table_.size(), 1U);
}

TEST_F(TopicTableTest, refuses_more_topics_than_it_has_room_for) {
  for (std::uint32_t i = 0; i < topics_max; ++i)
    ASSERT_TRUE(table_.add(make_topic(i, fmt::format("t{}", i))));
  EXPECT_FALSE(table_.add(make_topic(topics_max, "one-more")));
  table_.remove(base::TopicId{50});
  EXPECT_TRUE(table_.add(make_topic(topics_max, "one-more")));
}

TEST_F(TopicTableTest, finds_every_other_topic_after_removals) {
  for (std::uint32_t i = 0; i < topics_max; ++i)
    ASSERT_TRUE(table_.add(make_topic(i, fmt::format("topic-{}", i))));
  for (std::uint32_t i = 0; i < topics_max; i += 3) table_.remove(base::TopicId{i});
  for (std::uint32_t i = 0; i < topics_max; ++i) {
    EXPECT_EQ(table_.find(fmt::format("topic-{}", i)) != nullptr, i % 3 != 0) << i;
  }
}

}  // namespace
}  // namespace millrace::shard

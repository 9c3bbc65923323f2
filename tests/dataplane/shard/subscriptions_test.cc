#include "dataplane/shard/subscriptions.h"

#include <gtest/gtest.h>

namespace millrace::shard {
namespace {

struct NoCursor {};
using Pool = Subscriptions<NoCursor>;

class SubscriptionsTest : public ::testing::Test {
 protected:
  base::Arena arena_ =
      std::move(*base::Arena::create({.bytes = Pool::arena_bytes(8, 4), .huge_pages = false}));
  Pool pool_{arena_, 8, 4};
};

TEST_F(SubscriptionsTest, an_old_name_is_not_taken_for_the_new_owner_of_its_place) {
  const std::uint32_t first = pool_.add(0);
  const std::uint32_t old_id = pool_.id_of(first);
  pool_.remove(first);
  const std::uint32_t second = pool_.add(0);
  ASSERT_EQ(first, second);
  EXPECT_EQ(pool_.index_of(old_id), Pool::none);
  EXPECT_EQ(pool_.index_of(pool_.id_of(second)), second);
  EXPECT_EQ(pool_.index_of(0), Pool::none);
}

TEST_F(SubscriptionsTest, wakes_those_of_the_partition_that_have_credit) {
  const std::uint32_t a = pool_.add(1);
  const std::uint32_t b = pool_.add(1);
  const std::uint32_t other = pool_.add(2);
  pool_[a].credit_bytes = pool_[other].credit_bytes = 100;
  pool_.wake(1);
  pool_.wake(1);
  pool_.take_woken();
  EXPECT_EQ(pool_[a].queue, Pool::Queue::ready);
  EXPECT_EQ(pool_[b].queue, Pool::Queue::idle);
  EXPECT_EQ(pool_[other].queue, Pool::Queue::idle);
  EXPECT_EQ(pool_.front(Pool::Queue::ready), a);
}

TEST_F(SubscriptionsTest, serves_in_turn) {
  for (int i = 0; i < 3; ++i) pool_.move_to(pool_.add(0), Pool::Queue::ready);
  const std::uint32_t first = pool_.front(Pool::Queue::ready);
  pool_.rotate(Pool::Queue::ready);
  EXPECT_NE(pool_.front(Pool::Queue::ready), first);
  pool_.rotate(Pool::Queue::ready);
  pool_.rotate(Pool::Queue::ready);
  EXPECT_EQ(pool_.front(Pool::Queue::ready), first);
}

TEST_F(SubscriptionsTest, leaves_no_trace_of_a_removed_one_in_any_list) {
  const std::uint32_t a = pool_.add(0);
  const std::uint32_t b = pool_.add(0);
  const std::uint32_t c = pool_.add(0);
  for (const std::uint32_t each : {a, b, c}) pool_.move_to(each, Pool::Queue::cold);
  pool_.remove(b);
  std::uint32_t in_partition = 0;
  for (auto at = pool_.first_of_partition(0); at != Pool::none; at = pool_[at].next_in_partition) {
    EXPECT_NE(at, b);
    ++in_partition;
  }
  EXPECT_EQ(in_partition, 2U);
  std::uint32_t in_queue = 0;
  for (auto at = pool_.front(Pool::Queue::cold); at != Pool::none; at = pool_[at].next_in_queue)
    ++in_queue;
  EXPECT_EQ(in_queue, 2U);
}

TEST_F(SubscriptionsTest, refuses_more_than_it_has_room_for) {
  for (int i = 0; i < 8; ++i) ASSERT_NE(pool_.add(3), Pool::none);
  EXPECT_EQ(pool_.add(3), Pool::none);
}

}  // namespace
}  // namespace millrace::shard

#include "perf/loadgen/delivery_check.h"

#include <gtest/gtest.h>

namespace millrace::loadgen {
namespace {

TEST(DeliveryCheck, order_is_that_of_each_source) {
  DeliveryCheck check;
  for (const std::uint64_t number : {0, 2, 4}) EXPECT_TRUE(check.add(0, number));
  for (const std::uint64_t number : {1, 3, 5}) EXPECT_TRUE(check.add(7, number));
  EXPECT_EQ(check.delivered(), 6U);
  EXPECT_EQ(check.reordered(), 0U);
}

TEST(DeliveryCheck, what_comes_after_a_later_one_is_reordered) {
  DeliveryCheck check;
  for (const std::uint64_t number : {5, 3, 4, 6}) EXPECT_TRUE(check.add(0, number));
  EXPECT_EQ(check.reordered(), 2U);
  EXPECT_EQ(check.delivered(), 4U);
  EXPECT_EQ(check.duplicated(), 0U);
}

TEST(DeliveryCheck, what_comes_again_is_counted_once_whatever_its_source) {
  DeliveryCheck check;
  EXPECT_TRUE(check.add(0, 1'000'000));
  EXPECT_FALSE(check.add(0, 1'000'000));
  EXPECT_FALSE(check.add(1, 1'000'000));
  EXPECT_EQ(check.delivered(), 1U);
  EXPECT_EQ(check.duplicated(), 2U);
  EXPECT_EQ(check.reordered(), 0U);
}

}  // namespace
}  // namespace millrace::loadgen

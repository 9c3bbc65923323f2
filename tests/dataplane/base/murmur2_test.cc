#include "dataplane/base/murmur2.h"

#include <gtest/gtest.h>

namespace millrace::base {
namespace {

// The vectors of Kafka's own UtilsTest.testMurmur2 (as signed 32-bit numbers there).
TEST(Partitioner, hashes_like_kafkas_own_clients) {
  EXPECT_EQ(static_cast<std::int32_t>(murmur2("21")), -973932308);
  EXPECT_EQ(static_cast<std::int32_t>(murmur2("foobar")), -790332482);
  EXPECT_EQ(static_cast<std::int32_t>(murmur2("a-little-bit-long-string")), -985981536);
  EXPECT_EQ(static_cast<std::int32_t>(murmur2("a-little-bit-longer-string")), -1486304829);
  EXPECT_EQ(static_cast<std::int32_t>(murmur2("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8")),
            -58897971);
  EXPECT_EQ(static_cast<std::int32_t>(murmur2("abc")), 479470107);
}

TEST(Partitioner, takes_the_hash_without_its_sign_bit) {
  EXPECT_EQ(partition_of_key("21", 1'000'000'007),
            (static_cast<std::uint32_t>(-973932308) & 0x7fff'ffffU) % 1'000'000'007);
  EXPECT_EQ(partition_of_key("abc", 10), 479470107U % 10);
}

TEST(Partitioner, gives_an_empty_key_one_partition_like_any_other) {
  EXPECT_EQ(partition_of_key("", 7), partition_of_key(std::string_view(), 7));
  EXPECT_LT(partition_of_key("", 7), 7U);
}

}  // namespace
}  // namespace millrace::base

#include "dataplane/base/ids.h"

#include <gtest/gtest.h>

#include <type_traits>

namespace millrace::base {
namespace {

TEST(Ids, two_kinds_of_id_do_not_convert_to_each_other_or_to_numbers) {
  EXPECT_FALSE((std::is_convertible_v<TopicId, PartitionId>));
  EXPECT_FALSE((std::is_convertible_v<CoreId, ShardId>));
  EXPECT_FALSE((std::is_convertible_v<PartitionId, std::uint32_t>));
  EXPECT_FALSE((std::is_convertible_v<std::uint32_t, PartitionId>));
}

TEST(Ids, raw_gives_the_number_in_its_own_width) {
  EXPECT_EQ(raw(PartitionId{0xffffffff}), 0xffffffffU);
  EXPECT_TRUE((std::is_same_v<decltype(raw(CoreId{1})), std::uint16_t>));
}

}  // namespace
}  // namespace millrace::base

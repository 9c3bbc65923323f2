#include "storage/key_map.h"

#include <gtest/gtest.h>

#include <string>

namespace millrace::storage {
namespace {

TEST(KeyMap, knows_the_last_offset_of_each_key) {
  KeyMap map(7, 1000);
  for (base::Offset offset = 0; offset < 5000; ++offset) {
    ASSERT_TRUE(map.put("key-" + std::to_string(offset % 1000), offset));
  }
  ASSERT_TRUE(map.put("key-1", 0));
  for (base::Offset key = 0; key < 1000; ++key) {
    EXPECT_EQ(map.find("key-" + std::to_string(key)), 4000 + key);
  }
  EXPECT_FALSE(map.find("key-1000"));
  EXPECT_FALSE(map.find(""));
}

TEST(KeyMap, takes_no_more_keys_than_it_may) {
  KeyMap map(7, 2);
  EXPECT_TRUE(map.put("", 1));
  EXPECT_TRUE(map.put("b", 2));
  EXPECT_FALSE(map.put("c", 3));
  EXPECT_TRUE(map.put("b", 4));
  EXPECT_EQ(map.find(""), 1);
  EXPECT_EQ(map.find("b"), 4);
  EXPECT_FALSE(map.find("c"));
}

}  // namespace
}  // namespace millrace::storage

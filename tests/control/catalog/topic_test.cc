// The rules for a topic's name.
#include "control/catalog/topic.h"

#include <gtest/gtest.h>

#include <string>

namespace millrace::control {
namespace {

TEST(TopicName, follows_kafkas_rules) {
  for (const std::string& name :
       {std::string("a"), std::string("A-b_c.9"), std::string("..."), std::string(249, 'x')}) {
    EXPECT_TRUE(check_topic_name(name)) << name;
  }
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string(250, 'x'),
        std::string("a b"), std::string("a/b"), std::string("\xc3\xa4"), std::string("a\0b", 3)}) {
    EXPECT_FALSE(check_topic_name(name)) << name;
  }
}

TEST(TopicName, says_which_character_is_wrong) {
  EXPECT_NE(check_topic_name("abc/d").error().message().find("character 4"),
            std::string_view::npos);
}

}  // namespace
}  // namespace millrace::control

#include "dataplane/base/drop_reason.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string_view>

namespace millrace::base {
namespace {

TEST(DropReason, each_has_one_name_of_its_own_fit_for_a_metric_label) {
  std::set<std::string_view> seen;
  for (const std::string_view name : drop_reason_names) {
    EXPECT_TRUE(seen.insert(name).second) << name << " stands twice";
    EXPECT_TRUE(std::all_of(name.begin(), name.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || c == '_';
    })) << name;
  }
  EXPECT_EQ(seen.size(), drop_reason_count);
}

TEST(DropReason, names_stand_at_their_values) {
  const auto name = [](DropReason reason) {
    return drop_reason_names[static_cast<std::size_t>(reason)];
  };
  EXPECT_EQ(name(DropReason::none), "none");
  EXPECT_EQ(name(DropReason::bad_ip_checksum), "bad_ip_checksum");
  EXPECT_EQ(name(DropReason::no_listener), "no_listener");
  EXPECT_EQ(name(DropReason::bad_magic), "bad_magic");
  EXPECT_EQ(name(DropReason::session_table_full), "session_table_full");
  EXPECT_EQ(name(DropReason::log_refused), "log_refused");
  EXPECT_EQ(delivery_names[static_cast<std::size_t>(Delivery::icmp)], "icmp");
}

}  // namespace
}  // namespace millrace::base

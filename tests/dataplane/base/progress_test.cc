#include "dataplane/base/progress.h"

#include <gtest/gtest.h>

namespace millrace::base {
namespace {

constexpr std::uint64_t second = 1'000'000'000;
constexpr std::uint64_t mib = 1 << 20;

TEST(Progress, says_rate_and_time_left_once_an_interval) {
  Progress progress(2 * second);
  EXPECT_FALSE(progress.line(5 * second, 0, 1000 * mib));
  EXPECT_FALSE(progress.line(6 * second, 50 * mib, 1000 * mib));
  EXPECT_EQ(progress.line(7 * second, 200 * mib, 1000 * mib),
            "200 of 1000 MiB, 100 MiB/s, 8 s left");
  EXPECT_FALSE(progress.line(8 * second, 300 * mib, 1000 * mib));
  EXPECT_EQ(progress.line(9 * second, 400 * mib, 1000 * mib),
            "400 of 1000 MiB, 100 MiB/s, 6 s left");
}

TEST(Progress, what_stands_still_has_no_end) {
  Progress progress(second);
  EXPECT_FALSE(progress.line(1, 0, mib));
  EXPECT_EQ(progress.line(2 * second, 0, mib), "0 of 1 MiB, 0 MiB/s");
}

TEST(Progress, begins_anew_with_the_next_part) {
  Progress progress(second);
  EXPECT_FALSE(progress.line(1, 90 * mib, 100 * mib));
  EXPECT_FALSE(progress.line(5 * second, 0, 100 * mib));
}

}  // namespace
}  // namespace millrace::base

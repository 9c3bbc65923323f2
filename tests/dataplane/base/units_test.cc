#include "dataplane/base/units.h"

#include <gtest/gtest.h>

namespace millrace::base {
namespace {

TEST(Units, aligning_goes_to_the_nearest_multiple_on_its_side) {
  EXPECT_EQ(align_up(0, 4096), 0U);
  EXPECT_EQ(align_up(1, 4096), 4096U);
  EXPECT_EQ(align_up(4096, 4096), 4096U);
  EXPECT_EQ(align_up(4097, 4096), 8192U);
  EXPECT_EQ(align_down(4095, 4096), 0U);
  EXPECT_EQ(align_down(4096, 4096), 4096U);
  EXPECT_EQ(align_down(8191, 4096), 4096U);
}

TEST(Units, sizes_are_powers_of_1024_and_times_of_1000) {
  EXPECT_EQ(gib, 1073741824U);
  EXPECT_EQ(second_ns, 1'000 * ms_ns);
  EXPECT_EQ(ms_ns, 1'000 * us_ns);
}

}  // namespace
}  // namespace millrace::base

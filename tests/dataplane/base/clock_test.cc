#include "dataplane/base/clock.h"

#include <gtest/gtest.h>

#include <ctime>

#include "dataplane/base/units.h"

namespace millrace::base {
namespace {

std::uint64_t kernel_ns(clockid_t id) {
  timespec ts{};
  clock_gettime(id, &ts);
  return static_cast<std::uint64_t>(ts.tv_sec) * second_ns + static_cast<std::uint64_t>(ts.tv_nsec);
}

TEST(VirtualClock, moves_only_when_told) {
  VirtualClock clock;
  const std::uint64_t monotonic_ns = clock.monotonic_ns();
  const std::uint64_t wall_ns = clock.wall_ns();
  EXPECT_EQ(clock.monotonic_ns(), monotonic_ns);
  EXPECT_EQ(clock.wall_ns(), wall_ns);
  clock.advance(250);
  EXPECT_EQ(clock.monotonic_ns(), monotonic_ns + 250);
  EXPECT_EQ(clock.wall_ns(), wall_ns + 250);
}

TEST(VirtualClock, never_reads_zero) {
  VirtualClock clock;
  EXPECT_GT(clock.monotonic_ns(), 0U);
}

TEST(SystemClock, never_goes_back) {
  SystemClock clock;
  std::uint64_t last_ns = clock.monotonic_ns();
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t now_ns = clock.monotonic_ns();
    ASSERT_GE(now_ns, last_ns);
    last_ns = now_ns;
  }
}

// A second of slack: a test may be taken off its processor at any point, but a wrong unit or a
// wrong epoch is off by far more.
TEST(SystemClock, agrees_with_the_kernel) {
  SystemClock clock;
  std::uint64_t before_ns = kernel_ns(CLOCK_MONOTONIC);
  std::uint64_t read_ns = clock.monotonic_ns();
  EXPECT_GE(read_ns + second_ns, before_ns);
  EXPECT_LE(read_ns, kernel_ns(CLOCK_MONOTONIC) + second_ns);

  before_ns = kernel_ns(CLOCK_REALTIME);
  read_ns = clock.wall_ns();
  EXPECT_GE(read_ns + second_ns, before_ns);
  EXPECT_LE(read_ns, kernel_ns(CLOCK_REALTIME) + second_ns);
}

}  // namespace
}  // namespace millrace::base

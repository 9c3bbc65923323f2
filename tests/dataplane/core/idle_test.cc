#include "dataplane/core/idle.h"

#include <gtest/gtest.h>

namespace millrace::core {
namespace {

using base::ms_ns;
using base::us_ns;

constexpr std::uint64_t far_ns = 20 * ms_ns;

TEST(IdlePolicy, a_core_spins_for_a_while_before_it_sleeps) {
  const IdlePolicy idle;
  EXPECT_EQ(idle.sleep_ns(0, false, far_ns), 0U);
  EXPECT_EQ(idle.sleep_ns(idle.spin_ns - 1, false, far_ns), 0U);
  EXPECT_EQ(idle.sleep_ns(idle.spin_ns, false, far_ns), far_ns);
}

TEST(IdlePolicy, no_sleep_goes_past_the_next_deadline) {
  IdlePolicy idle;
  for (const bool polled : {false, true}) {
    idle.polled_ports = polled;
    for (const bool writing : {false, true}) {
      for (const std::uint64_t silent_ns : {us_ns, 60 * us_ns, ms_ns, 10 * ms_ns, 1000 * ms_ns}) {
        EXPECT_LE(idle.sleep_ns(silent_ns, writing, 7), 7U);
        EXPECT_EQ(idle.sleep_ns(silent_ns, writing, 0), 0U);
      }
    }
  }
}

TEST(IdlePolicy, sleep_between_polls_grows_with_the_silence) {
  IdlePolicy idle;
  idle.polled_ports = true;
  std::uint64_t last_ns = 0;
  for (const std::uint64_t silent_ns : {60 * us_ns, 3 * ms_ns, 300 * ms_ns}) {
    const std::uint64_t sleep_ns = idle.sleep_ns(silent_ns, false, far_ns);
    EXPECT_GT(sleep_ns, last_ns);
    EXPECT_LE(sleep_ns, ms_ns);
    last_ns = sleep_ns;
  }
}

TEST(IdlePolicy, a_dedicated_core_only_sleeps_while_a_write_is_out) {
  IdlePolicy idle;
  idle.never_sleep = true;
  EXPECT_EQ(idle.sleep_ns(1000 * ms_ns, false, far_ns), 0U);
  EXPECT_GT(idle.sleep_ns(1000 * ms_ns, true, far_ns), 0U);
}

TEST(IdlePolicy, a_write_that_is_out_is_waited_for_soon_and_not_past_what_polling_allows) {
  IdlePolicy idle;
  EXPECT_EQ(idle.sleep_ns(idle.spin_while_writing_ns - 1, true, far_ns), 0U);
  EXPECT_EQ(idle.sleep_ns(idle.spin_while_writing_ns, true, far_ns), ms_ns);
  idle.polled_ports = true;
  EXPECT_EQ(idle.sleep_ns(idle.spin_while_writing_ns, true, far_ns), 20 * us_ns);
}

}  // namespace
}  // namespace millrace::core

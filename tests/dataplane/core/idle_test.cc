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

TEST(IdlePolicy, a_dedicated_core_only_sleeps_while_a_write_is_awaited) {
  IdlePolicy idle;
  idle.never_sleep = true;
  EXPECT_EQ(idle.sleep_ns(1000 * ms_ns, false, far_ns), 0U);
  EXPECT_GT(idle.sleep_ns(1000 * ms_ns, true, far_ns), 0U);
}

TEST(IdlePolicy, an_awaited_write_is_slept_for_unless_a_port_must_be_polled_meanwhile) {
  IdlePolicy idle;
  EXPECT_EQ(idle.sleep_ns(us_ns, true, far_ns), ms_ns);
  idle.polled_ports = true;
  EXPECT_EQ(idle.sleep_ns(us_ns, true, far_ns), 0U);
}

TEST(IdlePolicy, the_cheap_question_never_forbids_what_sleep_would_allow) {
  for (const bool polled : {false, true}) {
    for (const bool writing : {false, true}) {
      IdlePolicy idle;
      idle.polled_ports = polled;
      for (std::uint64_t silent_ns = us_ns; silent_ns < 10 * ms_ns; silent_ns *= 2) {
        EXPECT_TRUE(idle.sleep_ns(silent_ns, writing, far_ns) == 0 || idle.may_rest(silent_ns));
      }
    }
  }
  EXPECT_FALSE(IdlePolicy().may_rest(0));
}

}  // namespace
}  // namespace millrace::core

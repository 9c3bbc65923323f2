#include "dataplane/base/check.h"

#include <gtest/gtest.h>

namespace millrace::base {
namespace {

TEST(CheckDeathTest, a_false_condition_aborts_and_names_itself_and_its_place) {
  const int used = 3;
  EXPECT_DEATH(CHECK(used == 4), "check_test.cc:[0-9]+: CHECK failed: used == 4");
}

TEST(Check, a_true_condition_passes_and_is_evaluated_once) {
  int evaluations = 0;
  CHECK(++evaluations == 1);
  EXPECT_EQ(evaluations, 1);
}

#ifdef NDEBUG
TEST(Check, dcheck_does_not_evaluate_in_release) {
  int evaluations = 0;
  DCHECK(++evaluations == 2);
  EXPECT_EQ(evaluations, 0);
}
#else
TEST(CheckDeathTest, dcheck_aborts_outside_release) { EXPECT_DEATH(DCHECK(1 == 2), "1 == 2"); }
#endif

}  // namespace
}  // namespace millrace::base

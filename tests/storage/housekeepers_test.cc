#include "storage/housekeepers.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <thread>

namespace millrace::storage {
namespace {

TEST(Housekeepers, what_was_given_is_done_after_the_wait) {
  Housekeepers housekeepers({});
  std::uint64_t sum = 0;
  for (std::uint64_t i = 1; i <= 1000; ++i) {
    housekeepers.run([&sum, i] { sum += i; });
    housekeepers.wait();
    ASSERT_EQ(sum, i * (i + 1) / 2);
  }
}

TEST(Housekeepers, what_is_given_last_is_done_before_they_go) {
  bool done = false;
  {
    Housekeepers({}).run([&done] { done = true; });
  }
  EXPECT_TRUE(done);
}

TEST(Housekeepers, threads_of_theirs_keep_off_the_data_cores) {
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "one processor is all there is";
  Housekeepers housekeepers({0});
  const auto caller = std::this_thread::get_id();
  for (int i = 0; i < 100; ++i) {
    bool is_on_data_core = false;
    housekeepers.run([&] {
      cpu_set_t cpus;
      CPU_ZERO(&cpus);
      sched_getaffinity(0, sizeof cpus, &cpus);
      // What nobody else has begun is done by whoever waits.
      is_on_data_core = std::this_thread::get_id() != caller && CPU_ISSET(0, &cpus);
    });
    for (int yields = 0; yields < 100; ++yields) std::this_thread::yield();
    housekeepers.wait();
    ASSERT_FALSE(is_on_data_core);
  }
}

}  // namespace
}  // namespace millrace::storage

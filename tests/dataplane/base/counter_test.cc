#include "dataplane/base/counter.h"

#include <gtest/gtest.h>

#include <thread>

namespace millrace::base {
namespace {

TEST(Counter, starts_at_zero_and_adds) {
  Counter counter;
  EXPECT_EQ(counter.get(), 0U);
  counter.add();
  counter.add(41);
  EXPECT_EQ(counter.get(), 42U);
  counter.set(7);
  EXPECT_EQ(counter.get(), 7U);
}

TEST(Counter, who_sees_a_value_sees_what_was_written_before_it) {
  constexpr std::uint64_t last = 20'000;
  static std::uint64_t written[last + 1] = {};
  Counter counter;
  std::thread writer([&] {
    for (std::uint64_t i = 1; i <= last; ++i) {
      written[i] = i * 3;
      counter.set(i);
    }
  });
  std::uint64_t seen = 0;
  std::uint64_t wrong = 0;
  while (seen < last) {
    const std::uint64_t now = counter.get();
    if (now < seen) ++wrong;
    if (now > 0 && written[now] != now * 3) ++wrong;
    if (now == seen) std::this_thread::yield();
    seen = now;
  }
  writer.join();
  EXPECT_EQ(wrong, 0U);
}

}  // namespace
}  // namespace millrace::base

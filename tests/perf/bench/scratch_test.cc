// The directory of one run: under TMPDIR, gone with it, and what a killed run left is taken away.
#include "perf/bench/scratch.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

namespace millrace::bench {
namespace {

namespace fs = std::filesystem;

class ScratchTest : public testing::Test {
 protected:
  ScratchTest() {
    EXPECT_NE(mkdtemp(root_.data()), nullptr);
    setenv("TMPDIR", root_.c_str(), 1);
  }
  ~ScratchTest() override {
    unsetenv("TMPDIR");
    fs::remove_all(root_);
  }

  std::string root_ = testing::TempDir() + "bench-scratch-XXXXXX";
};

TEST_F(ScratchTest, is_removed_with_all_that_is_in_it) {
  {
    auto scratch = Scratch::create();
    ASSERT_TRUE(scratch);
    EXPECT_EQ(fs::path(scratch->path()).parent_path(), root_);
    fs::create_directories(scratch->path() + "/disk/data");
    const Scratch moved = std::move(*scratch);
    EXPECT_TRUE(fs::exists(moved.path()));
  }
  EXPECT_TRUE(fs::is_empty(root_));
}

TEST_F(ScratchTest, what_a_killed_run_left_is_removed_and_a_running_one_is_not) {
  const std::string left = fmt::format("{}/millrace-bench-{}-killed", root_, getuid());
  const std::string other = root_ + "/of-someone-else";
  fs::create_directories(left + "/data");
  fs::create_directories(other);
  auto running = Scratch::create();
  ASSERT_TRUE(running);
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(other));
  auto second = Scratch::create();
  ASSERT_TRUE(second);
  EXPECT_TRUE(fs::exists(running->path()));
}

}  // namespace
}  // namespace millrace::bench

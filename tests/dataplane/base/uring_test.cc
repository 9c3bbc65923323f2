#include "dataplane/base/uring.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/base/units.h"

namespace millrace::base {
namespace {

struct Completion {
  std::uint64_t token;
  std::int32_t result;
};

class Recorder : public CompletionHandler {
 public:
  void on_completion(std::uint64_t token, std::int32_t result, std::uint32_t) override {
    completions.push_back({token, result});
  }
  std::vector<Completion> completions;
};

class UringTest : public testing::Test {
 protected:
  void SetUp() override {
    auto created = Uring::create(8);
    if (!created && created.error().code() == ErrorCode::permission) {
      GTEST_SKIP() << created.error().message();
    }
    ASSERT_TRUE(created) << created.error().message();
    uring_ = std::move(*created);
    handler_ = uring_->add_handler(&recorder_);
  }

  void prepare_nop(std::uint8_t handler, std::uint64_t token) {
    io_uring_sqe* sqe = uring_->prepare();
    io_uring_prep_nop(sqe);
    Uring::tag(sqe, handler, token);
  }

  // Waits until `count` completions are in, however long the host takes for them.
  void wait_for(std::uint32_t count) {
    while (recorder_.completions.size() < count) uring_->wait(second_ns, 64);
  }

  std::unique_ptr<Uring> uring_;
  Recorder recorder_;
  std::uint8_t handler_ = 0;
};

TEST_F(UringTest, a_nop_comes_back_with_its_token) {
  prepare_nop(handler_, Uring::token_max);
  EXPECT_EQ(uring_->unsubmitted(), 1U);
  uring_->submit();
  EXPECT_EQ(uring_->unsubmitted(), 0U);
  EXPECT_TRUE(recorder_.completions.empty()) << "completions come from reap and wait only";
  wait_for(1);
  EXPECT_EQ(recorder_.completions[0].token, Uring::token_max);
  EXPECT_EQ(recorder_.completions[0].result, 0);
}

TEST_F(UringTest, says_whether_reap_would_find_something) {
  EXPECT_FALSE(uring_->has_completions());
  prepare_nop(handler_, 7);
  EXPECT_FALSE(uring_->has_completions());
  uring_->submit();
  while (!uring_->has_completions()) {
  }
  EXPECT_EQ(uring_->reap(64), 1U);
  EXPECT_FALSE(uring_->has_completions());
}

TEST_F(UringTest, wait_submits_what_was_prepared) {
  prepare_nop(handler_, 5);
  EXPECT_EQ(uring_->wait(second_ns, 64), 1U);
  EXPECT_EQ(recorder_.completions.at(0).token, 5U);
}

TEST_F(UringTest, each_handler_gets_its_own_completions) {
  Recorder other;
  const std::uint8_t other_handler = uring_->add_handler(&other);
  prepare_nop(handler_, 1);
  prepare_nop(other_handler, 2);
  prepare_nop(handler_, 3);
  wait_for(2);
  while (other.completions.empty()) uring_->wait(second_ns, 64);
  ASSERT_EQ(recorder_.completions.size(), 2U);
  EXPECT_EQ(recorder_.completions[0].token, 1U);
  EXPECT_EQ(recorder_.completions[1].token, 3U);
  ASSERT_EQ(other.completions.size(), 1U);
  EXPECT_EQ(other.completions[0].token, 2U);
}

TEST_F(UringTest, reap_delivers_no_more_than_it_was_allowed) {
  for (std::uint64_t token = 0; token < 6; ++token) prepare_nop(handler_, token);
  EXPECT_EQ(uring_->wait(second_ns, 0), 0U);
  EXPECT_EQ(uring_->reap(4), 4U);
  EXPECT_EQ(uring_->reap(4), 2U);
  EXPECT_EQ(uring_->reap(4), 0U);
  for (std::uint64_t token = 0; token < 6; ++token) {
    EXPECT_EQ(recorder_.completions[token].token, token);
  }
}

TEST_F(UringTest, a_full_submission_queue_is_handed_over_to_make_room) {
  for (std::uint64_t token = 0; token < 20; ++token) prepare_nop(handler_, token);
  wait_for(20);
  EXPECT_EQ(recorder_.completions.size(), 20U);
}

TEST_F(UringTest, a_timeout_operation_ends_with_etime) {
  __kernel_timespec after{0, static_cast<std::int64_t>(ms_ns)};
  io_uring_sqe* sqe = uring_->prepare();
  io_uring_prep_timeout(sqe, &after, 0, 0);
  Uring::tag(sqe, handler_, 9);
  wait_for(1);
  EXPECT_EQ(recorder_.completions[0].token, 9U);
  EXPECT_EQ(recorder_.completions[0].result, -ETIME);
}

TEST_F(UringTest, waiting_for_nothing_ends_at_the_timeout) {
  EXPECT_EQ(uring_->wait(ms_ns, 64), 0U);
  EXPECT_TRUE(recorder_.completions.empty());
}

TEST_F(UringTest, a_failed_operation_gives_its_errno) {
  char byte = 0;
  io_uring_sqe* sqe = uring_->prepare();
  io_uring_prep_read(sqe, -1, &byte, 1, 0);
  Uring::tag(sqe, handler_, 1);
  wait_for(1);
  EXPECT_EQ(recorder_.completions[0].result, -EBADF);
}

using UringDeathTest = UringTest;

TEST_F(UringDeathTest, a_completion_for_an_unknown_handler_aborts) {
  EXPECT_DEATH(
      {
        // The ring belongs to the thread that made it, so the child makes its own.
        auto own = Uring::create(8);
        io_uring_sqe* sqe = (*own)->prepare();
        io_uring_prep_nop(sqe);
        Uring::tag(sqe, 3, 1);
        (*own)->wait(second_ns, 1);
      },
      "handler < handler_count_");
}

}  // namespace
}  // namespace millrace::base

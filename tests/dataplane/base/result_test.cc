#include "dataplane/base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "dataplane/base/alloc_guard.h"

namespace millrace::base {
namespace {

Result<int> parse_digit(char c) {
  if (c < '0' || c > '9') return Error(ErrorCode::invalid_argument, "'{}' is not a digit", c);
  return c - '0';
}

TEST(Result, holds_a_value_or_an_error) {
  const auto good = parse_digit('7');
  ASSERT_TRUE(good);
  EXPECT_EQ(*good, 7);

  const auto bad = parse_digit('x');
  ASSERT_FALSE(bad.has_value());
  EXPECT_EQ(bad.error().code(), ErrorCode::invalid_argument);
  EXPECT_EQ(bad.error().message(), "'x' is not a digit");
}

TEST(Result, a_move_only_value_can_be_taken_out) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(3));
  const std::unique_ptr<int> taken = std::move(*result);
  EXPECT_EQ(*taken, 3);
}

TEST(Result, of_void_is_good_unless_made_from_an_error) {
  const Result<void> good;
  EXPECT_TRUE(good);
  const Result<void> bad = Error(ErrorCode::io, "disk {} failed", 2);
  EXPECT_FALSE(bad);
  EXPECT_EQ(bad.error().message(), "disk 2 failed");
}

TEST(Error, a_text_that_is_too_long_is_cut_not_overrun) {
  const Error error(ErrorCode::io, "{}", std::string(10'000, 'a'));
  EXPECT_EQ(error.message(), std::string(380, 'a'));
}

TEST(Error, can_be_made_on_a_sealed_core) {
  seal();
  const Error error(ErrorCode::timeout, "no answer from {} in {} ms", "peer", 250);
  unseal();
  EXPECT_EQ(error.message(), "no answer from peer in 250 ms");
}

TEST(ResultDeathTest, taking_what_is_not_there_aborts) {
  EXPECT_DEATH(static_cast<void>(parse_digit('x').value()), "CHECK failed");
  EXPECT_DEATH(static_cast<void>(parse_digit('1').error()), "CHECK failed");
}

}  // namespace
}  // namespace millrace::base

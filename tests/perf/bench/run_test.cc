// Turns are taken in order, one subject is awake at a time, and the first round is not counted.
#include "perf/bench/run.h"

#include <gtest/gtest.h>

#include <string>

namespace millrace::bench {
namespace {

class Scripted final : public Subject {
 public:
  Scripted(char name, std::string& log, int& awake_count)
      : name_(name), log_(log), awake_count_(awake_count) {
    ++awake_count_;
  }
  void wake() override { ++awake_count_; }
  void rest() override { --awake_count_; }
  base::Result<void> measure(std::uint64_t count, Measured& into) override {
    EXPECT_EQ(awake_count_, 1);
    log_ += name_;
    into.count += count;
    if (log_.size() == fail_at) return base::Error(base::ErrorCode::io, "as told");
    return {};
  }

  std::size_t fail_at = 0;

 private:
  char name_;
  std::string& log_;
  int& awake_count_;
};

TEST(TakeTurns, one_is_awake_at_a_time_and_the_first_round_is_not_counted) {
  std::string log;
  int awake_count = 0;
  Scripted a('a', log, awake_count), b('b', log, awake_count);
  std::vector<Part> parts = {{&a, 100}, {&b, 10}};
  Progress progress;
  ASSERT_TRUE(take_turns(parts, 2, progress));
  EXPECT_EQ(log, "ababab");
  EXPECT_EQ(parts[0].measured.count, 200U);
  EXPECT_EQ(parts[1].measured.count, 20U);
  EXPECT_EQ(awake_count, 0);
}

TEST(TakeTurns, an_error_ends_them) {
  std::string log;
  int awake_count = 0;
  Scripted a('a', log, awake_count), b('b', log, awake_count);
  b.fail_at = 4;
  std::vector<Part> parts = {{&a, 1}, {&b, 1}};
  Progress progress;
  EXPECT_FALSE(take_turns(parts, 5, progress));
  EXPECT_EQ(log, "abab");
}

// Ethernet 14, IPv4 20, UDP 8, packet header 22, DATA header 8, batch header 61, and of the record
// its length of two bytes, five of one, and the two of a value's length beyond 63 bytes.
TEST(RecordFrame, holds_one_record_and_all_headers) {
  EXPECT_EQ(record_frame_bytes(128), 14U + 20 + 8 + 22 + 8 + 61 + 9 + 128);
  EXPECT_EQ(record_frame_bytes(129), record_frame_bytes(128) + 1);
}

}  // namespace
}  // namespace millrace::bench

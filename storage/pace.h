// Pace: leaves a device time for others: after each bit of work a rest some times as long.
// Core:  of whoever works.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

namespace millrace::storage {

class Pace {
 public:
  // True while it is not time to go on. times: a rest to the work before it.
  bool rests(std::uint64_t now_ns, std::uint64_t times) {
    if (now_ns < rest_until_ns_) return true;
    if (worked_at_ns_ == 0) return false;
    const std::uint64_t took_ns = now_ns - std::exchange(worked_at_ns_, 0);
    rest_until_ns_ = now_ns + std::min(times * took_ns, rest_max_ns);
    return now_ns < rest_until_ns_;
  }
  // A bit of work begins.
  void works(std::uint64_t now_ns) { worked_at_ns_ = now_ns; }

 private:
  static constexpr std::uint64_t rest_max_ns = 200'000'000;

  std::uint64_t worked_at_ns_ = 0;  // 0: the rest after it is known
  std::uint64_t rest_until_ns_ = 0;
};

}  // namespace millrace::storage

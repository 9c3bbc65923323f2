// AnswerLimit: a token bucket over ARP and ICMP answers, so that a flood of questions does not take
// the core's transmit descriptors from the messages.
#pragma once

#include <algorithm>
#include <cstdint>

#include "dataplane/base/units.h"

namespace millrace::net {

class AnswerLimit {
 public:
  // per_second answers on average, `burst` at once. Starts full.
  explicit AnswerLimit(std::uint32_t per_second = 1000, std::uint32_t burst = 64)
      : cost_ns_(base::second_ns / std::max(per_second, 1U)),
        saved_ns_max_(cost_ns_ * burst),
        saved_ns_(saved_ns_max_) {}

  // True, and one token less, when an answer may be sent now.
  bool take(std::uint64_t now_ns) {
    if (now_ns > last_ns_) {
      const std::uint64_t passed_ns = now_ns - last_ns_;
      saved_ns_ = passed_ns >= saved_ns_max_ ? saved_ns_max_
                                             : std::min(saved_ns_ + passed_ns, saved_ns_max_);
      last_ns_ = now_ns;
    }
    if (saved_ns_ < cost_ns_) return false;
    saved_ns_ -= cost_ns_;
    return true;
  }

 private:
  std::uint64_t cost_ns_;
  std::uint64_t saved_ns_max_;
  std::uint64_t saved_ns_;
  std::uint64_t last_ns_ = 0;
};

}  // namespace millrace::net

// Random: the one source of chance of a run. The same on every host, unlike the distributions of
// the standard library; drawn from once in an expression, whose order is the compiler's.
#pragma once

#include <cstdint>

#include "dataplane/base/split_mix.h"

namespace millrace::sim {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9e37'79b9'7f4a'7c15ULL + 1) {}

  std::uint64_t next() { return base::split_mix(state_); }
  // 0 to bound - 1.
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  std::uint64_t between(std::uint64_t first, std::uint64_t last) {
    return first + below(last - first + 1);
  }
  bool permille(std::uint64_t share) { return below(1000) < share; }

 private:
  std::uint64_t state_;
};

}  // namespace millrace::sim

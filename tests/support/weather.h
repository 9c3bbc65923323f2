// Weather: what becomes of each packet on a bad network, from a seed.
#pragma once

#include <cstdint>

#include "dataplane/base/split_mix.h"

namespace millrace::test {

struct Fate {
  bool drop = false;
  bool duplicate = false;
  bool hold = false;  // goes out of order: passed on after later packets
};

// Shares are in thousandths of the packets.
struct WeatherOptions {
  std::uint64_t seed = 1;
  std::uint32_t drop_permille = 0;
  std::uint32_t duplicate_permille = 0;
  std::uint32_t hold_permille = 0;
};

class Weather {
 public:
  explicit Weather(const WeatherOptions& options)
      : options_(options), state_(options.seed * 0x9e3779b97f4a7c15ULL + 1) {}

  Fate next() {
    return {.drop = draw() < options_.drop_permille,
            .duplicate = draw() < options_.duplicate_permille,
            .hold = draw() < options_.hold_permille};
  }

 private:
  // 0..999
  std::uint32_t draw() { return static_cast<std::uint32_t>(base::split_mix(state_) % 1000); }

  WeatherOptions options_;
  std::uint64_t state_;
};

}  // namespace millrace::test

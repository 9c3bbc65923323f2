// Progress: lines on standard error for what takes over a second.
#pragma once

#include <cstdint>
#include <string_view>

namespace millrace::bench {

class Progress {
 public:
  Progress();
  // Says it when the last line, or the start, is over a second ago.
  void step(std::string_view what);

 private:
  std::uint64_t said_ns_;
};

}  // namespace millrace::bench

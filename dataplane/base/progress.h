// Progress: how far a long reading is, how fast it goes and when it will be done; now and then.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace millrace::base {

class Progress {
 public:
  explicit Progress(std::uint64_t interval_ns = 2'000'000'000) : interval_ns_(interval_ns) {}

  // "120 of 4096 MiB, 60 MiB/s, 66 s left"; nothing when the last one, or the first call, was less
  // than the interval ago.
  std::optional<std::string> line(std::uint64_t now_ns, std::uint64_t bytes_done,
                                  std::uint64_t bytes_total);

 private:
  std::uint64_t interval_ns_;
  bool has_begun_ = false;
  std::uint64_t began_ns_ = 0;
  std::uint64_t began_at_ = 0;  // bytes
  std::uint64_t said_ns_ = 0;
};

}  // namespace millrace::base

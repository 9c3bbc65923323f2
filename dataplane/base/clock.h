// Clock: the seam through which time enters; read once per turn of a core's loop.
#pragma once

#include <cstdint>

namespace millrace::base {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::uint64_t monotonic_ns() = 0;  // never goes back; for deadlines and latencies
  virtual std::uint64_t wall_ns() = 0;       // since 1970, UTC; for record timestamps only
};

// The host's time. Where the time stamp counter is invariant it is read directly (about 10 ns) and
// re-anchored to the kernel's clocks once a second; elsewhere clock_gettime is asked.
class SystemClock final : public Clock {
 public:
  SystemClock();
  std::uint64_t monotonic_ns() override;
  std::uint64_t wall_ns() override;

 private:
  void anchor();

  bool tsc_usable_ = false;
  std::uint64_t anchor_tsc_ = 0;
  std::uint64_t anchor_monotonic_ns_ = 0;
  std::uint64_t anchor_wall_ns_ = 0;
  std::uint64_t reanchor_ticks_ = 0;
  double ns_per_tick_ = 0;
  std::uint64_t last_ns_ = 0;
};

// Time that moves only when told to.
class VirtualClock final : public Clock {
 public:
  std::uint64_t monotonic_ns() override { return now_ns_; }
  std::uint64_t wall_ns() override { return wall_base_ns_ + now_ns_; }
  void advance(std::uint64_t ns) { now_ns_ += ns; }

 private:
  std::uint64_t now_ns_ = 1;
  std::uint64_t wall_base_ns_ = 1'700'000'000'000'000'000;
};

}  // namespace millrace::base

#include "dataplane/base/clock.h"

#include <cpuid.h>
#include <x86intrin.h>

#include <ctime>

#include "dataplane/base/units.h"

namespace millrace::base {
namespace {

std::uint64_t read_clock(clockid_t id) {
  timespec ts{};
  clock_gettime(id, &ts);
  return static_cast<std::uint64_t>(ts.tv_sec) * second_ns + static_cast<std::uint64_t>(ts.tv_nsec);
}

bool tsc_is_invariant() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(0x80000007, &eax, &ebx, &ecx, &edx) == 0) return false;
  return (edx & (1U << 8)) != 0;
}

}  // namespace

SystemClock::SystemClock() {
  tsc_usable_ = tsc_is_invariant();
  if (tsc_usable_) {
    // 2 ms against the kernel's clock gives the rate to about 50 parts per million; every later
    // anchor refines it over a longer span.
    const std::uint64_t tsc0 = __rdtsc();
    const std::uint64_t ns0 = read_clock(CLOCK_MONOTONIC);
    while (read_clock(CLOCK_MONOTONIC) - ns0 < 2 * ms_ns) {
    }
    const std::uint64_t ticks = __rdtsc() - tsc0;
    ns_per_tick_ =
        static_cast<double>(read_clock(CLOCK_MONOTONIC) - ns0) / static_cast<double>(ticks);
    reanchor_ticks_ = static_cast<std::uint64_t>(static_cast<double>(second_ns) / ns_per_tick_);
  }
  anchor();
}

void SystemClock::anchor() {
  const std::uint64_t tsc = __rdtsc();
  const std::uint64_t ns = read_clock(CLOCK_MONOTONIC);
  anchor_wall_ns_ = read_clock(CLOCK_REALTIME);
  if (anchor_tsc_ != 0 && tsc > anchor_tsc_) {
    ns_per_tick_ =
        static_cast<double>(ns - anchor_monotonic_ns_) / static_cast<double>(tsc - anchor_tsc_);
  }
  anchor_tsc_ = tsc;
  anchor_monotonic_ns_ = ns;
}

std::uint64_t SystemClock::monotonic_ns() {
  if (!tsc_usable_) return read_clock(CLOCK_MONOTONIC);
  std::uint64_t ticks = __rdtsc() - anchor_tsc_;
  if (ticks > reanchor_ticks_) {
    anchor();
    ticks = __rdtsc() - anchor_tsc_;
  }
  const std::uint64_t now =
      anchor_monotonic_ns_ + static_cast<std::uint64_t>(static_cast<double>(ticks) * ns_per_tick_);
  if (now > last_ns_) last_ns_ = now;
  return last_ns_;
}

std::uint64_t SystemClock::wall_ns() {
  if (!tsc_usable_) return read_clock(CLOCK_REALTIME);
  const std::uint64_t now = monotonic_ns();  // may move the anchor, so it comes first
  return anchor_wall_ns_ + (now - anchor_monotonic_ns_);
}

}  // namespace millrace::base

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
    anchor();
    while (read_clock(CLOCK_MONOTONIC) - anchor_monotonic_ns_ < 2 * ms_ns) {
    }
    anchor();
    reanchor_ticks_ = static_cast<std::uint64_t>(static_cast<double>(second_ns) / ns_per_tick_);
  }
}

void SystemClock::anchor() {
  // The two readings belong together only if nobody took the processor in between: of a few tries
  // the one with the narrowest window counts.
  std::uint64_t tsc = 0;
  std::uint64_t ns = 0;
  std::uint64_t narrowest = ~0ULL;
  for (int i = 0; i < 5; ++i) {
    const std::uint64_t before = __rdtsc();
    const std::uint64_t read = read_clock(CLOCK_MONOTONIC);
    const std::uint64_t after = __rdtsc();
    if (after - before >= narrowest) continue;
    narrowest = after - before;
    tsc = before + narrowest / 2;
    ns = read;
  }
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

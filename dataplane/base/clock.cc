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

struct Readings {
  std::uint64_t tsc = 0;
  std::uint64_t monotonic_ns = 0;
};

// The two belong together only if nobody took the processor in between: of a few tries the one with
// the narrowest window counts.
Readings read_both() {
  Readings read;
  std::uint64_t narrowest = ~0ULL;
  for (int i = 0; i < 5; ++i) {
    const std::uint64_t before = __rdtsc();
    const std::uint64_t ns = read_clock(CLOCK_MONOTONIC);
    const std::uint64_t after = __rdtsc();
    if (after - before >= narrowest) continue;
    narrowest = after - before;
    read = {before + narrowest / 2, ns};
  }
  return read;
}

double ns_per_tick_between(const Readings& first, const Readings& last) {
  return static_cast<double>(last.monotonic_ns - first.monotonic_ns) /
         static_cast<double>(last.tsc - first.tsc);
}

// 2 ms against the kernel's clock give the rate to about 50 parts per million; each clock's later
// anchors refine it over a longer span.
double measure_ns_per_tick() {
  const Readings first = read_both();
  Readings last = first;
  while (last.monotonic_ns - first.monotonic_ns < 2 * ms_ns) last = read_both();
  return ns_per_tick_between(first, last);
}

}  // namespace

SystemClock::SystemClock() {
  tsc_usable_ = tsc_is_invariant();
  if (tsc_usable_) {
    static const double ns_per_tick = measure_ns_per_tick();
    ns_per_tick_ = ns_per_tick;
    anchor();
    reanchor_ticks_ = static_cast<std::uint64_t>(static_cast<double>(second_ns) / ns_per_tick_);
  }
}

void SystemClock::anchor() {
  const Readings read = read_both();
  if (anchor_tsc_ != 0 && read.tsc > anchor_tsc_) {
    ns_per_tick_ = ns_per_tick_between({anchor_tsc_, anchor_monotonic_ns_}, read);
  }
  anchor_wall_ns_ = read_clock(CLOCK_REALTIME);
  anchor_tsc_ = read.tsc;
  anchor_monotonic_ns_ = read.monotonic_ns;
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

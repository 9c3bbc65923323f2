// RingFloor: see ring_floor.h.
#include "perf/bench/ring_floor.h"

#include <algorithm>

#include "dataplane/base/check.h"
#include "perf/bench/cpus.h"
#include "perf/bench/interrupt.h"

namespace millrace::bench {
namespace {

constexpr std::uint64_t stop_word = ~0ULL;
constexpr std::uint64_t warm_up_count = 10'000;

// No pause: a ring's reader sees a word as soon as its cache line comes.
std::uint64_t take(ring::SpscRing<std::uint64_t, 1024>& ring) {
  const std::uint64_t* word = nullptr;
  while ((word = ring.peek()) == nullptr) {
  }
  const std::uint64_t taken = *word;
  ring.release(1);
  return taken;
}

}  // namespace

RingFloor::RingFloor(int echo_cpu) : thread_([this, echo_cpu] { echo(echo_cpu); }) {}

RingFloor::~RingFloor() {
  CHECK(rings_->there.push(stop_word));
  thread_.join();
}

void RingFloor::echo(int cpu) {
  pin_to(cpu);
  while (true) {
    const std::uint64_t word = take(rings_->there);
    if (word == stop_word) return;
    CHECK(rings_->back.push(word));
  }
}

void RingFloor::pass(std::uint64_t word) {
  CHECK(rings_->there.push(word));
  CHECK(take(rings_->back) == word);
}

base::Result<void> RingFloor::measure(std::uint64_t count, Measured& into) {
  for (std::uint64_t i = 0; i < std::min(count, warm_up_count); ++i) pass(i);
  const std::uint64_t start_ns = clock_.monotonic_ns();
  std::uint64_t before_ns = start_ns;
  for (std::uint64_t i = 0; i < count && !interrupted(); ++i) {
    pass(i);
    const std::uint64_t now_ns = clock_.monotonic_ns();
    into.latency_ns.record(now_ns - before_ns);
    before_ns = now_ns;
  }
  if (interrupted()) return base::Error(base::ErrorCode::unavailable, "interrupted");
  into.count += count;
  into.bytes += count * sizeof(std::uint64_t);
  into.elapsed_ns += before_ns - start_ns;
  return {};
}

}  // namespace millrace::bench

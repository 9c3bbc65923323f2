// SpscRing beside DPDK's rte_ring in single-producer, single-consumer mode: same slots, same size,
// same bursts.
//
// one_thread pushes and pops a burst in turn: the cost of the instructions. two_threads moves
// bursts from one thread to the other: the cost of the cache lines as well. At the end it prints
// the ratio of the best runs, ours over DPDK's; over 1 means ours is faster.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/base/check.h"
#include "dataplane/ring/spsc_ring.h"

namespace millrace {
namespace {

constexpr std::uint32_t capacity_slots = 1024;
constexpr std::uint32_t burst_max = 32;

// What crosses between cores: a pointer and a little beside it.
struct Slot {
  const void* data = nullptr;
  std::uint64_t bytes = 0;
};
static_assert(sizeof(Slot) == 16);

class OurRing {
 public:
  static constexpr const char* name = "SpscRing";

  std::uint32_t push(std::span<const Slot> slots) { return ring_->push(slots); }
  std::uint32_t pop(std::span<Slot> slots) { return ring_->pop(slots); }

 private:
  using Ring = ring::SpscRing<Slot, capacity_slots>;
  std::unique_ptr<Ring> ring_ = std::make_unique<Ring>();
};

class DpdkRing {
 public:
  static constexpr const char* name = "rte_ring";

  // In plain memory, which needs no EAL.
  DpdkRing() {
    const auto bytes = static_cast<std::size_t>(rte_ring_get_memsize_elem(slot_bytes, exact_count));
    memory_.reset(std::aligned_alloc(RTE_CACHE_LINE_SIZE, bytes));
    CHECK(memory_ != nullptr);
    CHECK(rte_ring_init(ring(), "bench", exact_count, RING_F_SP_ENQ | RING_F_SC_DEQ) == 0);
  }

  std::uint32_t push(std::span<const Slot> slots) {
    return rte_ring_sp_enqueue_burst_elem(ring(), slots.data(), slot_bytes,
                                          static_cast<unsigned>(slots.size()), nullptr);
  }
  std::uint32_t pop(std::span<Slot> slots) {
    return rte_ring_sc_dequeue_burst_elem(ring(), slots.data(), slot_bytes,
                                          static_cast<unsigned>(slots.size()), nullptr);
  }

 private:
  static constexpr unsigned slot_bytes = sizeof(Slot);
  static constexpr unsigned exact_count = capacity_slots;

  struct Free {
    void operator()(void* at) const { std::free(at); }
  };

  rte_ring* ring() { return static_cast<rte_ring*>(memory_.get()); }

  std::unique_ptr<void, Free> memory_;
};

template <typename Ring>
void one_thread(benchmark::State& state) {
  Ring ring;
  const auto burst = static_cast<std::size_t>(state.range(0));
  std::array<Slot, burst_max> in{};
  std::array<Slot, burst_max> out{};
  for (auto _ : state) {
    benchmark::DoNotOptimize(ring.push(std::span<const Slot>(in).first(burst)));
    benchmark::DoNotOptimize(ring.pop(std::span(out).first(burst)));
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

template <typename Ring>
void two_threads(benchmark::State& state) {
  constexpr std::uint64_t slots_per_iteration = 64 * 1024;
  Ring ring;
  const auto burst = static_cast<std::size_t>(state.range(0));
  std::atomic<bool> stop = false;
  std::thread producer([&] {
    std::array<Slot, burst_max> in{};
    while (!stop.load(std::memory_order_relaxed)) {
      benchmark::DoNotOptimize(ring.push(std::span<const Slot>(in).first(burst)));
    }
  });
  std::array<Slot, burst_max> out{};
  std::uint64_t popped = 0;
  for (auto _ : state) {
    const std::uint64_t end = popped + slots_per_iteration;
    while (popped < end) {
      popped += ring.pop(std::span(out).first(burst));
      benchmark::ClobberMemory();
    }
  }
  stop.store(true);
  producer.join();
  state.SetItemsProcessed(static_cast<std::int64_t>(popped));
}

// Prints as the console does and keeps the best rate of each benchmark over its repetitions.
class BestRates : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      const auto rate = run.counters.find("items_per_second");
      if (run.run_type != Run::RT_Iteration || rate == run.counters.end()) continue;
      double& best = best_[fmt::format("{}/{}", run.run_name.function_name, run.run_name.args)];
      best = std::max(best, rate->second.value);
    }
    ConsoleReporter::ReportRuns(runs);
  }

  double of(const std::string& name) const {
    const auto found = best_.find(name);
    return found == best_.end() ? 0 : found->second;
  }

 private:
  std::map<std::string, double> best_;
};

constexpr std::array<int, 3> bursts = {1, 8, 32};

template <typename Ring>
void register_both() {
  for (const int burst : bursts) {
    benchmark::RegisterBenchmark(fmt::format("one_thread/{}", Ring::name).c_str(), one_thread<Ring>)
        ->Arg(burst);
    benchmark::RegisterBenchmark(fmt::format("two_threads/{}", Ring::name).c_str(),
                                 two_threads<Ring>)
        ->Arg(burst)
        ->UseRealTime();
  }
}

void print_ratios(const BestRates& rates) {
  std::printf("\n%-12s %6s %14s %14s %7s\n", "", "burst", "SpscRing M/s", "rte_ring M/s", "ratio");
  for (const char* shape : {"one_thread", "two_threads"}) {
    for (const int burst : bursts) {
      const double ours = rates.of(fmt::format("{}/{}/{}", shape, OurRing::name, burst));
      const double theirs = rates.of(fmt::format("{}/{}/{}", shape, DpdkRing::name, burst));
      if (ours == 0 || theirs == 0) continue;  // left out by --benchmark_filter
      std::printf("%-12s %6d %14.1f %14.1f %7.2f\n", shape, burst, ours / 1e6, theirs / 1e6,
                  ours / theirs);
    }
  }
}

}  // namespace
}  // namespace millrace

int main(int argument_count, char** arguments) {
  using namespace millrace;
  benchmark::Initialize(&argument_count, arguments);
  if (benchmark::ReportUnrecognizedArguments(argument_count, arguments)) return 2;
  register_both<OurRing>();
  register_both<DpdkRing>();
  BestRates rates;
  benchmark::RunSpecifiedBenchmarks(&rates);
  print_ratios(rates);
  return 0;
}

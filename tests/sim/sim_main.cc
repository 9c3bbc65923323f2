// sim: runs seeds, one after the other, and says what they met.
#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <map>

#include "storage/breakage.h"
#include "tests/sim/simulation.h"
#include "tests/support/run_main.h"

namespace {

using namespace millrace;

std::uint64_t current_seed = 0;

void name_seed(int /*signal*/) {
  char text[128];
  const int bytes = std::snprintf(
      text, sizeof text, "\nsim: seed %llu ended the process; again with ./dev sim --seed %llu\n",
      static_cast<unsigned long long>(current_seed), static_cast<unsigned long long>(current_seed));
  static_cast<void>(!write(STDERR_FILENO, text, static_cast<std::size_t>(bytes)));
  _exit(1);
}

struct Totals {
  std::uint64_t seeds = 0, failed = 0, acknowledged = 0, read = 0, virtual_ns = 0;
  sim::FaultCounts faults{};
};

void take(Totals& totals, const sim::Report& report) {
  ++totals.seeds;
  totals.acknowledged += report.acknowledged;
  totals.read += report.read;
  totals.virtual_ns += report.virtual_ns;
  for (std::size_t i = 0; i < totals.faults.size(); ++i) totals.faults[i] += report.faults[i];
  if (report.findings.empty()) return;
  ++totals.failed;
  fmt::print("seed {} failed:\n", report.seed);
  for (const sim::Finding& finding : report.findings)
    fmt::print("  {}: {}\n", sim::name_of(finding.kind), finding.text);
  fmt::print("  again with: ./dev sim --seed {}\n", report.seed);
  std::fflush(stdout);
}

int run(int argc, char** argv) {
  CLI::App app("Seeded runs of whole nodes under every kind of trouble");
  std::uint64_t seeds = 200, first = 1, one = 0;
  storage::Breakage broken = storage::Breakage::none;
  const std::map<std::string, storage::Breakage> breakages = {
      {"acknowledge-early", storage::Breakage::acknowledge_early},
      {"ignore-crc", storage::Breakage::ignore_crc},
      {"cut-on-damage", storage::Breakage::cut_on_damage},
      {"keep-generation", storage::Breakage::keep_generation}};
  app.add_option("--seeds", seeds, "How many")->capture_default_str();
  app.add_option("--first", first, "The first of them")->capture_default_str();
  const auto* only = app.add_option("--seed", one, "Only this one, twice, and say its hash");
  bool reuses_session_ids = false;
  app.add_flag("--reuse-session-ids", reuses_session_ids, "The node has a bug that it once had");
  app.add_option("--break", broken, "Break this rule")
      ->transform(CLI::CheckedTransformer(breakages));
  CLI11_PARSE(app, argc, argv);
  if (*only) {
    seeds = 1;
    first = one;
  }
  std::signal(SIGABRT, name_seed);
  // What one run has freed the next one takes, and the kernel has nothing to do with it.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  storage::breakage = broken;

  Totals totals;
  core::NodeMemory memory;
  const auto start = std::chrono::steady_clock::now();
  const auto elapsed_s = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  double shown_s = 0;
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    current_seed = seed;
    const sim::Report report = sim::Simulation(seed, memory, reuses_session_ids).run();
    take(totals, report);
    if (*only) {
      fmt::print("seed {}: hash {:016x}, then {:016x}\n", seed, report.hash,
                 sim::Simulation(seed, memory, reuses_session_ids).run().hash);
    }
    if (isatty(STDERR_FILENO) != 0 && elapsed_s() - shown_s > 0.5) {
      shown_s = elapsed_s();
      fmt::print(stderr, "\r{} of {} seeds, {} failed", totals.seeds, seeds, totals.failed);
    }
  }
  if (shown_s > 0) fmt::print(stderr, "\n");
  const double cpu_s = static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  const double virtual_s = static_cast<double>(totals.virtual_ns) / 1e9;
  fmt::print(
      "{} seeds in {:.1f} s, {:.0f} s of virtual time ({:.0f} times as fast, by the processor's "
      "clock); "
      "{} records durable, {} read\n",
      totals.seeds, elapsed_s(), virtual_s, virtual_s / cpu_s, totals.acknowledged, totals.read);
  bool all_met = true;
  for (std::size_t i = 0; i < totals.faults.size(); ++i) {
    fmt::print("  {:<22} {}\n", sim::fault_names[i], totals.faults[i]);
    all_met &= totals.faults[i] != 0;
  }
  if (seeds >= 200 && !all_met) fmt::print("a kind of trouble never happened\n");
  fmt::print("{} passed, {} failed\n", totals.seeds - totals.failed, totals.failed);
  return totals.failed != 0 || (seeds >= 200 && !all_met) ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) { return millrace::testing::run_main(run, argc, argv); }

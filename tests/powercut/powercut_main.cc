// powercut: replays power cuts of a recorded run, and says what was tried and what was found.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <map>

#include "tests/powercut/replay.h"
#include "tests/support/run_main.h"

namespace {

using namespace millrace;
using powercut::Cut;
using powercut::CutReport;

constexpr std::uint64_t cycles_for_all_kinds = 200;

struct Words {
  std::string recording, ledger;
  std::string again;  // how to say this command
  std::uint64_t cycles = 30;
  std::uint64_t seed = 1;
  std::uint64_t cut = 0;
  bool one_cut = false;
  powercut::ReplayOptions options;
};

struct Totals {
  std::uint64_t cycles = 0, failed = 0, places = 0, promised = 0, checked = 0;
  powercut::CutSectors sectors;
  std::array<std::uint64_t, powercut::cut_kinds> kinds{};
};

std::string current;

void name_cut(int /*signal*/) {
  static_cast<void>(!write(STDERR_FILENO, current.data(), current.size()));
  _exit(1);
}

std::string names_of(const powercut::CutKinds& kinds) {
  std::string names;
  for (std::size_t i = 0; i < powercut::cut_kinds; ++i) {
    if (!kinds.test(i)) continue;
    names += names.empty() ? "" : ", ";
    names += powercut::cut_kind_names[i];
  }
  return names;
}

std::string again(const Words& words, const Cut& cut) {
  return fmt::format("  again with: {} --cut {} --seed {}\n", words.again, cut.events, cut.seed);
}

void add(Totals& totals, const Words& words, const Cut& cut, const CutReport& report) {
  ++totals.cycles;
  totals.promised += report.records_promised;
  totals.checked += report.records_checked;
  totals.sectors.kept += report.sectors.kept;
  totals.sectors.lost += report.sectors.lost;
  for (std::size_t i = 0; i < powercut::cut_kinds; ++i) totals.kinds[i] += report.kinds.test(i);
  if (report.findings.empty()) return;
  ++totals.failed;
  fmt::print("cut after event {} ({}) failed:\n", cut.events, names_of(report.kinds));
  for (const sim::Finding& finding : report.findings)
    fmt::print("  {}: {}\n", sim::name_of(finding.kind), finding.text);
  fmt::print("{}", again(words, cut));
}

// True when every kind of cut was met that had to be.
bool print(const Totals& totals, const Words& words, std::size_t events, double elapsed_s) {
  fmt::print(
      "{} cuts at {} places of {} in {:.1f} s; of what was not settled {} sectors kept, {} lost\n"
      "{} records promised, {} read and checked\n",
      totals.cycles, totals.places, events + 1, elapsed_s, totals.sectors.kept, totals.sectors.lost,
      totals.promised, totals.checked);
  bool all_met = true;
  for (std::size_t i = 0; i < powercut::cut_kinds; ++i) {
    fmt::print("  {:<24} {}\n", powercut::cut_kind_names[i], totals.kinds[i]);
    all_met &= totals.kinds[i] != 0;
  }
  if (words.cycles < cycles_for_all_kinds || all_met) return true;
  fmt::print("a kind of cut never happened\n");
  return false;
}

int replay(const Words& words) {
  auto reader = testing::RecordingReader::open(words.recording);
  if (!reader) return fmt::print(stderr, "powercut: {}\n", reader.error().message()), 1;
  powercut::Ledger ledger;
  std::ifstream text(words.ledger);
  if (auto read = ledger.read(text); !read || ledger.producers.empty())
    return fmt::print(stderr, "powercut: {} is no ledger\n", words.ledger), 1;
  const auto& events = (*reader)->events();
  auto replay = powercut::Replay::create(events, ledger, words.options);
  if (!replay) return fmt::print(stderr, "powercut: {}\n", replay.error().message()), 1;
  if (words.one_cut && words.cut > events.size())
    return fmt::print(stderr, "powercut: the recording has {} events\n", events.size()), 2;
  const std::vector<Cut> cuts =
      words.one_cut ? std::vector<Cut>{{.events = words.cut, .seed = words.seed}}
                    : powercut::plan_cuts((*replay)->kinds(), words.cycles, words.seed);

  Totals totals;
  const auto start = std::chrono::steady_clock::now();
  const auto elapsed_s = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  std::signal(SIGABRT, name_cut);
  std::signal(SIGSEGV, name_cut);
  double shown_s = 0;
  std::uint64_t last_place = ~0ULL;
  for (const Cut& cut : cuts) {
    current = fmt::format("\npowercut: cut after event {} ended the process\n{}", cut.events,
                          again(words, cut));
    add(totals, words, cut, (*replay)->run(cut));
    totals.places += cut.events != last_place ? 1 : 0;
    last_place = cut.events;
    if (isatty(STDERR_FILENO) != 0 && elapsed_s() - shown_s > 0.5) {
      shown_s = elapsed_s();
      fmt::print(stderr, "\r{} of {} cuts, {} failed", totals.cycles, cuts.size(), totals.failed);
    }
  }
  if (shown_s > 0) fmt::print(stderr, "\n");
  const bool all_met = words.one_cut || print(totals, words, events.size(), elapsed_s());
  fmt::print("{} passed, {} failed\n", totals.cycles - totals.failed,
             totals.failed + (all_met ? 0 : 1));
  return totals.failed != 0 || !all_met ? 1 : 0;
}

int run(int argc, char** argv) {
  CLI::App app("Power cuts of a recorded run");
  Words words;
  const std::map<std::string, storage::Durability> devices = {
      {"plp", storage::Durability::plp},
      {"fua", storage::Durability::fua},
      {"flush", storage::Durability::flush}};
  app.add_option("RECORDING", words.recording, "What a node did to a disk")->required();
  app.add_option("LEDGER", words.ledger, "What clients offered it and heard from it")->required();
  app.add_option("--cycles", words.cycles, "How many cuts")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--seed", words.seed, "Of all, or of the one cut")->capture_default_str();
  const auto* one = app.add_option("--cut", words.cut, "Only one, after so many events");
  app.add_option("--device", words.options.durability, "How the device settles what is written")
      ->transform(CLI::CheckedTransformer(devices));
  app.add_flag("--ignore-flushes", words.options.ignores_flushes,
               "A device that lies; cuts then have to fail");
  app.add_option("--again", words.again, "How to say this command in a message");
  CLI11_PARSE(app, argc, argv);
  words.one_cut = one->count() != 0;
  if (words.again.empty())
    words.again = fmt::format("powercut {} {}", words.recording, words.ledger);
  return replay(words);
}

}  // namespace

int main(int argc, char** argv) { return millrace::testing::run_main(run, argc, argv); }

// millrace-loadgen: one workload on one system; see perf/loadgen/README.md.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>

#include "control/cli/node_access.h"
#include "dataplane/base/units.h"
#include "perf/bench/cpus.h"
#include "perf/bench/interrupt.h"
#include "perf/bench/options.h"
#include "perf/loadgen/drivers/many_driver.h"
#include "perf/loadgen/load_report.h"
#include "perf/loadgen/options.h"

namespace millrace::loadgen {
namespace {

using base::Result;

double cpu_s() {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) +
         static_cast<double>(used.tv_nsec) / static_cast<double>(base::second_ns);
}

// A bar on a terminal, nothing elsewhere.
bool show(const Progress& progress) {
  constexpr int width = 30;
  if (::isatty(STDERR_FILENO) == 0) return !bench::interrupted();
  const int done = static_cast<int>(progress.share * width);
  fmt::print(stderr, "\r[{}{}] {:3.0f} %  {} sent{}", std::string(done, '#'),
             std::string(width - done, '.'), 100 * progress.share, progress.sent,
             progress.is_warming_up ? "  warming up" : "            ");
  if (progress.share >= 1) fmt::print(stderr, "\n");
  return !bench::interrupted();
}

Result<void> write(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.flush();
  if (file) return {};
  return base::Error(base::ErrorCode::io, "cannot write {}", path);
}

Result<void> write_files(const LoadgenOptions& options, const LoadReport& report) {
  const LoadResult& result = report.result;
  if (!options.hgrm_prefix.empty()) {
    for (const auto& [name, latency_ns] : {std::pair("acknowledged", &result.acknowledged_ns),
                                           {"delivered", &result.delivered_ns}}) {
      if (latency_ns->count() == 0) continue;
      const std::string path = fmt::format("{}-{}.hgrm", options.hgrm_prefix, name);
      if (auto written = write(path, to_hgrm(*latency_ns)); !written) return written;
    }
  }
  if (options.open_messaging_out.empty()) return {};
  return write(options.open_messaging_out, to_open_messaging(report).dump(2) + "\n");
}

Result<std::unique_ptr<Driver>> make_prepared(const LoadgenOptions& options,
                                              const Workload& workload) {
  const auto make = [&options] { return make_driver(options.driver); };
  const bool is_one = workload.connections == 1 && workload.subscribers == 1;
  auto driver = is_one ? make() : std::unique_ptr<Driver>(std::make_unique<ManyDriver>(make));
  if (!driver) return driver;
  if (auto prepared = (*driver)->prepare(workload); !prepared) return prepared.error();
  return driver;
}

// Each connection takes one, or a few.
void allow_files() {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

Result<LoadReport> measure(const LoadgenOptions& options) {
  allow_files();
  if (options.cpu >= 0) bench::pin_to(options.cpu);
  Workload publishing = options.workload;
  if (publishing.backlog != 0) publishing.consumes = false;
  auto driver = make_prepared(options, publishing);
  if (!driver) return driver.error();
  if (publishing.backlog != 0 && !(*driver)->acknowledges()) {
    return base::Error(base::ErrorCode::invalid_argument, "{} keeps no backlog",
                       options.driver.name);
  }
  const auto make_reader = [&options] {
    Workload reading = options.workload;
    reading.publishes = reading.makes_topic = false;
    return make_prepared(options, reading);
  };
  base::SystemClock clock;
  const double cpu_before = cpu_s();
  const std::uint64_t start_ns = clock.monotonic_ns();
  auto result = run_load(options.workload, **driver, clock,
                         {.fill_ns = options.fill_ns,
                          .drain_ns = options.drain_ns,
                          .make_reader = make_reader,
                          .on_progress = show});
  if (!result) return result.error();
  return LoadReport{.driver = options.driver.name,
                    .workload = options.workload,
                    .result = std::move(*result),
                    .client_cpu_s = cpu_s() - cpu_before,
                    .client_run_s = static_cast<double>(clock.monotonic_ns() - start_ns) /
                                    static_cast<double>(base::second_ns)};
}

int fail(const base::Error& error) {
  if (bench::interrupted()) return bench::exit_interrupted;
  cli::say_error(error.message());
  return error.code() == base::ErrorCode::invalid_argument ? bench::exit_usage : bench::exit_failed;
}

int run(int argc, char** argv) {
  LoadgenOptions options;
  if (const int code = parse_command_line(argc, argv, options); code >= 0) return code;
  if (options.lists_drivers) {
    for (const DriverInfo& info : drivers()) {
      fmt::print(
          "{:<16} {:<16} {}; settings: {}\n", info.name, info.address, info.what,
          info.settings.empty() ? "none" : fmt::format("{}", fmt::join(info.settings, ", ")));
    }
    return bench::exit_ok;
  }
  bench::watch_for_interrupt();
  const auto report = measure(options);
  if (!report) return fail(report.error());
  if (auto written = write_files(options, *report); !written) return fail(written.error());
  fmt::print("{}\n", to_json(*report).dump());
  return bench::exit_ok;
}

}  // namespace
}  // namespace millrace::loadgen

int main(int argc, char** argv) { return millrace::loadgen::run(argc, argv); }

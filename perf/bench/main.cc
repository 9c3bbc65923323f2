// millrace-bench: what `millrace bench` runs; see perf/README.md.
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "control/cli/node_access.h"
#include "perf/bench/at_rest.h"
#include "perf/bench/command_line.h"
#include "perf/bench/echo.h"
#include "perf/bench/interrupt.h"
#include "perf/bench/run.h"

namespace millrace::bench {
namespace {

int fail(const base::Error& error) {
  if (interrupted()) return exit_interrupted;
  cli::say_error(error.message());
  return error.code() == base::ErrorCode::invalid_argument ? exit_usage : exit_failed;
}

int run(int argc, char** argv) {
  BenchOptions options;
  if (const int code = parse_command_line(argc, argv, options); code >= 0) return code;
  watch_for_interrupt();
  if (options.verb == Verb::echo) {
    const auto echoed = run_echo(options);
    return echoed ? exit_ok : fail(echoed.error());
  }
  if (const auto completed = complete_options(options); !completed) return fail(completed.error());
  const bool with_node = options.verb == Verb::rtt || options.verb == Verb::throughput;
  const auto report = with_node                     ? run_node_bench(options)
                      : options.verb == Verb::floor ? run_floor(options)
                                                    : run_at_rest(options);
  if (!report) return fail(report.error());
  if (options.json) {
    cli::print_json(to_json(*report));
  } else {
    fmt::print("{}", to_table(*report));
  }
  return exit_ok;
}

}  // namespace
}  // namespace millrace::bench

int main(int argc, char** argv) { return millrace::bench::run(argc, argv); }

// CommandLine: the arguments of millrace-bench. CLI11 is included here and nowhere else.
#pragma once

#include "perf/bench/options.h"

namespace millrace::bench {

// The exit code when there is nothing to run: help was printed, or the arguments are off, which
// has been said on standard error. -1: run what `options` says.
int parse_command_line(int argc, const char* const* argv, BenchOptions& options);

}  // namespace millrace::bench

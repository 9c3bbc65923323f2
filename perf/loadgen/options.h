// LoadgenOptions: what the command line of millrace-loadgen asks for.
#pragma once

#include <cstdint>
#include <string>

#include "perf/loadgen/drivers/make_driver.h"
#include "perf/loadgen/drivers/workload.h"

namespace millrace::loadgen {

struct LoadgenOptions {
  DriverOptions driver;
  Workload workload;
  bool lists_drivers = false;
  std::string hgrm_prefix;         // PREFIX-acknowledged.hgrm, PREFIX-delivered.hgrm; empty: none
  std::string open_messaging_out;  // a file; empty: none
  int cpu = -1;                    // -1: not pinned
  std::uint64_t fill_ns = 0;       // as in LoadOptions
  std::uint64_t drain_ns = 0;
};

// The exit code when there is nothing more to do, or -1.
int parse_command_line(int argc, char** argv, LoadgenOptions& options);

}  // namespace millrace::loadgen

// Run: puts together what an invocation measures, measures it in rounds that take turns, and says
// what came out.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/base/result.h"
#include "perf/bench/options.h"
#include "perf/bench/progress.h"
#include "perf/bench/report.h"
#include "perf/bench/subject.h"

namespace millrace::bench {

// A subject, how many operations it does in a round, and what all its rounds gave.
struct Part {
  Subject* subject = nullptr;
  std::uint64_t count_per_round = 0;
  Measured measured = {};
};

// A B A B ...: one round of each that is not counted, then `rounds` that are merged.
base::Result<void> take_turns(std::vector<Part>& parts, std::uint32_t rounds, Progress& progress);

base::Result<Report> run_floor(const BenchOptions& options);
base::Result<Report> run_node_bench(const BenchOptions& options);

// Bytes on a wire of the packet that carries one record alone, with all headers.
std::uint32_t record_frame_bytes(std::uint32_t size_bytes);

}  // namespace millrace::bench

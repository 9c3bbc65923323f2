// What a run of load gave, written down: JSON of our own with whole histograms, .hgrm for
// HdrHistogram's plotters, and the JSON of the OpenMessaging Benchmark's results.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "perf/loadgen/drivers/workload.h"
#include "perf/loadgen/run_load.h"

namespace millrace::loadgen {

struct LoadReport {
  std::string driver;
  Workload workload;
  LoadResult result;
  double client_cpu_s = 0;  // of this process, in warm-up, measured time and draining
  double client_run_s = 0;  // how long those took
};

// Of the rate that was asked for; less was not reached. Rates without one are always reached.
inline constexpr double target_share = 0.99;
bool reached_target(const LoadReport& report);

nlohmann::json to_json(const LoadReport& report);

// Values in microseconds, a line for each bucket that has any.
// Source: the text that HdrHistogram's outputPercentileDistribution writes,
// https://hdrhistogram.github.io/HdrHistogram/plotFiles.html
std::string to_hgrm(const base::Histogram& latency_ns);

// Latencies in milliseconds, one interval for the whole measured time.
// Source: TestResult of https://github.com/openmessaging/benchmark
nlohmann::json to_open_messaging(const LoadReport& report);

}  // namespace millrace::loadgen

// Workloads of the OpenMessaging Benchmark, read.
#pragma once

#include <string>

#include "dataplane/base/result.h"
#include "perf/loadgen/drivers/workload.h"

namespace millrace::loadgen {

// The YAML of a workload, https://github.com/openmessaging/benchmark (workloads/*.yaml):
// messageSize, partitionsPerTopic, producersPerTopic, subscriptionsPerTopic, producerRate,
// testDurationMinutes, warmupDurationMinutes. What this generator does not do (several topics, a
// backlog by bytes) is an error that names it; what a generator is free in (payload file, key
// distributor) is passed over.
base::Result<Workload> read_open_messaging(const std::string& yaml);

}  // namespace millrace::loadgen

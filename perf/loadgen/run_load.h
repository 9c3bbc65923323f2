// run_load: puts one workload on one driver and measures it.
// Thread: the calling one; it never sleeps, and yields after a poll that brought nothing: even what
//         needs no system call may need a kernel thread of this processor, to end a write.
//
// Each message has a time at which it is due: with a rate by the rate alone, else when the window
// let it go. Every latency is counted from then, so a system that stalls is charged for all that
// should have been sent meanwhile. A backlog is written before, as fast as it goes, and taken out
// after, for at most the drain's time. Without one each partition and each connection has had its
// first message before the warm-up begins. What is due within that is sent and not counted; what
// is still on its way after the measured time is waited for, counted as latency and not as rate.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "dataplane/base/clock.h"
#include "dataplane/base/histogram.h"
#include "dataplane/base/result.h"
#include "perf/loadgen/drivers/driver.h"
#include "perf/loadgen/drivers/workload.h"

namespace millrace::loadgen {

struct LoadResult {
  // Of the messages that were due within the measured time.
  base::Histogram acknowledged_ns;
  base::Histogram delivered_ns;
  std::uint64_t due = 0;  // without a rate: as many as were sent
  // Within the measured time, whenever they were due.
  std::uint64_t sent = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t delivered = 0;
  std::uint64_t measured_ns = 0;
  // Of all messages of the run, after what is on its way has been waited for.
  std::uint64_t unacknowledged = 0;
  std::uint64_t lost = 0;
  std::uint64_t duplicated = 0;
  std::uint64_t reordered = 0;
  std::uint64_t foreign = 0;  // delivered, and not of this run
  std::uint32_t copies = 1;   // in which each message is delivered, to as many subscribers
  // Of a backlog: how much was written, and of all that was sent, what was taken out and what not.
  std::uint64_t backlog = 0;
  std::uint64_t filled_ns = 0;
  std::uint64_t read_back = 0;
  std::uint64_t read_back_ns = 0;
  std::uint64_t left_behind = 0;
};

struct Progress {
  bool is_warming_up = false;
  double share = 0;  // of warm-up and measured time, 0 to 1
  std::uint64_t sent = 0;
};

struct LoadOptions {
  std::uint64_t fill_ns = 600'000'000'000;  // after which a backlog is as large as it is
  std::uint64_t drain_ns = 30'000'000'000;  // how long what is on its way is waited for, each time
  // Not yet acknowledged and, if they are consumed, delivered.
  std::uint64_t in_flight_max = 1U << 20;
  // Of a backlog: who takes it out, once nobody publishes any more.
  std::function<base::Result<std::unique_ptr<Driver>>()> make_reader = {};
  // Asked ten times a second; false stops the run with an error.
  std::function<bool(const Progress&)> on_progress = [](const Progress&) { return true; };
};

// The driver is prepared.
base::Result<LoadResult> run_load(const Workload& workload, Driver& driver, base::Clock& clock,
                                  const LoadOptions& options);

}  // namespace millrace::loadgen

// AtRest: what storage does with much data: recovery of a full journal, reading the past, and the
// start of a node that holds a lot. Without a node, on the storage code alone.
// Thread: the main one.
// Owns:  the files in the directory it is given.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/arena.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/uring.h"
#include "perf/bench/options.h"
#include "perf/bench/progress.h"
#include "perf/bench/report.h"
#include "perf/bench/subject.h"
#include "storage/block_buffer.h"
#include "storage/housekeepers.h"
#include "storage/log.h"
#include "storage/uring_disk.h"

namespace millrace::bench {

base::Result<Report> run_at_rest(const BenchOptions& options);

// A log on a folder, opened and dropped as often as wanted.
class LogAtRest {
 public:
  static base::Result<std::unique_ptr<LogAtRest>> make(const std::string& folder,
                                                       const storage::LogOptions& options);

  base::Result<void> open();
  void drop();
  // Batches of 16 KiB until the partition has so many bytes; durable on return. With a sorter, all
  // that can be is sorted.
  base::Result<void> fill(std::uint32_t partition, std::uint64_t bytes, Progress& progress);

  storage::Log& log() { return *log_; }
  storage::UringDisk& disk() { return *disk_; }
  base::Uring& uring() { return *uring_; }

 private:
  LogAtRest() = default;
  base::Result<bool> turn();

  std::string folder_;
  storage::LogOptions options_;
  base::SystemClock clock_;
  std::unique_ptr<storage::Housekeepers> housekeepers_;
  std::unique_ptr<base::Uring> uring_;
  std::unique_ptr<storage::UringDisk> disk_;
  std::unique_ptr<base::Arena> arena_;
  std::unique_ptr<storage::Log> log_;
};

}  // namespace millrace::bench

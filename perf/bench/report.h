// Report: what a run found, as JSON or as a table for people. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "perf/bench/measured.h"
#include "perf/bench/options.h"

namespace millrace::bench {

struct Report {
  BenchOptions options;
  Measured result;
  std::optional<Measured> floor;
  std::string floor_name = {};            // "memif echo of 233 B frames"
  std::uint32_t frame_bytes = 0;          // of the floor's frames; 0: none
  std::optional<Measured> unsorted = {};  // by the node that never sorts
  std::optional<Measured> without_readers = {};
  Measured read = {};                       // by the readers of the past
  std::optional<Measured> in_memory = {};   // throughput, durable: the same, acknowledged in memory
  std::optional<Measured> sequential = {};  // the disk floor: large writes
  std::optional<std::uint64_t> packets_repaired = {};  // sent again by the client, warm-up too
  std::string durability = {};                         // empty: nothing is kept
  std::string device = {};                             // under the data
  std::string memory = {};                             // huge or ordinary pages
  std::string live_path = {};                          // of the client's port
  std::uint64_t files = 0;                             // start: that hold the segments
  std::uint64_t partition_bytes = 0;                   // start: memory that the node took for each
};

// Recovery, cold reads and starts, which need no node.
bool is_at_rest(Verb verb);

// What the target compares with: the lesser of the figure in memory and what the disk floor writes,
// as records of this size each second; empty without a floor to compare with.
std::optional<double> limit_records_per_s(const Report& report);

// Keys are always all there; what does not apply is null.
nlohmann::json to_json(const Report& report);
std::string to_table(const Report& report);

}  // namespace millrace::bench

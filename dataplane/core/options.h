// NodeOptions: what millraced is told on its command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/base/result.h"

namespace millrace::core {

enum class Profile : std::uint8_t {
  laptop,     // sleeps when idle, ordinary pages, small buffers
  dedicated,  // never sleeps, huge pages, memory touched before start and locked
};

struct NodeOptions {
  std::string data_directory;
  bool memory_only = false;
  std::string link_path;
  std::vector<std::string>
      ports;  // "udp:ADDRESS:PORT", or a DPDK port as dataplane/port/README.md has it
  std::vector<std::string> listeners;  // "PORT=TOPIC[,framing=...][,key=...]"
  std::vector<std::uint32_t> cpus;     // one pinned data core on each; empty: one core, not pinned
  Profile profile = Profile::laptop;
  std::uint64_t journal_bytes = 1ULL << 30;  // per shard, on disk
  std::uint64_t tail_bytes = 64ULL << 20;    // per shard, in memory
  std::uint32_t partitions_max = 32768;
  std::uint32_t sessions_max = 1024;             // of native clients, on each core
  std::uint64_t data_bytes_max = 0;              // of segments on all shards; 0: no limit
  std::uint64_t disk_reserve_bytes = 0;          // of the device; 0: a twentieth, within limits
  std::uint64_t scrub_bytes_per_s = 8ULL << 20;  // of segments, on all shards; 0: none
  bool prepare_whole_journal = false;            // at start instead of as it fills
  // For tests: where what is asked of each shard's disk is recorded; empty: nowhere.
  std::string recording_directory;
};

// The error names the flag and what it takes.
base::Result<NodeOptions> parse_options(const std::vector<std::string>& arguments);

}  // namespace millrace::core

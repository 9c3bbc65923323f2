// BenchOptions: what the command line asks for.
#pragma once

#include <cstdint>
#include <string>

#include "dataplane/base/result.h"

namespace millrace::bench {

enum class Verb : std::uint8_t { floor, rtt, throughput, recovery, cold_read, start, echo };
enum class Path : std::uint8_t { memif, udp };
enum class FloorOf : std::uint8_t { ring, memif, udp, disk };
enum class Ack : std::uint8_t { memory, durable };

struct BenchOptions {
  Verb verb = Verb::rtt;
  FloorOf floor_of = FloorOf::ring;
  Path path = Path::udp;
  Ack ack = Ack::durable;
  std::uint32_t size_bytes = 128;  // of a record's value
  std::uint64_t count = 0;         // of all rounds together; 0: what suits the verb
  std::uint32_t rounds = 5;
  std::uint32_t partitions = 1;
  std::uint64_t bytes = 0;        // at rest: of the journal or of segments; 0: what suits the verb
  std::uint32_t batch_bytes = 0;  // 0: one packet
  std::uint64_t rate = 0;         // records a second; 0: as many as acknowledgements allow
  std::uint32_t write_bytes = 1 << 20;
  bool self = false;
  bool with_floor = false;
  bool sorted = false;  // throughput: a journal so small that it is sorted all the time, and beside
                        // it one so large that it never is
  std::uint32_t cold_readers = 0;  // throughput: that read the past in every other round
  bool memory_only = false;
  bool laptop = false;
  bool json = false;
  int node_cpu = -1;  // -1: chosen, -2: not pinned
  int client_cpu = -1;
  int port_offset = 0;
  std::string address;        // of a running node
  std::string memif_options;  // for the port specs of --self, ",bsize=...,mtu=..."

  // The hidden verb echo: the other end of a floor.
  std::string echo_socket;
};

enum ExitCode : int { exit_ok = 0, exit_failed = 1, exit_usage = 2, exit_interrupted = 130 };

// What was left to us: counts, processors, the memif buffers. Errors are the user's.
base::Result<void> complete_options(BenchOptions& options);

const char* name(Path path);
const char* name(Ack ack);
const char* name(FloorOf floor);

}  // namespace millrace::bench

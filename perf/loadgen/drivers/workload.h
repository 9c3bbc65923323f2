// Workload: what is sent in one run, how fast and for how long.
#pragma once

#include <cstdint>
#include <string>

namespace millrace::loadgen {

struct Workload {
  std::string topic;  // queue, subject, key ...; of this run alone
  std::uint32_t payload_bytes = 100;
  std::uint32_t partitions = 1;
  // Open loop: messages a second, each due at its time whatever became of those before. 0: closed
  // loop, as many as window allows.
  std::uint64_t rate = 0;
  std::uint32_t window = 1024;    // closed loop: messages sent and not yet answered
  bool consumes = true;           // what is published is taken out again; else publishing alone
  std::uint32_t connections = 1;  // producers that take turns, each on a connection of its own
  std::uint32_t subscribers = 1;
  // Messages that are there before any is counted. They are taken out after all others have been
  // sent, so nothing is consumed before.
  std::uint64_t backlog = 0;
  // Of several drivers for one workload not all do everything.
  std::uint32_t member = 0;  // which of them
  bool publishes = true;
  bool makes_topic = true;  // and takes it away
  std::uint64_t warm_up_ns = 1'000'000'000;
  std::uint64_t measured_ns = 5'000'000'000;
};

}  // namespace millrace::loadgen

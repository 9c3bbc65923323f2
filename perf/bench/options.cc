// BenchOptions: see options.h.
#include "perf/bench/options.h"

#include "dataplane/base/units.h"
#include "perf/bench/cpus.h"

namespace millrace::bench {

using base::Error;
using base::ErrorCode;

namespace {

// About a second or two of work each on an ordinary machine.
std::uint64_t default_count(const BenchOptions& options) {
  switch (options.verb) {
    case Verb::floor:
      switch (options.floor_of) {
        case FloorOf::ring:
          return 2'000'000;
        case FloorOf::disk:
          return 2'000;
        default:
          return 100'000;
      }
    case Verb::throughput:
      return options.ack == Ack::memory ? 10'000'000 : 5'000'000;
    default:
      return options.ack == Ack::memory ? 100'000 : 2'000;
  }
}

}  // namespace

base::Result<void> complete_options(BenchOptions& options) {
  const bool at_rest = options.verb == Verb::recovery || options.verb == Verb::cold_read ||
                       options.verb == Verb::start;
  if (at_rest && options.bytes == 0) {
    options.bytes = options.verb == Verb::recovery    ? 4 * base::gib
                    : options.verb == Verb::cold_read ? 2 * base::gib
                                                      : 100 * base::gib;
  }
  if (options.verb == Verb::start && options.partitions == 1) options.partitions = 10'000;
  if (at_rest) return {};
  if (options.count == 0) options.count = default_count(options);
  if (options.count < options.rounds) options.rounds = static_cast<std::uint32_t>(options.count);
  const bool needs_node = options.verb == Verb::rtt || options.verb == Verb::throughput;
  if (needs_node && options.self && !options.address.empty()) {
    return Error(ErrorCode::invalid_argument,
                 "--self starts a node of its own, --address names a running one: give one");
  }
  if (needs_node && !options.self && options.path == Path::memif && options.address.empty()) {
    return Error(ErrorCode::invalid_argument,
                 "--path memif needs --self, or the node's memif socket: "
                 "--address memif:socket=PATH");
  }
  if (options.memory_only && (options.ack == Ack::durable || !options.self)) {
    return Error(ErrorCode::invalid_argument, "--memory-only goes with --self --ack memory");
  }
  if (options.sorted && (!options.self || options.ack != Ack::durable || options.with_floor)) {
    return Error(ErrorCode::invalid_argument,
                 "--sorted goes with --self --ack durable and without --with-floor");
  }
  if (options.cold_readers != 0 && (!options.self || options.ack != Ack::durable ||
                                    options.with_floor || options.sorted || options.rate == 0)) {
    return Error(ErrorCode::invalid_argument,
                 "--cold-readers goes with --self --ack durable --rate, and without --with-floor "
                 "and --sorted");
  }
  if (options.cold_readers != 0 && options.bytes == 0) options.bytes = 4 * base::gib;
  const CpuPair cpus = choose_cpus();
  if (options.client_cpu == -1) options.client_cpu = cpus.client;
  if (options.node_cpu == -1) options.node_cpu = cpus.node;
  // Records in bulk fill big frames; one record alone fits the usual ones.
  if (options.path == Path::memif && options.memif_options.empty() &&
      options.verb == Verb::throughput) {
    options.memif_options = "bsize=9216,mtu=9000";
  }
  return {};
}

const char* name(Path path) { return path == Path::memif ? "memif" : "udp"; }
const char* name(Ack ack) { return ack == Ack::memory ? "memory" : "durable"; }
const char* name(FloorOf floor) {
  switch (floor) {
    case FloorOf::ring:
      return "ring";
    case FloorOf::memif:
      return "memif";
    case FloorOf::udp:
      return "udp";
    case FloorOf::disk:
      break;
  }
  return "disk";
}

}  // namespace millrace::bench

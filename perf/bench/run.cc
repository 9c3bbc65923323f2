// Run: see run.h.
#include "perf/bench/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <filesystem>
#include <memory>
#include <string>

#include "dataplane/protocol/native/codec.h"
#include "perf/bench/cpus.h"
#include "perf/bench/disk_floor.h"
#include "perf/bench/frame_floor.h"
#include "perf/bench/interrupt.h"
#include "perf/bench/own_node.h"
#include "perf/bench/past_readers.h"
#include "perf/bench/publisher.h"
#include "perf/bench/ring_floor.h"
#include "perf/bench/scratch.h"
#include "storage/batch.h"

namespace millrace::bench {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr std::uint64_t bulk_floor_bytes = 512 * base::mib;  // moved or written in a round
constexpr std::uint64_t journal_bytes_min = 256 * base::mib;
constexpr std::uint32_t past_record_bytes = 1000;
constexpr std::uint32_t past_batch_bytes = 64 * 1024;
constexpr std::uint64_t record_overhead_bytes = 16;  // varints, and its share of headers

// All that one run owns. In this order: the client goes before its node, the node before the
// directory.
struct Bench {
  Scratch scratch;
  std::unique_ptr<OwnNode> node;
  std::unique_ptr<Client> client;
  std::unique_ptr<Publisher> publisher;
  std::unique_ptr<Subject> memory_publisher;
  std::unique_ptr<Client> readers_client;
  std::unique_ptr<PastReaders> readers;
  std::unique_ptr<BesideReaders> beside_readers;
  std::unique_ptr<Subject> floor;
};

// What --sorted compares with, in the same order.
struct Unsorted {
  std::unique_ptr<OwnNode> node;
  std::unique_ptr<Client> client;
  std::unique_ptr<Subject> publisher;
};

// One round and its warm-up fit in half of it, so nothing is sorted within one; each round has a
// topic of its own, and what the one before left is given back.
std::uint64_t journal_bytes(const BenchOptions& options) {
  if (options.sorted || options.cold_readers != 0) return journal_bytes_min;
  const std::uint64_t per_round = options.count / options.rounds;
  const std::uint64_t record_bytes = options.verb == Verb::throughput
                                         ? options.size_bytes + record_overhead_bytes
                                         : base::align_up(options.size_bytes + 256, 4096);
  return std::bit_ceil(std::max(journal_bytes_min, per_round * record_bytes * 5 / 2));
}

// All rounds and the warm-up fit in half of it.
std::uint64_t unsorted_journal_bytes(const BenchOptions& options) {
  return std::bit_ceil((options.count + options.count / options.rounds) *
                       (options.size_bytes + record_overhead_bytes) * 5 / 2);
}

Result<std::unique_ptr<OwnNode>> start_node(const BenchOptions& options,
                                            const std::string& directory, std::uint64_t journal,
                                            Progress& progress) {
  OwnNodeOptions own;
  own.directory = directory;
  own.path = options.path;
  own.memory_only = options.memory_only;
  own.laptop = options.laptop;
  own.cpu = options.node_cpu;
  own.journal_bytes = journal;
  own.memif_options = options.memif_options;
  own.two_ports = options.cold_readers != 0;
  return OwnNode::start(own, progress);
}

std::unique_ptr<Publisher> make_publisher(const BenchOptions& options, Client& client,
                                          OwnNode* node, Ack ack) {
  PublisherOptions wanted;
  wanted.port_offset = node != nullptr ? node->port_offset() : options.port_offset;
  wanted.ack = ack;
  wanted.in_bulk = options.verb == Verb::throughput;
  wanted.size_bytes = options.size_bytes;
  wanted.partitions = options.partitions;
  wanted.batch_bytes = options.batch_bytes;
  wanted.rate = ack == options.ack ? options.rate : 0;  // the limit it is compared with has none
  return std::make_unique<Publisher>(wanted, client, node);
}

// Opens the floor of what the options measure; its count per round goes into part.
Result<std::unique_ptr<Subject>> open_floor(const BenchOptions& options, const Scratch& scratch,
                                            Part& part, Report& report) {
  const bool bulk = options.verb == Verb::throughput;
  if (options.ack == Ack::durable) {
    DiskFloorOptions disk;
    disk.directory = scratch.path();
    disk.write_bytes = bulk ? options.write_bytes : storage::block_bytes;
    disk.awake_cpu = options.node_cpu;
    disk.resting_cpu = options.client_cpu;
    auto floor = DiskFloor::open(disk);
    if (!floor) return floor.error();
    if (bulk)
      part.count_per_round = std::max<std::uint64_t>(1, bulk_floor_bytes / disk.write_bytes);
    report.floor_name =
        fmt::format("durable {} KiB direct writes, one at a time", disk.write_bytes / 1024);
    return std::unique_ptr<Subject>(std::move(*floor));
  }
  FrameFloorOptions frames;
  frames.path = options.path;
  frames.directory = scratch.path();
  frames.memif_options = options.memif_options;
  frames.echo_cpu = options.node_cpu;
  frames.frame_bytes = bulk ? 0 : record_frame_bytes(options.size_bytes);
  frames.depth = bulk ? depth_max : 1;
  auto floor = FrameFloor::open(frames);
  if (!floor) return floor.error();
  report.frame_bytes = (*floor)->frame_bytes();
  if (bulk) part.count_per_round = bulk_floor_bytes / report.frame_bytes;
  report.floor_name = fmt::format("{} echo of {} B frames{}", name(options.path),
                                  report.frame_bytes, bulk ? ", many in flight" : "");
  return std::unique_ptr<Subject>(std::move(*floor));
}

Result<void> open_node(const BenchOptions& options, Bench& bench, Progress& progress) {
  std::string address = options.address;
  if (address.empty()) address = fmt::format("127.0.0.1:{}", 7070 + options.port_offset);
  if (options.self) {
    auto node = start_node(options, bench.scratch.path(), journal_bytes(options), progress);
    if (!node) return node.error();
    bench.node = std::move(*node);
    address = bench.node->address();
  }
  auto client = connect(address);
  if (!client) return client.error();
  bench.client = std::move(*client);
  bench.publisher = make_publisher(options, *bench.client, bench.node.get(), options.ack);
  return {};
}

// Writes the past, of which all but the journal's last 256 MiB is in segments.
Result<void> open_readers(const BenchOptions& options, Bench& bench, Progress& progress) {
  PublisherOptions wanted;
  wanted.port_offset = bench.node->port_offset();
  wanted.topics = "past";
  wanted.in_bulk = true;
  wanted.size_bytes = past_record_bytes;
  wanted.partitions = options.cold_readers;
  wanted.batch_bytes = past_batch_bytes;
  progress.step("writing the past");
  Publisher past(wanted, *bench.client, bench.node.get());
  auto topic = past.fill(options.bytes / past_record_bytes);
  if (!topic) return topic.error();
  auto client = connect(bench.node->second_address());
  if (!client) return client.error();
  bench.readers_client = std::move(*client);
  bench.readers =
      std::make_unique<PastReaders>(*bench.readers_client, std::move(*topic), options.cold_readers);
  bench.beside_readers = std::make_unique<BesideReaders>(*bench.publisher, *bench.readers);
  return {};
}

Result<void> open_unsorted(const BenchOptions& options, const Scratch& scratch, Unsorted& other,
                           Progress& progress) {
  const std::string directory = scratch.path() + "/unsorted";
  std::error_code made;
  std::filesystem::create_directory(directory, made);
  if (made) return Error(ErrorCode::io, "cannot make {}: {}", directory, made.message());
  auto node = start_node(options, directory, unsorted_journal_bytes(options), progress);
  if (!node) return node.error();
  other.node = std::move(*node);
  auto client = connect(other.node->address());
  if (!client) return client.error();
  other.client = std::move(*client);
  other.publisher = make_publisher(options, *other.client, other.node.get(), options.ack);
  return {};
}

void describe(const BenchOptions& options, Bench& bench, Report& report) {
  report.live_path = bench.client->path();
  if (bench.node == nullptr) return;
  report.memory = bench.node->memory();
  if (options.memory_only) return;
  report.durability = bench.node->durability();
  report.device = bench.node->device();
}

Result<std::unique_ptr<Subject>> open_bare_floor(const BenchOptions& options,
                                                 const Scratch& scratch, Report& report) {
  if (options.floor_of == FloorOf::ring) {
    report.floor_name = "one word to another core and back";
    return std::unique_ptr<Subject>(std::make_unique<RingFloor>(options.node_cpu));
  }
  BenchOptions as_rtt = options;
  as_rtt.verb = Verb::rtt;
  as_rtt.ack = options.floor_of == FloorOf::disk ? Ack::durable : Ack::memory;
  as_rtt.path = options.floor_of == FloorOf::memif ? Path::memif : Path::udp;
  Part unused;
  auto floor = open_floor(as_rtt, scratch, unused, report);
  if (floor && options.floor_of == FloorOf::disk) {
    const auto& disk = static_cast<const DiskFloor&>(**floor);
    report.durability = disk.durability();
    report.device = disk.device();
  }
  return floor;
}

// Beside the latency of small writes, the rate of large ones.
Result<void> measure_disk_rate(const BenchOptions& options, const Scratch& scratch,
                               Report& report) {
  DiskFloorOptions disk;
  disk.directory = scratch.path() + "/rate";
  disk.write_bytes = options.write_bytes;
  auto floor = DiskFloor::open(disk);
  if (!floor) return floor.error();
  Measured rate;
  const auto measured = (*floor)->measure(bulk_floor_bytes / disk.write_bytes, rate);
  report.sequential = rate;
  return measured;
}

}  // namespace

std::uint32_t record_frame_bytes(std::uint32_t size_bytes) {
  std::vector<std::byte> buffer(storage::batch_bytes_max);
  storage::BatchBuilder builder(buffer);
  const std::string value(size_bytes, 'r');
  if (!builder.add(std::nullopt, value, 0)) return 0;
  return headers_bytes + native::data_overhead_bytes + builder.bytes();
}

Result<void> take_turns(std::vector<Part>& parts, std::uint32_t rounds, Progress& progress) {
  for (Part& part : parts) part.subject->rest();
  for (std::uint32_t round = 0; round <= rounds; ++round) {
    for (Part& part : parts) {
      Measured measured;
      part.subject->wake();
      const auto done = part.subject->measure(
          round == 0 ? std::max<std::uint64_t>(1, part.count_per_round / 10) : part.count_per_round,
          measured);
      part.subject->rest();
      if (!done) return done;
      if (round > 0) part.measured.merge(measured);
      progress.step(fmt::format("round {} of {}", round, rounds));
    }
  }
  return {};
}

Result<Report> run_floor(const BenchOptions& options) {
  Progress progress;
  auto scratch = Scratch::create();
  if (!scratch) return scratch.error();
  Report report;
  report.options = options;
  auto floor = open_bare_floor(options, *scratch, report);
  if (!floor) return floor.error();
  pin_to(options.client_cpu);
  std::vector<Part> parts = {{floor->get(), options.count / options.rounds}};
  if (auto done = take_turns(parts, options.rounds, progress); !done) return done.error();
  report.result = parts[0].measured;
  if (options.floor_of != FloorOf::disk) return report;
  if (auto done = measure_disk_rate(options, *scratch, report); !done) return done.error();
  return report;
}

Result<Report> run_node_bench(const BenchOptions& options) {
  Progress progress;
  auto scratch = Scratch::create();
  if (!scratch) return scratch.error();
  Bench bench{std::move(*scratch), {}, {}, {}, {}, {}, {}, {}, {}};
  const bool bulk = options.verb == Verb::throughput;
  const bool compare_with_memory = bulk && options.ack == Ack::durable && options.with_floor;
  if (auto opened = open_node(options, bench, progress); !opened) return opened.error();
  Report report;
  report.options = options;
  describe(options, bench, report);
  const std::uint64_t per_round = options.count / options.rounds;
  std::vector<Part> parts = {{bench.publisher.get(), per_round}};
  if (options.with_floor) {
    Part part{nullptr, per_round};
    bench.publisher->rest();
    auto floor = open_floor(options, bench.scratch, part, report);
    if (!floor) return floor.error();
    bench.floor = std::move(*floor);
    part.subject = bench.floor.get();
    parts.push_back(part);
  }
  if (compare_with_memory) {
    bench.memory_publisher = make_publisher(options, *bench.client, bench.node.get(), Ack::memory);
    parts.push_back({bench.memory_publisher.get(), per_round});
  }
  Unsorted unsorted;
  if (options.sorted) {
    bench.publisher->rest();
    auto opened = open_unsorted(options, bench.scratch, unsorted, progress);
    if (!opened) return opened.error();
    parts.push_back({unsorted.publisher.get(), per_round});
  }
  if (options.cold_readers != 0) {
    if (auto opened = open_readers(options, bench, progress); !opened) return opened.error();
    parts[0].subject = bench.beside_readers.get();
    parts.push_back({bench.publisher.get(), per_round});
  }
  pin_to(options.client_cpu);
  if (auto done = take_turns(parts, options.rounds, progress); !done) return done.error();
  report.result = parts[0].measured;
  if (options.cold_readers != 0) {
    report.without_readers = parts[1].measured;
    report.read = bench.beside_readers->read();
  }
  if (options.sorted) report.unsorted = parts[1].measured;
  mr_stats stats{};
  if (mr_get_stats(bench.client->raw(), &stats) == MR_OK) {
    report.packets_repaired = stats.packets_repaired;
  }
  if (options.with_floor) report.floor = parts[1].measured;
  if (compare_with_memory) report.in_memory = parts[2].measured;
  return report;
}

}  // namespace millrace::bench

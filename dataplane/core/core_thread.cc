#include "dataplane/core/core_thread.h"

#include <hwloc.h>
#include <immintrin.h>
#include <sys/random.h>

#include "dataplane/base/alloc_guard.h"
#include "dataplane/base/units.h"
#include "dataplane/core/rebuild.h"
#include "storage/memory_disk.h"
#include "storage/recording_disk.h"
#include "storage/uring_disk.h"

namespace millrace::core {
namespace {

constexpr std::uint32_t producers_max = 65536;
constexpr std::uint32_t uring_entries = 1024;
constexpr std::uint64_t sort_bytes_min = 16 * base::mib;
// Timers wait as long at most.
constexpr std::uint32_t looks_max = 64;

storage::LogOptions log_options(const NodeOptions& options, base::ShardId shard,
                                std::uint16_t core_count) {
  storage::LogOptions log;
  log.journal.shard = shard;
  log.journal.tail_bytes = options.tail_bytes;
  log.journal.file_bytes = std::min<std::uint64_t>(options.journal_bytes / 4, 64 * base::mib);
  log.journal.files_max =
      static_cast<std::uint32_t>(options.journal_bytes / log.journal.file_bytes);
  log.journal.files_ahead = options.prepare_whole_journal ? log.journal.files_max : 2;
  log.partitions_max = options.partitions_max;
  // Memory is all there is, or a device that holds more than the journal.
  log.has_sorter = !options.memory_only;
  log.sorter.pass_bytes =
      std::max(std::min(log.journal.file_bytes, log.journal.tail_bytes), sort_bytes_min);
  log.sorter.start_bytes = options.journal_bytes / 2;
  if (options.data_bytes_max != 0) log.compactor.bytes_max = options.data_bytes_max / core_count;
  log.sorter.reserve_bytes = options.disk_reserve_bytes;
  log.sorter.is_paced = true;
  log.compactor.is_paced = true;
  log.scrubber.bytes_per_s = options.scrub_bytes_per_s / core_count;
  return log;
}

shard::ShardOptions shard_options_of(const NodeOptions& options, base::ShardId shard,
                                     std::uint16_t core_count) {
  shard::ShardOptions out;
  out.id = shard;
  out.core_count = core_count;
  out.partitions_max = options.partitions_max;
  return out;
}

native::SessionsOptions session_limits(const NodeOptions& options) {
  native::SessionsOptions limits;
  limits.sessions_max = options.sessions_max;
  limits.streams_max = std::max(32768U, 4 * options.sessions_max);
  limits.subscriptions_max = std::max(16384U, 2 * options.sessions_max);
  return limits;
}

native::SessionsOptions sessions_options(const NodeParts& parts, base::CoreId core,
                                         const std::vector<port::Port*>& ports) {
  native::SessionsOptions options = session_limits(parts.options);
  options.core = core;
  options.shard_count = parts.core_count;
  CHECK(getrandom(&options.secret, sizeof options.secret, 0) == sizeof options.secret);
  for (std::size_t i = 0; i < ports.size(); ++i) {
    options.ports[i] = {.credits = ports[i]->receive_descriptors(),
                        .payload_bytes_max = ports[i]->payload_bytes_max()};
  }
  return options;
}

}  // namespace

std::uint64_t CoreThread::arena_bytes(const NodeOptions& options) {
  const auto log = log_options(options, base::ShardId{0}, 1);
  return storage::Log::arena_bytes(log) + shard::ProducerTable::arena_bytes(producers_max) +
         CoreShard::arena_bytes(shard_options_of(options, base::ShardId{0}, 1)) +
         datagram::Listeners::arena_bytes() +
         native::Sessions::arena_bytes(session_limits(options)) + Core::arena_bytes(CoreOptions()) +
         CommandMesh::arena_bytes(link::cores_max) + EventMesh::arena_bytes(link::cores_max) +
         base::mib;
}

void CoreThread::run() {
  if (auto started = start(); !started) {
    failure_ = started.error().message();
    tear_down();
    phase_.set(static_cast<std::uint64_t>(Phase::failed));
    return;
  }
  phase_.set(static_cast<std::uint64_t>(Phase::ready));
  while (parts_.go.get() == 0 && parts_.stop.get() == 0) _mm_pause();
  base::seal();
  loop();
  base::unseal();
  if (auto drained = core_->drain(); !drained) failure_ = drained.error().message();
  tear_down();
  phase_.set(static_cast<std::uint64_t>(Phase::done));
}

// On this thread: the kernel lets no other one use the ring.
void CoreThread::tear_down() {
  log_ = nullptr;
  core_.reset();
  kernel_ports_.clear();
  housekeepers_.reset();
  disk_.reset();
  uring_.reset();
  if (parts_.dpdk != nullptr) parts_.dpdk->unregister_thread();
}

void CoreThread::loop() {
  std::uint64_t worked_at_ns = clock_.monotonic_ns();
  while (parts_.stop.get() == 0) {
    if (core_->run_turn()) {
      worked_at_ns = core_->now_ns();
      continue;
    }
    const std::uint64_t silent_ns = core_->now_ns() - worked_at_ns;
    if (!idle_.may_rest(silent_ns)) {
      look(false);
      continue;
    }
    const bool writing = core_->writes_awaited();
    const std::uint64_t sleep_ns = idle_.sleep_ns(silent_ns, writing, core_->sleep_ns_max());
    if (sleep_ns != 0) {
      if (core_->sleep(sleep_ns)) worked_at_ns = clock_.monotonic_ns();
    } else if (writing) {
      core_->give_way();
    } else {
      look(true);
    }
  }
}

// Between turns that find nothing: a look is so much shorter than a turn that it sees the next
// packet sooner.
void CoreThread::look(bool paused) {
  for (std::uint32_t i = 0; i < looks_max && !core_->has_input(); ++i) {
    if (paused) _mm_pause();
  }
}

base::Result<void> CoreThread::start() {
  if (auto pinned = pin(); !pinned) return pinned.error();
  if (parts_.dpdk != nullptr) {
    if (auto registered = parts_.dpdk->register_thread(); !registered) return registered.error();
  }
  auto uring = base::Uring::create(uring_entries);
  if (!uring) return uring.error();
  uring_ = std::move(*uring);
  if (auto opened = open_ports(); !opened) return opened.error();
  std::vector<datagram::ListenerSpec> listeners = parts_.listeners;
  protocols_ = std::make_unique<Protocols>(sessions_options(parts_, id_, ports_),
                                           std::move(listeners), arena_);
  CoreOptions options;
  options.id = id_;
  options.core_count = options.shard_count = parts_.core_count;
  options.native_udp_port = parts_.native_udp_port;
  const std::size_t ports_per_core = parts_.kernel_ports.size() + parts_.devices.size();
  for (std::size_t i = 0; i < ports_per_core; ++i) {
    options.region_ports.push_back(static_cast<std::uint32_t>(base::raw(id_) * ports_per_core + i));
  }
  core_ = std::make_unique<Core>(options, arena_, *uring_, clock_, parts_.region, parts_.commands,
                                 parts_.events, *protocols_);
  if (auto opened = open_shard(); !opened) return opened.error();
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    const bool kernel = i < parts_.kernel_ports.size();
    const port::EthDevice* device =
        kernel ? nullptr : parts_.devices[i - parts_.kernel_ports.size()].get();
    core_->add_port(*ports_[i],
                    kernel ? "kernel-udp" : port::device_kind_name(device->spec().kind));
  }
  idle_.never_sleep = parts_.options.profile == Profile::dedicated;
  idle_.polled_ports = !parts_.devices.empty() || parts_.core_count > 1;
  return {};
}

base::Result<void> CoreThread::pin() {
  if (parts_.options.cpus.empty()) return {};
  const std::uint32_t cpu = parts_.options.cpus[base::raw(id_)];
  hwloc_topology_t topology = nullptr;
  if (hwloc_topology_init(&topology) != 0 || hwloc_topology_load(topology) != 0) {
    return base::Error(base::ErrorCode::unavailable, "hwloc cannot read this host's topology");
  }
  const hwloc_obj_t unit = hwloc_get_pu_obj_by_os_index(topology, cpu);
  int bound = -1;
  if (unit != nullptr) bound = hwloc_set_cpubind(topology, unit->cpuset, HWLOC_CPUBIND_THREAD);
  hwloc_topology_destroy(topology);
  if (bound != 0) {
    return base::Error(
        base::ErrorCode::invalid_argument,
        "--cores: CPU {} is not there or not allowed to this process; see nproc and taskset -p",
        cpu);
  }
  return {};
}

base::Result<void> CoreThread::open_shard() {
  const base::ShardId id{base::raw(id_)};
  if (parts_.options.memory_only) {
    disk_ = std::make_unique<storage::MemoryDisk>();
  } else {
    const std::string directory =
        fmt::format("{}/shard-{}", parts_.options.data_directory, base::raw(id_));
    auto disk = storage::UringDisk::open({.folder = directory}, *uring_);
    if (!disk) return disk.error();
    disk_ = std::move(*disk);
  }
  if (auto recorded = record_disk(); !recorded) return recorded;
  if (base::raw(id_) == 0) {
    parts_.region.durability.set(storage::name(disk_->durability()));
    parts_.region.device.set(disk_->device());
  }
  producers_ = std::make_unique<shard::ProducerTable>(arena_, producers_max);
  Rebuild rebuild(*producers_, parts_.region, parts_.region.cores[base::raw(id_)], clock_);
  storage::LogOptions options = log_options(parts_.options, id, parts_.core_count);
  options.journal.cluster_id = parts_.cluster_id;
  housekeepers_ = std::make_unique<storage::Housekeepers>(parts_.options.cpus);
  options.journal.background = housekeepers_.get();
  auto log = storage::Log::open(options, *disk_, arena_, &rebuild);
  if (!log) return log.error();
  producers_->finish_recovery(clock_.monotonic_ns());
  log_ = log->get();
  if (auto prepared = prepare_at_start(); !prepared) return prepared;
  auto shard = std::make_unique<CoreShard>(shard_options_of(parts_.options, id, parts_.core_count),
                                           arena_, **log, *producers_, core_->outbox());
  core_->add_shard(id, std::move(*log), std::move(shard));
  return {};
}

// As tests ask for.
base::Result<void> CoreThread::record_disk() {
  const std::string& directory = parts_.options.recording_directory;
  if (directory.empty()) return {};
  auto recording = storage::RecordingDisk::open(
      std::move(disk_), fmt::format("{}/shard-{}.recording", directory, base::raw(id_)));
  if (!recording) return recording.error();
  disk_ = std::move(*recording);
  return {};
}

base::Result<void> CoreThread::open_ports() {
  for (const NodeParts::KernelPort& kernel : parts_.kernel_ports) {
    port::KernelUdpOptions options;
    options.ipv4 = kernel.ipv4;
    options.local_ports.push_back(kernel.udp_port);
    for (const auto& listener : parts_.listeners) options.local_ports.push_back(listener.udp_port);
    options.reuse_port = parts_.core_count > 1;
    // The loopback device carries packets of 64 KiB; one page-and-a-bit less than 9 KiB costs no
    // more than 1.5.
    if ((kernel.ipv4 >> 24) == 127) options.payload_bytes_max = 8952;
    auto port = port::KernelUdpPort::create(*uring_, options);
    if (!port) return port.error();
    kernel_ports_.push_back(std::move(*port));
    ports_.push_back(kernel_ports_.back().get());
  }
  for (const auto& device : parts_.devices) ports_.push_back(&device->port(base::raw(id_)));
  return {};
}

// As asked: nothing is left for housekeeping to write beside the first messages.
base::Result<void> CoreThread::prepare_at_start() {
  bool more = parts_.options.prepare_whole_journal;
  while (more && parts_.stop.get() == 0) {
    const auto prepared = log_->journal().prepare_files();
    if (!prepared) return prepared.error();
    more = *prepared;
  }
  return {};
}

base::Result<bool> CoreThread::keep_house(std::uint64_t now_ns, std::int64_t wall_ms) {
  if (log_ == nullptr) return false;
  return log_->keep_house(now_ns, wall_ms);
}

}  // namespace millrace::core

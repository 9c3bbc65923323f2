#include "dataplane/core/launch.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <limits>
#include <optional>
#include <thread>

#include "dataplane/base/units.h"
#include "dataplane/core/core_thread.h"
#include "dataplane/link/region_file.h"
#include "dataplane/port/port_spec.h"
#include "dataplane/port/preflight.h"
#include "storage/identity.h"

namespace millrace::core {
namespace {

using base::Error;
using base::ErrorCode;

constexpr auto housekeeping_interval = std::chrono::milliseconds(5);

base::Counter stop_requested;

void on_stop_signal(int) { stop_requested.set(1); }

// Programs and libraries are read in; what is mapped later stays from when it is first touched.
// Else a host short of memory takes back what lay still, and a polling core waits for each page.
base::Result<void> lock_memory() {
  if (auto allowed = port::check_memlock(port::HostView(), port::all_memory, "a dedicated core");
      !allowed) {
    return allowed;
  }
  if (mlockall(MCL_CURRENT) != 0 || mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) {
    return Error(ErrorCode::unavailable, "mlockall: {}", std::strerror(errno));
  }
  return {};
}

// Everything this data plane writes starts at zero; the rings keep their indices.
void reset_region(link::Region& region) {
  region.pid.set(static_cast<std::uint64_t>(getpid()));
  region.catalog_ready.set(0);
  region.recovery_bytes_done.set(0);
  region.recovery_bytes_total.set(0);
  region.failure.set("");
  region.port_count.set(0);
  for (auto& block : region.ports) new (&block) link::PortBlock();
  for (auto& block : region.shards) new (&block) link::ShardBlock();
  for (auto& block : region.partitions) new (&block) link::PartitionBlock();
}

// DIR/identity: 16 hexadecimal digits, random, made with the directory. Without them the journals
// there cannot be read.
base::Result<std::uint64_t> read_or_make_identity(const std::string& directory) {
  const std::string path = fmt::format("{}/{}", directory, storage::identity_file_name);
  if (std::filesystem::exists(path)) return storage::read_identity(path);
  if (std::filesystem::exists(directory + "/shard-0/superblock")) {
    return Error(ErrorCode::corrupt,
                 "{} is missing, but there are journals beside it; restore it from a backup", path);
  }
  std::uint64_t id = 0;
  if (getrandom(&id, sizeof id, 0) != sizeof id)
    return Error(ErrorCode::unavailable, "no random numbers");
  // Complete under its name or not there at all, and durable before any journal is.
  const std::string made = path + ".new";
  const int fd = open(made.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  const std::string text = fmt::format("{:016x}\n", id);
  const bool written = fd >= 0 &&
                       write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                       fsync(fd) == 0 && rename(made.c_str(), path.c_str()) == 0;
  if (fd >= 0) close(fd);
  const int folder = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool kept = folder >= 0 && fsync(folder) == 0;
  if (folder >= 0) close(folder);
  if (!written || !kept)
    return Error(ErrorCode::io, "cannot write {}: {}", path, std::strerror(errno));
  return id;
}

struct UdpAddress {
  std::uint32_t ipv4;
  std::uint16_t udp_port;
};

// "udp:ADDRESS:PORT"
std::optional<UdpAddress> parse_udp(std::string_view spec) {
  if (!spec.starts_with("udp:")) return std::nullopt;
  spec.remove_prefix(4);
  const auto colon = spec.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto ipv4 = port::parse_ipv4(spec.substr(0, colon));
  std::uint16_t udp_port = 0;
  const std::string_view digits = spec.substr(colon + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), udp_port);
  if (!ipv4 || error != std::errc() || end != digits.data() + digits.size() || udp_port == 0)
    return std::nullopt;
  return UdpAddress{*ipv4, udp_port};
}

base::Result<void> open_devices(NodeParts& parts, const std::vector<port::PortSpec>& specs) {
  if (specs.empty()) return {};
  port::DpdkEnvOptions options;
  for (const port::PortSpec& spec : specs) {
    if (spec.kind == port::DeviceKind::pci) options.pci_addresses.push_back(spec.pci_address);
  }
  auto env = port::DpdkEnv::start(options);
  if (!env) return env.error();
  parts.dpdk = *env;
  parts.region.memory.set(parts.dpdk->memory_note());
  for (port::PortSpec spec : specs) {
    spec.queue_count = parts.core_count;
    auto device = port::EthDevice::open(*parts.dpdk, spec);
    if (!device) return device.error();
    parts.devices.push_back(std::move(*device));
  }
  return {};
}

base::Result<void> parse_ports(NodeParts& parts, std::vector<port::PortSpec>& devices) {
  for (const std::string& text : parts.options.ports) {
    if (text.starts_with("udp:")) {
      const auto address = parse_udp(text);
      if (!address) {
        return Error(ErrorCode::invalid_argument,
                     "--port {}: kernel UDP reads udp:ADDRESS:PORT, such as "
                     "udp:127.0.0.1:7070",
                     text);
      }
      parts.kernel_ports.push_back({address->ipv4, address->udp_port});
      parts.native_udp_port = address->udp_port;
      continue;
    }
    auto spec = port::parse_port_spec(text);
    if (!spec) return spec.error();
    devices.push_back(*spec);
  }
  if (parts.options.ports.size() > protocol::ports_max) {
    return Error(ErrorCode::invalid_argument, "--port: at most {} ports", protocol::ports_max);
  }
  if (parts.options.ports.size() * parts.core_count > link::ports_max) {
    return Error(ErrorCode::invalid_argument, "{} ports on {} cores: at most {} queues in all",
                 parts.options.ports.size(), parts.core_count, link::ports_max);
  }
  return {};
}

class Node {
 public:
  Node(const NodeOptions& options, link::Region& region) : options_(options), region_(region) {}

  base::Result<void> run();

 private:
  base::Result<void> make_arenas();
  base::Result<void> start_cores(NodeParts& parts);
  base::Result<void> keep_house();
  void stop_cores(NodeParts& parts);

  const NodeOptions& options_;
  link::Region& region_;
  std::vector<base::Arena> arenas_;
  std::vector<std::unique_ptr<CoreThread>> cores_;
  std::vector<std::thread> threads_;
};

base::Result<void> Node::make_arenas() {
  const std::size_t core_count = options_.cpus.empty() ? 1 : options_.cpus.size();
  for (std::size_t i = 0; i < core_count; ++i) {
    const bool dedicated = options_.profile == Profile::dedicated;
    auto arena = base::Arena::create(
        {.bytes = CoreThread::arena_bytes(options_), .huge_pages = dedicated, .touch = dedicated});
    if (!arena) return arena.error();
    arenas_.push_back(std::move(*arena));
  }
  region_.memory.set(arenas_[0].backing() == base::Arena::Backing::huge_pages ? "huge pages"
                     : options_.profile == Profile::dedicated
                         ? "ordinary pages: too few huge pages are free; set vm.nr_hugepages"
                         : "ordinary pages (laptop profile)");
  return {};
}

base::Result<void> Node::run() {
  if (auto made = make_arenas(); !made) return made.error();
  std::vector<base::Arena*> arenas;
  for (base::Arena& arena : arenas_) arenas.push_back(&arena);
  CommandMesh commands(arenas);
  EventMesh events(arenas);
  NodeParts parts{.options = options_,
                  .region = region_,
                  .commands = commands,
                  .events = events,
                  .core_count = static_cast<std::uint16_t>(arenas.size()),
                  .listeners = {},
                  .kernel_ports = {},
                  .devices = {}};
  for (const std::string& text : options_.listeners) {
    auto spec = datagram::parse_listener(text);
    if (!spec) return spec.error();
    parts.listeners.push_back(*spec);
  }
  if (!options_.memory_only) {
    auto identity = read_or_make_identity(options_.data_directory);
    if (!identity) return identity.error();
    parts.cluster_id = *identity;
  }
  std::vector<port::PortSpec> devices;
  if (auto parsed = parse_ports(parts, devices); !parsed) return parsed.error();
  if (auto opened = open_devices(parts, devices); !opened) return opened.error();
  base::Result<void> result = start_cores(parts);
  if (result) result = keep_house();
  stop_cores(parts);
  for (const auto& core : cores_) {
    if (result && !core->failure().empty()) result = Error(ErrorCode::io, "{}", core->failure());
  }
  cores_.clear();
  return result;
}

base::Result<void> Node::start_cores(NodeParts& parts) {
  region_.state.set(static_cast<std::uint64_t>(link::State::recovering));
  region_.core_count.set(parts.core_count);
  region_.shard_count.set(parts.core_count);
  for (std::uint16_t i = 0; i < parts.core_count; ++i) {
    cores_.push_back(std::make_unique<CoreThread>(parts, base::CoreId{i}, arenas_[i]));
  }
  for (const auto& core : cores_) threads_.emplace_back([&core = *core] { core.run(); });
  for (const auto& core : cores_) {
    while (core->phase() == CoreThread::Phase::starting)
      std::this_thread::sleep_for(housekeeping_interval);
    if (core->phase() == CoreThread::Phase::failed)
      return Error(ErrorCode::unavailable, "{}", core->failure());
  }
  region_.port_count.set((parts.kernel_ports.size() + parts.devices.size()) * parts.core_count);
  region_.state.set(static_cast<std::uint64_t>(link::State::ready));
  // Control takes a new incarnation for a data plane whose mailboxes are read.
  region_.incarnation.set(region_.started_wall_ns.get());
  parts.go.set(1);
  return {};
}

base::Result<void> Node::keep_house() {
  base::SystemClock clock;
  while (stop_requested.get() == 0) {
    bool worked = false;
    bool serving = true;
    for (const auto& core : cores_) {
      auto kept = core->keep_house(clock.monotonic_ns(),
                                   static_cast<std::int64_t>(clock.wall_ns() / base::ms_ns));
      // The journal goes on with the files it has and refuses by name when they are full.
      if (!kept) {
        region_.failure.set(kept.error().message());
      } else {
        worked |= *kept;
      }
      serving &= core->is_serving();
    }
    if (serving) region_.catalog_ready.set(1);
    if (!worked) std::this_thread::sleep_for(housekeeping_interval);
  }
  return {};
}

void Node::stop_cores(NodeParts& parts) {
  region_.state.set(static_cast<std::uint64_t>(link::State::stopping));
  parts.stop.set(1);
  for (std::thread& thread : threads_) thread.join();
}

int fail(link::Region* region, std::string_view message) {
  fmt::print(stderr, "millraced: {}\n", message);
  if (region != nullptr) {
    region->failure.set(message);
    region->state.set(static_cast<std::uint64_t>(link::State::failed));
  }
  return 1;
}

}  // namespace

int run_node(const NodeOptions& options) {
  if (options.profile == Profile::dedicated) {
    if (auto locked = lock_memory(); !locked) {
      fmt::print(stderr, "millraced: goes on with memory that may be paged out: {}\n",
                 locked.error().message());
    }
  }
  auto file = link::RegionFile::open_or_create(options.link_path);
  if (!file) return fail(nullptr, file.error().message());
  link::Region& region = file->region();
  reset_region(region);
  base::SystemClock clock;
  region.started_wall_ns.set(clock.wall_ns());
  region.state.set(static_cast<std::uint64_t>(link::State::starting));
  if (!options.memory_only) {
    std::error_code error;
    std::filesystem::create_directories(options.data_directory, error);
    if (error) {
      return fail(&region,
                  fmt::format("cannot make the data directory {}: {}; give another with --data",
                              options.data_directory, error.message()));
    }
  }
  stop_requested.set(0);
  struct sigaction action = {};
  action.sa_handler = on_stop_signal;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  // Memory that housekeeping gives back stays mapped: an unmap stops every core for a moment.
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  Node node(options, region);
  if (auto ran = node.run(); !ran) return fail(&region, ran.error().message());
  region.state.set(static_cast<std::uint64_t>(link::State::none));
  return 0;
}

}  // namespace millrace::core

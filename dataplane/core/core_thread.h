// CoreThread: one core's life on its own thread: open the logs, join the ports, seal, run, drain.
// Core:  run() is the thread's whole body; the rest is for the main thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/arena.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/counter.h"
#include "dataplane/base/uring.h"
#include "dataplane/core/core.h"
#include "dataplane/core/idle.h"
#include "dataplane/core/options.h"
#include "dataplane/port/dpdk_env.h"
#include "dataplane/port/eth_device.h"
#include "dataplane/port/kernel_udp_port.h"
#include "storage/disk.h"
#include "storage/housekeepers.h"

namespace millrace::core {

// What all cores of a node share.
struct NodeParts {
  const NodeOptions& options;
  link::Region& region;
  CommandMesh& commands;
  EventMesh& events;
  std::uint16_t core_count = 1;
  std::uint64_t cluster_id =
      0;  // random, made with the data directory; seeds every CRC of the journals
  std::vector<datagram::ListenerSpec> listeners{};
  struct KernelPort {
    std::uint32_t ipv4 = 0;
    std::uint16_t udp_port = 0;
  };
  std::vector<KernelPort> kernel_ports{};
  std::vector<std::unique_ptr<port::EthDevice>> devices{};
  std::uint16_t native_udp_port = 7070;
  port::DpdkEnv* dpdk = nullptr;
  base::Counter go{};    // 1: every core is ready
  base::Counter stop{};  // 1: drain and leave; nobody prepares journal files any more
};

class CoreThread {
 public:
  enum class Phase : std::uint64_t { starting, ready, failed, done };

  CoreThread(NodeParts& parts, base::CoreId id, base::Arena& arena)
      : parts_(parts), id_(id), arena_(arena) {}

  static std::uint64_t arena_bytes(const NodeOptions& options);

  void run();

  Phase phase() const { return static_cast<Phase>(phase_.get()); }
  // After Phase::failed, or done when the drain went wrong; empty otherwise.
  const std::string& failure() const { return failure_; }
  bool is_serving() const { return core_ != nullptr && core_->is_serving(); }
  // Housekeeping: prepares journal files, sorts and compacts. True when there is more to do at
  // once.
  base::Result<bool> keep_house(std::uint64_t now_ns, std::int64_t wall_ms);

 private:
  base::Result<void> start();
  base::Result<void> pin();
  base::Result<void> open_shard();
  base::Result<void> record_disk();
  base::Result<void> prepare_at_start();
  base::Result<void> open_ports();
  void loop();
  void look(bool paused);
  void tear_down();

  NodeParts& parts_;
  base::CoreId id_;
  base::Arena& arena_;
  std::unique_ptr<base::Uring> uring_;
  base::SystemClock clock_;
  std::unique_ptr<storage::Disk> disk_;
  std::unique_ptr<storage::Housekeepers> housekeepers_;
  std::vector<std::unique_ptr<port::Port>> kernel_ports_;
  std::vector<port::Port*> ports_;
  std::unique_ptr<shard::ProducerTable> producers_;
  std::unique_ptr<Protocols> protocols_;
  std::unique_ptr<Core> core_;
  storage::Log* log_ = nullptr;
  IdlePolicy idle_;
  base::Counter phase_;
  std::string failure_;
};

}  // namespace millrace::core

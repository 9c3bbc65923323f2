// OwnNode: a node of this run: millraced and millrace-control, found beside this program.
// Owns:  both processes and the region they share; stopped with this object, and killed with this
//        process however it ends.
#pragma once

#include <signal.h>

#include <memory>
#include <string>

#include "control/cli/child.h"
#include "dataplane/base/result.h"
#include "dataplane/link/region_file.h"
#include "perf/bench/options.h"
#include "perf/bench/progress.h"

namespace millrace::bench {

struct OwnNodeOptions {
  std::string directory;  // for data and sockets
  Path path = Path::udp;
  bool memory_only = false;
  bool laptop = false;
  int cpu = -2;
  std::uint64_t journal_bytes = 0;  // a power of two; all of it prepared before the node is ready
  std::string memif_options = {};   // "bsize=9216,mtu=9000"
  bool two_ports = false;           // over memif a port has one client
};

class OwnNode {
 public:
  static base::Result<std::unique_ptr<OwnNode>> start(const OwnNodeOptions& options,
                                                      Progress& progress);
  ~OwnNode();
  OwnNode(const OwnNode&) = delete;
  OwnNode& operator=(const OwnNode&) = delete;

  const std::string& address() const { return address_; }  // for mr_connect
  const std::string& second_address() const { return second_address_; }
  int port_offset() const { return port_offset_; }
  std::string durability() { return std::string(region_.region().durability.get()); }
  std::string device() { return std::string(region_.region().device.get()); }
  std::string memory() { return std::string(region_.region().memory.get()); }

  // The data plane stands still, so that another subject has its processor.
  void pause() { data_plane_.signal(SIGSTOP); }
  void resume() { data_plane_.signal(SIGCONT); }

 private:
  OwnNode(link::RegionFile region, cli::Child data_plane, cli::Child control, int port_offset)
      : region_(std::move(region)),
        data_plane_(std::move(data_plane)),
        control_(std::move(control)),
        port_offset_(port_offset) {}
  base::Result<void> wait_until_ready(Progress& progress);
  bool ready();

  link::RegionFile region_;
  cli::Child data_plane_;
  cli::Child control_;
  int port_offset_;
  std::string address_;
  std::string second_address_;  // the same where one port serves all clients
};

}  // namespace millrace::bench

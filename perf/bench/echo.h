// Echo: the other end of a floor: a process that sends every frame back and does nothing else.
// EchoProcess starts this program again in that part; run_echo is that part.
// Owns:  the process, killed with this object or this program's end.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "dataplane/base/result.h"
#include "perf/bench/options.h"

namespace millrace::bench {

// Never sleeps, like a node of the dedicated profile. Ends by a signal. Prints "ready PORT" once it
// echoes; PORT is its UDP port, 0 for memif.
base::Result<void> run_echo(const BenchOptions& options);

class EchoProcess {
 public:
  // socket: of a memif; memif_options: "bsize=...".
  static base::Result<std::unique_ptr<EchoProcess>> start(Path path, const std::string& socket,
                                                          const std::string& memif_options,
                                                          int cpu);
  ~EchoProcess();
  EchoProcess(const EchoProcess&) = delete;
  EchoProcess& operator=(const EchoProcess&) = delete;

  std::uint16_t udp_port() const { return udp_port_; }
  void pause();
  void resume();

 private:
  explicit EchoProcess(pid_t pid) : pid_(pid) {}

  pid_t pid_;
  std::uint16_t udp_port_ = 0;
};

// "memif:socket=PATH,role=server,OPTIONS"
std::string memif_spec(const std::string& socket, const char* role, const std::string& ip,
                       const std::string& memif_options);

}  // namespace millrace::bench

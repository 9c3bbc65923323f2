// DpdkEnv: brings up DPDK's environment (EAL), once per process and for its whole life.
// Core:  the thread that starts the process; data threads call register_thread().
// Owns:  nothing that ends: EAL cannot be brought up twice, so it stays until the process exits.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/port/preflight.h"

namespace millrace::port {

enum class HugePages : std::uint8_t { automatic, never, required };

struct DpdkEnvOptions {
  HugePages huge_pages = HugePages::automatic;  // automatic: when enough are free
  std::uint32_t memory_mib = 256;  // all packet pools; ordinary pages are taken as used
  std::vector<std::string> pci_addresses = {};    // no PCI device is looked at but these
  std::vector<std::string> extra_arguments = {};  // for EAL, as on its command line
};

class DpdkEnv {
 public:
  // The first call starts EAL with its options; later ones return the same. The calling thread's
  // CPU affinity is left as it was, and no lcore thread is started.
  static base::Result<DpdkEnv*> start(const DpdkEnvOptions& options,
                                      const HostView& host = HostView());

  // For a data thread, before its first burst: gives it an lcore id, and with it the packet pools'
  // per-thread caches. The thread that called start() has one already.
  base::Result<void> register_thread();
  void unregister_thread();

  bool uses_huge_pages() const { return uses_huge_pages_; }
  // For the status output: "huge pages", or why not and how to get them.
  const std::string& memory_note() const { return memory_note_; }

 private:
  DpdkEnv() = default;

  bool uses_huge_pages_ = false;
  std::string memory_note_;
};

}  // namespace millrace::port

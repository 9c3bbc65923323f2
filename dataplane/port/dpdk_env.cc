#include "dataplane/port/dpdk_env.h"

#include <fmt/format.h>
#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>

#include <cstring>
#include <mutex>

#include "dataplane/base/units.h"
#include "dataplane/port/burst_gate.h"

namespace millrace::port {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

struct EalState {
  std::mutex mutex;
  bool tried = false;
  DpdkEnv* env = nullptr;
};

EalState& eal_state() {
  static EalState state;
  return state;
}

// One lcore that may run on any CPU of this thread: cores are pinned by their own launch.
std::string floating_lcore(const cpu_set_t& cpus) {
  std::string list;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &cpus)) list += fmt::format("{}{}", list.empty() ? "" : ",", cpu);
  }
  return fmt::format("--lcores=0@({})", list);
}

std::vector<std::string> eal_arguments(const DpdkEnvOptions& options, bool huge,
                                       const cpu_set_t& cpus) {
  std::vector<std::string> arguments = {"millrace",
                                        floating_lcore(cpus),
                                        "--iova-mode=va",
                                        "--no-telemetry",
                                        "--log-level=*:4",  // errors only
                                        "-m",
                                        std::to_string(options.memory_mib)};
  arguments.push_back(huge ? "--in-memory" : "--no-huge");
  if (!huge) arguments.push_back("--no-shconf");
  if (options.pci_addresses.empty()) arguments.push_back("--no-pci");
  for (const auto& address : options.pci_addresses) {
    arguments.push_back("-a");
    arguments.push_back(address);
  }
  arguments.insert(arguments.end(), options.extra_arguments.begin(), options.extra_arguments.end());
  return arguments;
}

Result<void> start_eal(std::vector<std::string> arguments) {
  std::vector<char*> pointers;
  pointers.reserve(arguments.size());
  for (auto& argument : arguments) pointers.push_back(argument.data());
  rte_log_set_global_level(RTE_LOG_ERR);
  if (rte_eal_init(static_cast<int>(pointers.size()), pointers.data()) >= 0) {
    // A client that waits for its server would print a line at every try.
    rte_log_set_level_pattern("pmd.net.memif*", RTE_LOG_CRIT);
    return {};
  }
  return Error(ErrorCode::unavailable,
               "DPDK did not start: {}; its own lines above say more, and without DPDK the "
               "kernel-udp port serves",
               rte_strerror(rte_errno));
}

}  // namespace

Result<DpdkEnv*> DpdkEnv::start(const DpdkEnvOptions& options, const HostView& host) {
  EalState& state = eal_state();
  const std::lock_guard lock(state.mutex);
  if (state.env != nullptr) return state.env;
  if (state.tried) {
    return Error(ErrorCode::unavailable,
                 "DPDK did not start before, and it tries only once; start the program again");
  }
  const auto enough = check_huge_pages(host, options.memory_mib * base::mib);
  if (options.huge_pages == HugePages::required && !enough) return enough.error();
  const bool huge = options.huge_pages != HugePages::never && enough.has_value();

  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  pthread_getaffinity_np(pthread_self(), sizeof cpus, &cpus);
  state.tried = true;
  const auto started = start_eal(eal_arguments(options, huge, cpus));
  pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus);
  if (!started) return started.error();
  if (!BurstGate::install()) {
    return Error(ErrorCode::unavailable,
                 "DPDK's interrupt thread cannot be watched: link the program with "
                 "-Wl,--export-dynamic-symbol=epoll_wait,--export-dynamic-symbol=sendmsg");
  }
  state.env = new DpdkEnv;
  state.env->uses_huge_pages_ = huge;
  state.env->memory_note_ =
      huge ? "huge pages"
           : fmt::format("ordinary pages ({})", options.huge_pages == HugePages::never
                                                    ? "as configured"
                                                    : enough.error().message());
  return state.env;
}

Result<void> DpdkEnv::register_thread() {
  if (rte_lcore_id() != LCORE_ID_ANY) return {};
  if (rte_thread_register() == 0) return {};
  return Error(ErrorCode::no_space, "DPDK has no lcore id left for this thread: {}",
               rte_strerror(rte_errno));
}

void DpdkEnv::unregister_thread() { rte_thread_unregister(); }

}  // namespace millrace::port

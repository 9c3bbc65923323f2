// Cpus: see cpus.h.
#include "perf/bench/cpus.h"

#include <sched.h>

namespace millrace::bench {

CpuPair choose_cpus() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  CpuPair pair;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2) return pair;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    if (pair.client == cpu_any) pair.client = cpu;
    pair.node = cpu;
  }
  return pair;
}

bool pin_to(int cpu) {
  if (cpu == cpu_any) return true;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<unsigned>(cpu), &one);
  return sched_setaffinity(0, sizeof one, &one) == 0;
}

}  // namespace millrace::bench

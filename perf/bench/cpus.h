// Cpus: which processor the client's thread has, and which the node's or the floor's.
#pragma once

namespace millrace::bench {

inline constexpr int cpu_any = -2;

struct CpuPair {
  int client = cpu_any;
  int node = cpu_any;
};

// The first and the last this process may use; not pinned where there is only one.
CpuPair choose_cpus();

// Of the calling thread; cpu_any leaves it. False when the processor is not allowed.
bool pin_to(int cpu);

}  // namespace millrace::bench

// IdlePolicy: what a core does with a turn that found nothing: spin, pause, or sleep in its Uring.
//
// A port that the kernel serves wakes the Uring, so the core may sleep long at once. A DPDK port is
// only seen by polling: the core sleeps in steps that grow with the silence, so that an idle laptop
// is left alone. A core that spins while a write is out can starve the very kernel worker that
// completes it; so it waits in the Uring then, too.
#pragma once

#include <algorithm>
#include <cstdint>

#include "dataplane/base/units.h"

namespace millrace::core {

struct IdlePolicy {
  bool never_sleep = false;   // a dedicated core
  bool polled_ports = false;  // something arrives that does not wake the Uring
  std::uint64_t spin_ns = 50 * base::us_ns;
  std::uint64_t spin_while_writing_ns = 2 * base::us_ns;

  // The cheap question first: without a yes, sleep_ns would say 0.
  bool may_sleep(std::uint64_t silent_ns) const {
    return silent_ns >= std::min(spin_ns, spin_while_writing_ns);
  }

  // How long to sleep after silent_ns without work; 0 is to turn again at once. at_most_ns: until
  // the next deadline.
  std::uint64_t sleep_ns(std::uint64_t silent_ns, bool writing, std::uint64_t at_most_ns) const {
    if (writing) {
      if (silent_ns < spin_while_writing_ns) return 0;
      return std::min(at_most_ns, polled_ports ? 20 * base::us_ns : base::ms_ns);
    }
    if (never_sleep || silent_ns < spin_ns) return 0;
    if (!polled_ports) return at_most_ns;
    if (silent_ns < 2 * base::ms_ns) return std::min(at_most_ns, 20 * base::us_ns);
    if (silent_ns < 200 * base::ms_ns) return std::min(at_most_ns, 100 * base::us_ns);
    return std::min(at_most_ns, base::ms_ns);
  }
};

}  // namespace millrace::core

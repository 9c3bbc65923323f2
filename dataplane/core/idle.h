// IdlePolicy: what a core does with a turn that found nothing: spin, pause, or sleep in its Uring.
//
// A port that the kernel serves wakes the Uring, so the core may sleep long at once. A DPDK port is
// only seen by polling: the core sleeps in steps that grow with the silence, so that an idle laptop
// is left alone. While somebody waits for a write the core sleeps in the Uring if its ports wake
// it; else it polls on and gives way each time, since the kernel may complete the write in a worker
// on this very CPU, which a bare spin starves for a whole tick (4 ms), and short sleeps cost more
// than the write.
#pragma once

#include <algorithm>
#include <cstdint>

#include "dataplane/base/units.h"

namespace millrace::core {

struct IdlePolicy {
  bool never_sleep = false;   // a dedicated core
  bool polled_ports = false;  // something arrives that does not wake the Uring
  std::uint64_t spin_ns = 50 * base::us_ns;

  // The cheap question first: without a yes the core just turns again.
  bool may_rest(std::uint64_t silent_ns) const { return silent_ns >= base::us_ns; }

  // How long to sleep after silent_ns without work; 0 is to turn again. writing: somebody waits for
  // a write. at_most_ns: until the next deadline.
  std::uint64_t sleep_ns(std::uint64_t silent_ns, bool writing, std::uint64_t at_most_ns) const {
    if (writing) return polled_ports ? 0 : std::min(at_most_ns, base::ms_ns);
    if (never_sleep || silent_ns < spin_ns) return 0;
    if (!polled_ports) return at_most_ns;
    if (silent_ns < 2 * base::ms_ns) return std::min(at_most_ns, 20 * base::us_ns);
    if (silent_ns < 200 * base::ms_ns) return std::min(at_most_ns, 100 * base::us_ns);
    return std::min(at_most_ns, base::ms_ns);
  }
};

}  // namespace millrace::core

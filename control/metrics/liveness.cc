// Liveness: see liveness.h.
#include "control/metrics/liveness.h"

#include <signal.h>

#include <array>
#include <cerrno>

namespace millrace::control {

bool is_data_plane_alive(const link::Region& region) {
  const auto pid = static_cast<pid_t>(region.pid.get());
  if (pid <= 0) return false;
  return kill(pid, 0) == 0 || errno == EPERM;
}

std::string_view data_plane_state(const link::Region& region) {
  static constexpr std::array<std::string_view, 6> names = {"none",  "starting", "recovering",
                                                            "ready", "stopping", "failed"};
  const auto state = region.state.get();
  // A failure stays on record after the process has ended.
  if (state == static_cast<std::uint64_t>(link::State::failed)) return "failed";
  if (!is_data_plane_alive(region)) return "down";
  return state < names.size() ? names[state] : "unknown";
}

}  // namespace millrace::control

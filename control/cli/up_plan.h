// UpPlan: what `up` will run, worked out from the configuration file and the flags. Pure but for
// reading that file and two environment variables.
#pragma once

#include <string>
#include <vector>

#include "control/cli/verbs.h"
#include "dataplane/base/result.h"

namespace millrace::cli {

struct UpPlan {
  bool memory_only = false;
  std::string data_directory;  // absolute; empty when memory_only
  int port_offset = 0;
  std::string admin_address;
  int admin_port = 0;                   // shifted
  std::vector<std::string> port_specs;  // shifted
  std::vector<std::string> data_plane_arguments;
  std::vector<std::string> control_arguments;
};

// Flags win over the file. Errors are all the user's: invalid_argument or not_found.
base::Result<UpPlan> plan_up(const UpOptions& options, const Globals& globals);

// /var/lib/millrace for root, else $XDG_DATA_HOME/millrace or ~/.local/share/millrace; "-N" is
// added for a port offset N, so that each node of a host has its own.
base::Result<std::string> default_data_directory(int port_offset);

}  // namespace millrace::cli

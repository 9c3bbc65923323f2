// Launch: from a command line to running cores, and back: recover, pin, seal, run, drain.
// Core:  the main thread, which afterwards keeps house: it prepares journal files and watches for
// the end.
#pragma once

#include "dataplane/core/options.h"

namespace millrace::core {

// Runs the data plane until SIGTERM or SIGINT. 0 after a clean end; 1 when it could not start or a
// core failed, with one line on standard error that says why and what to do.
int run_node(const NodeOptions& options);

}  // namespace millrace::core

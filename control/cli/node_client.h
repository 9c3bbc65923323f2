// NodeClient: the client library as the verbs use it: connected to this node, or an exit code that
// says why not. Thread: one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "control/cli/verbs.h"
#include "dataplane/client/millrace.h"

namespace millrace::cli {

struct ClientCloser {
  void operator()(mr_client* client) const { mr_close(client); }
};
using ClientPtr = std::unique_ptr<mr_client, ClientCloser>;

// Connects to `address`, or to the native port of the node that --port-offset names, and waits for
// it. Empty, and exit_code set after a line on standard error, when nothing answers in time.
ClientPtr connect_client(const std::string& address, const Globals& globals,
                         std::uint64_t timeout_ns, int& exit_code);

// A status of the library as an exit code, after saying it with what it was about.
int say_status(int status, const std::string& about);

// Monotonic.
std::uint64_t clock_ns();

}  // namespace millrace::cli

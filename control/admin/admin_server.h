// AdminServer: the admin API on a loopback TCP port.
// Owns:   the listening socket, one accepting thread and as many workers as there are requests in
//         progress, up to a limit.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "control/admin/api.h"

namespace millrace::control {

class AdminServer {
 public:
  // Binds and starts to answer. port 0: any free one. The node must outlive the server.
  // Errors: invalid_argument (address), already_exists (the port is taken; says by whom where the
  // host tells), permission.
  static base::Result<AdminServer> start(Node& node, const std::string& address, int port);

  AdminServer(AdminServer&& other) noexcept;
  AdminServer& operator=(AdminServer&&) = delete;
  ~AdminServer();  // stops, and waits for requests in progress

  int port() const;
  // Stops accepting and waits at most this long for requests in progress. False: some remain, and
  // only the end of the process ends them.
  bool stop(std::chrono::milliseconds wait);

 private:
  struct State;
  explicit AdminServer(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace millrace::control

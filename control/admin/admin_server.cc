// AdminServer: see admin_server.h. The server half of cpp-httplib is used here and nowhere else.
#include "control/admin/admin_server.h"

#include <httplib.h>

#include <cerrno>
#include <cstring>
#include <future>
#include <thread>
#include <utility>

#include "control/admin/elastic_workers.h"

namespace millrace::control {

using base::Error;
using base::ErrorCode;

namespace {

constexpr std::size_t workers_max = 64;
constexpr std::size_t body_bytes_max = 64 * 1024;

class Workers final : public httplib::TaskQueue {
 public:
  void enqueue(std::function<void()> task) override { workers_.enqueue(std::move(task)); }
  void shutdown() override { workers_.shutdown(); }

 private:
  ElasticWorkers workers_{workers_max};
};

AdminRequest request_of(const httplib::Request& from) {
  return {.method = from.method,
          .path = from.path,
          .is_verbose = from.has_param("verbose"),
          .host = from.get_header_value("Host"),
          .origin = from.get_header_value("Origin"),
          .body = from.body};
}

void put(const AdminResponse& response, httplib::Response& to) {
  to.status = response.status;
  to.set_header("Cache-Control", "no-store");
  to.set_header("X-Content-Type-Options", "nosniff");
  to.set_content(response.body, response.content_type);
}

}  // namespace

struct AdminServer::State {
  Node& node;
  std::string address;
  int port = 0;
  httplib::Server server;
  std::thread accepting;
  std::future<void> ended;

  void serve(const httplib::Request& from, httplib::Response& to) {
    const AdminRequest request = request_of(from);
    if (!is_local_host(request.host, address) ||
        (!request.origin.empty() && !is_local_origin(request.origin, address))) {
      put(error_response(403, "forbidden",
                         "the admin API answers only requests addressed to 127.0.0.1 or localhost"),
          to);
      return;
    }
    put(answer(node, request), to);
  }
};

base::Result<AdminServer> AdminServer::start(Node& node, const std::string& address, int port) {
  auto state = std::unique_ptr<State>(new State{node, address, port, {}, {}, {}});
  State* const self = state.get();
  auto& server = state->server;
  server.new_task_queue = [] { return new Workers(); };
  // The library's default would add SO_REUSEPORT, with which two nodes share a port unawares.
  server.set_socket_options([](socket_t socket) {
    const int on = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  });
  // One request a connection: an idle one would hold a thread, and hold up the end of the process.
  server.set_keep_alive_max_count(1);
  server.set_read_timeout(5);
  server.set_write_timeout(5);
  server.set_payload_max_length(body_bytes_max);
  const auto serve = [self](const httplib::Request& from, httplib::Response& to) {
    self->serve(from, to);
  };
  server.Get(".*", serve).Post(".*", serve).Put(".*", serve).Delete(".*", serve);
  server.Patch(".*", serve).Options(".*", serve);
  server.set_error_handler([](const httplib::Request&, httplib::Response& to) {
    if (!to.body.empty()) return;
    put(error_response(to.status, "bad_request", "the request could not be read"), to);
  });

  errno = 0;
  const bool is_bound = port == 0 ? (state->port = server.bind_to_any_port(address)) > 0
                                  : server.bind_to_port(address, port);
  if (!is_bound) {
    const int number = errno;
    if (number == EADDRINUSE) {
      return Error(ErrorCode::already_exists,
                   "admin port {}:{} is taken by another program ('ss -ltnp sport = :{}' shows "
                   "which): stop it, or shift all ports with --port-offset N",
                   address, port, port);
    }
    if (number == EACCES || number == EPERM) {
      return Error(ErrorCode::permission, "admin port {}:{} needs privileges: use one over 1023",
                   address, port);
    }
    return Error(ErrorCode::invalid_argument,
                 "cannot listen on admin address {}:{}{}{}: is it an address of this host?",
                 address, port, number == 0 ? "" : ": ",
                 number == 0 ? "" : strerrordesc_np(number));
  }
  std::promise<void> ended;
  state->ended = ended.get_future();
  state->accepting = std::thread([self, ended = std::move(ended)]() mutable {
    self->server.listen_after_bind();
    ended.set_value();
  });
  return AdminServer(std::move(state));
}

int AdminServer::port() const { return state_->port; }

bool AdminServer::stop(std::chrono::milliseconds wait) {
  // stop() does nothing before the accepting thread runs.
  while (!state_->server.is_running() &&
         state_->ended.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
  }
  state_->server.stop();
  return state_->ended.wait_for(wait) == std::future_status::ready;
}

AdminServer::AdminServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
AdminServer::AdminServer(AdminServer&& other) noexcept = default;

AdminServer::~AdminServer() {
  if (state_ == nullptr) return;
  stop(std::chrono::milliseconds(0));
  state_->accepting.join();
}

}  // namespace millrace::control

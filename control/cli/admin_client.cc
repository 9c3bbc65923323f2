// AdminClient: see admin_client.h. The client half of cpp-httplib is used here and nowhere else.
#include "control/cli/admin_client.h"

#include <httplib.h>

namespace millrace::cli {

using base::Error;
using base::ErrorCode;
using base::Result;

struct AdminClient::State {
  std::string address;
  int port;
  httplib::Client client;

  Result<AdminReply> reply(const httplib::Result& result) const {
    if (result) return AdminReply{result->status, result->body};
    if (result.error() == httplib::Error::Read || result.error() == httplib::Error::Write) {
      return Error(ErrorCode::timeout, "the node at {}:{} does not answer", address, port);
    }
    return Error(ErrorCode::unavailable,
                 "no node answers at {}:{}. Start one with 'millrace up', or name the right one "
                 "with --port-offset N or MILLRACE_PORT_OFFSET",
                 address, port);
  }
};

AdminClient::AdminClient(const std::string& address, int port, std::chrono::milliseconds timeout)
    : state_(new State{address, port, httplib::Client(address, port)}) {
  state_->client.set_connection_timeout(timeout);
  state_->client.set_read_timeout(timeout);
  state_->client.set_write_timeout(timeout);
}

AdminClient::~AdminClient() = default;

Result<AdminReply> AdminClient::get(const std::string& path) {
  return state_->reply(state_->client.Get(path));
}

Result<AdminReply> AdminClient::post(const std::string& path, const std::string& json_body) {
  return state_->reply(state_->client.Post(path, json_body, "application/json"));
}

Result<AdminReply> AdminClient::patch(const std::string& path, const std::string& json_body) {
  return state_->reply(state_->client.Patch(path, json_body, "application/json"));
}

Result<AdminReply> AdminClient::remove(const std::string& path) {
  return state_->reply(state_->client.Delete(path));
}

}  // namespace millrace::cli

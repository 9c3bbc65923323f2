// NodeAccess: see node_access.h.
#include "control/cli/node_access.h"

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "control/config/node_config.h"

namespace millrace::cli {

using base::ErrorCode;
using nlohmann::json;

AdminClient admin_client(const Globals& globals, std::chrono::milliseconds timeout) {
  return AdminClient("127.0.0.1", admin_port(globals), timeout);
}

int admin_port(const Globals& globals) { return control::admin_port_default + globals.port_offset; }

void say_error(std::string_view message) { fmt::print(stderr, "millrace: error: {}\n", message); }
void say_note(std::string_view message) { fmt::print(stderr, "millrace: {}\n", message); }

int take_document(const base::Result<AdminReply>& reply, json& document) {
  if (!reply) {
    say_error(reply.error().message());
    return reply.error().code() == ErrorCode::timeout ? exit_timeout : exit_cannot_connect;
  }
  document = json::parse(reply->body, nullptr, false);
  if (reply->status >= 200 && reply->status < 300 && document.is_object()) return exit_ok;
  if (document.is_object() && document.contains("error")) {
    say_error(document["error"].value("message", "the node gave no reason"));
  } else {
    say_error(fmt::format("the answer (HTTP {}) is not from a Millrace node", reply->status));
  }
  return reply->status == 404 ? exit_not_found : exit_failed;
}

void print_json(const json& document) {
  fmt::print("{}\n", document.dump(2, ' ', false, json::error_handler_t::replace));
}

}  // namespace millrace::cli

// NodeAccess: how a verb reaches its node and reports on it: the admin port, an answer's JSON, and
// errors as an exit code with a line on standard error.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "control/cli/admin_client.h"
#include "control/cli/verbs.h"

namespace millrace::cli {

// "127.0.0.1" and 9644 shifted by the offset.
AdminClient admin_client(const Globals& globals,
                         std::chrono::milliseconds timeout = std::chrono::seconds(10));
int admin_port(const Globals& globals);

void say_error(std::string_view message);  // "millrace: error: ..." on standard error
void say_note(std::string_view message);   // "millrace: ..." on standard error

// The reply's document into `document`, or the exit code after saying why not.
int take_document(const base::Result<AdminReply>& reply, nlohmann::json& document);

void print_json(const nlohmann::json& document);

}  // namespace millrace::cli

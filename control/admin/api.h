// Api: an admin request in, its answer out. Pure but for the node it looks at; knows no sockets.
// Thread: any, several at once.
//
//   GET    /livez               200 as long as this process answers
//   GET    /readyz[?verbose]    200 or 503, text; each check on a line
//   GET    /metrics             Prometheus text
//   GET    /v1/status           JSON
//   GET    /v1/topics           JSON {"topics": [...]}
//   POST   /v1/topics           {"name", "partitions"?, "durability"?: "durable" | "memory",
//                               "retention_ms"?, "retention_bytes"?: of each partition; -1: all,
//                               "tombstones_ms"?: of each key only the last record is kept, and
//                               one without a value so long; -1: all are}
//   GET    /v1/topics/NAME      JSON, with the offsets of each partition
//   PATCH  /v1/topics/NAME      {"retention_ms"?, "retention_bytes"?, "tombstones_ms"?}
//   POST   /v1/topics/NAME/delete-records   {"partition"?, "before": first offset to keep}
//   DELETE /v1/topics/NAME      JSON of the topic that was
// An error is {"error": {"code", "message"}} with 400, 403, 404, 405, 409, 503 or 507.
#pragma once

#include <string>

#include "control/admin/node.h"

namespace millrace::control {

struct AdminRequest {
  std::string method;
  std::string path;  // percent-decoded
  bool is_verbose = false;
  std::string host;    // header Host, empty when missing
  std::string origin;  // header Origin, empty when missing
  std::string body;
};

struct AdminResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
};

AdminResponse answer(Node& node, const AdminRequest& request);

// A browser that was lured here through a name which resolves to 127.0.0.1 says so in these
// headers. True for 127.0.0.1, localhost and [::1] with any port, and for the address that the
// server was told to listen on.
bool is_local_host(const std::string& host, const std::string& listen_address);
bool is_local_origin(const std::string& origin, const std::string& listen_address);

AdminResponse error_response(int status, std::string_view code, std::string_view message);

}  // namespace millrace::control

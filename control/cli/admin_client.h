// AdminClient: requests to the admin API of a node on this host.
// Thread: one.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "dataplane/base/result.h"

namespace millrace::cli {

struct AdminReply {
  int status = 0;
  std::string body;
};

class AdminClient {
 public:
  AdminClient(const std::string& address, int port,
              std::chrono::milliseconds timeout = std::chrono::seconds(10));
  ~AdminClient();

  // Error unavailable: nothing answers there. timeout: something does, but not in time.
  base::Result<AdminReply> get(const std::string& path);
  base::Result<AdminReply> post(const std::string& path, const std::string& json_body);
  base::Result<AdminReply> patch(const std::string& path, const std::string& json_body);
  base::Result<AdminReply> remove(const std::string& path);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace millrace::cli

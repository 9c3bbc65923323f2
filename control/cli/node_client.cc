#include "control/cli/node_client.h"

#include <fmt/format.h>

#include <array>
#include <ctime>

#include "control/cli/node_access.h"
#include "dataplane/base/units.h"

namespace millrace::cli {

std::uint64_t clock_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * base::second_ns +
         static_cast<std::uint64_t>(now.tv_nsec);
}

ClientPtr connect_client(const std::string& address, const Globals& globals,
                         std::uint64_t timeout_ns, int& exit_code) {
  const std::string where =
      address.empty() ? fmt::format("127.0.0.1:{}", 7070 + globals.port_offset) : address;
  mr_options options;
  mr_options_init(&options);
  options.address = where.c_str();
  options.delivery_timeout_ms = static_cast<std::uint32_t>(timeout_ns / base::ms_ns);
  mr_client* client = nullptr;
  std::array<char, 512> error{};
  if (const int status = mr_connect(&options, &client, error.data(), error.size()); status < 0) {
    say_error(
        fmt::format("{}: {}", where, error.data()[0] != 0 ? error.data() : mr_status_text(status)));
    exit_code = status == MR_BAD_ADDRESS ? exit_usage : exit_cannot_connect;
    return nullptr;
  }
  ClientPtr owned(client);
  const std::uint64_t give_up_ns = clock_ns() + timeout_ns;
  while (mr_connection_status(client) != MR_OK) {
    if (clock_ns() >= give_up_ns) {
      say_error(
          fmt::format("no node answers at {}; start one with 'millrace up', or name another with "
                      "--port-offset or --address",
                      where));
      exit_code = exit_cannot_connect;
      return nullptr;
    }
    mr_wait(client, 10'000);
    mr_poll(client, nullptr, nullptr, 0);
  }
  exit_code = exit_ok;
  return owned;
}

int say_status(int status, const std::string& about) {
  say_error(fmt::format("{}: {}", about, mr_status_text(status)));
  switch (status) {
    case MR_UNKNOWN_TOPIC:
      return exit_not_found;
    case MR_TIMED_OUT:
      return exit_timeout;
    case MR_NOT_CONNECTED:
      return exit_cannot_connect;
    case MR_INVALID:
      return exit_usage;
    default:
      return exit_failed;
  }
}

}  // namespace millrace::cli

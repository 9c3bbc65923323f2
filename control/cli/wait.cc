// The verb `wait`: returns when the node is ready.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "control/cli/node_access.h"
#include "control/cli/verbs.h"
#include "control/config/parse.h"

namespace millrace::cli {

using std::chrono::steady_clock;

namespace {

constexpr auto pause = std::chrono::milliseconds(50);
constexpr auto quiet = std::chrono::seconds(1);
constexpr std::uint64_t timeout_ns_max = 86'400'000'000'000;

// The lines of /readyz that say what is missing, as one.
std::string missing(const std::string& body) {
  std::string line = body.substr(0, body.rfind("not ready"));
  while (!line.empty() && line.back() == '\n') line.pop_back();
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

int say_ready(const Globals& globals) {
  if (globals.output == OutputFormat::json) {
    print_json({{"ready", true}, {"admin_port", admin_port(globals)}});
  } else {
    fmt::print("ready\n");
  }
  return exit_ok;
}

}  // namespace

int run_wait(const WaitOptions& options, const Globals& globals) {
  const auto timeout_ns = control::parse_duration_ns(options.timeout);
  if (!timeout_ns || *timeout_ns > timeout_ns_max) {
    say_error(
        fmt::format("--timeout: {}", timeout_ns ? "at most 24h" : timeout_ns.error().message()));
    return exit_usage;
  }
  const auto started = steady_clock::now();
  const auto deadline = started + std::chrono::nanoseconds(*timeout_ns);
  auto next_note = started + quiet;
  std::string reason;
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - steady_clock::now());
    auto client = admin_client(
        globals, std::clamp(left, std::chrono::milliseconds(20), std::chrono::milliseconds(2000)));
    const auto reply = client.get("/readyz");
    if (reply && reply->status == 200) return say_ready(globals);
    reason = reply ? missing(reply->body) : std::string(reply.error().message());
    const auto now = steady_clock::now();
    if (now + pause >= deadline) break;
    if (now >= next_note) {
      say_note(fmt::format("waiting: {}", reason));
      next_note = now + std::chrono::seconds(5);
    }
    std::this_thread::sleep_for(pause);
  }
  say_error(fmt::format("not ready after {}: {}", options.timeout, reason));
  return exit_timeout;
}

}  // namespace millrace::cli

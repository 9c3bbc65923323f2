// Readiness: what must hold before the node serves. See node.h.
#include <fmt/format.h>

#include <algorithm>

#include "control/admin/node.h"
#include "control/metrics/ledger.h"
#include "control/metrics/liveness.h"

namespace millrace::control {

namespace {

std::string state_reason(const link::Region& region) {
  const auto state = data_plane_state(region);
  if (state == "failed") return fmt::format("failed: {}", region.failure.get());
  const auto total = region.recovery_bytes_total.get();
  if (state == "recovering" && total > 0) {
    return fmt::format("recovering, {} % of the journal read",
                       region.recovery_bytes_done.get() * 100 / total);
  }
  return std::string(state);
}

}  // namespace

std::vector<ReadinessCheck> readiness(Node& node) {
  const link::Region& region = node.region;
  std::vector<ReadinessCheck> checks;
  const bool is_alive = is_data_plane_alive(region);
  checks.push_back({"process", is_alive, is_alive ? "" : "millraced is not running"});
  const bool is_serving = data_plane_state(region) == "ready";
  checks.push_back({"dataplane", is_serving, is_serving ? "" : state_reason(region)});

  const bool has_catalog = node.topics.is_synced() && region.catalog_ready.get() == 1;
  checks.push_back(
      {"catalog", has_catalog, has_catalog ? "" : "the data plane has not got all topics yet"});

  std::uint32_t dead_port = port_count(region);
  for (std::uint32_t i = port_count(region); i-- > 0;) {
    if (region.ports[i].live.get() == 0) dead_port = i;
  }
  const bool are_ports_up = dead_port == port_count(region);
  checks.push_back(
      {"ports", are_ports_up,
       are_ports_up ? "" : fmt::format("{} is not up", region.ports[dead_port].path.get())});

  bool has_failed = false;
  for (std::uint32_t i = 0; i < shard_count(region); ++i) {
    has_failed = has_failed || region.shards[i].failed.get() != 0;
  }
  checks.push_back({"storage", !has_failed,
                    has_failed ? "a write to the device failed; see events in /v1/status" : ""});
  return checks;
}

bool is_ready(Node& node) {
  const auto checks = readiness(node);
  return std::all_of(checks.begin(), checks.end(), [](const auto& check) { return check.is_ok; });
}

}  // namespace millrace::control

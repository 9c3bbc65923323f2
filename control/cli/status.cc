// The verb `status`: the live path of every port, the drop ledger, durability.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "control/cli/node_access.h"
#include "control/cli/table.h"
#include "control/cli/verbs.h"

namespace millrace::cli {

using nlohmann::json;

namespace {

std::string text_of(const json& value) {
  if (value.is_null()) return "-";
  return value.is_string() ? value.get<std::string>() : value.dump();
}

void print_node(const json& status) {
  const auto& pids = status["pids"];
  fmt::print("STATE       {}{}\n", text_of(status["state"]),
             status.value("ready", false) ? "" : " (not ready)");
  if (!text_of(status["failure"]).empty())
    fmt::print("FAILURE     {}\n", text_of(status["failure"]));
  fmt::print("VERSION     {}\n", text_of(status["version"]));
  fmt::print("UPTIME      {} s\n", text_of(status["uptime_s"]));
  fmt::print("PIDS        up {}, millraced {}, millrace-control {}\n", text_of(pids["up"]),
             text_of(pids["millraced"]), text_of(pids["millrace-control"]));
  fmt::print("DATA        {}\n",
             status["data"].is_null() ? "in memory only" : text_of(status["data"]));
  fmt::print("DURABILITY  {}{}{}\n", text_of(status["durability"]),
             text_of(status["device"]).empty() ? "" : " on ", text_of(status["device"]));
  fmt::print("MEMORY      {}\n", text_of(status["memory"]));
}

void print_ports(const json& status) {
  Table table({"PORT", "KIND", "CORE", "LIVE", "RX-PACKETS", "TX-PACKETS", "MISSED", "ERRORS"});
  for (const auto& port : status["ports"]) {
    table.add_row({text_of(port["path"]), text_of(port["kind"]), text_of(port["core"]),
                   port.value("live", false) ? "yes" : "no", text_of(port["rx_packets"]),
                   text_of(port["tx_packets"]), text_of(port["rx_missed"]),
                   text_of(port["rx_errors"])});
  }
  fmt::print("\n{}", table.text());
}

void print_ledger(const json& status) {
  Table table({"LEDGER", "PACKETS"});
  table.add_row({"received", text_of(status["ledger"]["received"])});
  for (const auto& [name, count] : status["deliveries"].items()) {
    table.add_row({"delivered: " + name, text_of(count)});
  }
  for (const auto& [name, count] : status["drops"].items()) {
    if (name != "total") table.add_row({"dropped: " + name, text_of(count)});
  }
  table.add_row({"balance", text_of(status["ledger"]["balance"])});
  fmt::print("\n{}", table.text());
}

void print_shards(const json& status) {
  Table table({"SHARD", "JOURNAL", "USED", "SEGMENTS", "HELD", "BAD-BLOCKS", "DISK-FREE", "FRAMES",
               "MEAN-WRITE-US", "REFUSED", "STATE"});
  for (const auto& shard : status["shards"]) {
    const auto frames = shard.value("frames_written", std::uint64_t{0});
    const auto write_ns = shard.value("write_ns_total", std::uint64_t{0});
    table.add_row({text_of(shard["shard"]),
                   human_bytes(shard.value("journal_bytes_max", std::uint64_t{0})),
                   human_bytes(shard.value("journal_bytes_used", std::uint64_t{0})),
                   text_of(shard["segment_files"]),
                   human_bytes(shard.value("segment_bytes", std::uint64_t{0})),
                   text_of(shard["scrub_bad_blocks"]),
                   human_bytes(shard.value("disk_free_bytes", std::uint64_t{0})),
                   text_of(shard["frames_written"]),
                   frames == 0 ? "-" : fmt::format("{}", write_ns / frames / 1000),
                   text_of(shard["refused_full"]),
                   shard.value("failed", false)     ? "failed"
                   : shard.value("disk_low", false) ? "disk low"
                                                    : "ok"});
  }
  fmt::print("\n{}", table.text());
}

}  // namespace

int run_status(const Globals& globals) {
  auto client = admin_client(globals);
  json status;
  if (const int code = take_document(client.get("/v1/status"), status); code != exit_ok) {
    return code;
  }
  if (globals.output == OutputFormat::json) return print_json(status), exit_ok;
  print_node(status);
  print_ports(status);
  print_ledger(status);
  if (!status["shards"].empty()) print_shards(status);
  for (const auto& event : status["events"]) {
    fmt::print("\nEVENT {} {}: {}", text_of(event["at"]), text_of(event["kind"]),
               text_of(event["text"]));
  }
  if (!status["events"].empty()) fmt::print("\n");
  return exit_ok;
}

}  // namespace millrace::cli

// Documents: see documents.h.
#include "control/admin/documents.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "control/metrics/ledger.h"
#include "control/metrics/liveness.h"

namespace millrace::control {

using nlohmann::json;

namespace {

using PartitionBlocks = std::unordered_map<std::uint32_t, const link::PartitionBlock*>;

// The region's partition blocks are in no order, and there are not so many.
PartitionBlocks partition_blocks(const link::Region& region) {
  PartitionBlocks blocks;
  for (const auto& block : region.partitions) {
    const auto id_plus_one = block.id_plus_one.get();
    if (id_plus_one != 0) blocks[static_cast<std::uint32_t>(id_plus_one - 1)] = &block;
  }
  return blocks;
}

std::string time_text(std::int64_t wall_ms) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(wall_ms / 1000), wall_ms % 1000);
}

// Of the data plane, by the host's clock.
std::int64_t uptime_s(const link::Region& region) {
  if (!is_data_plane_alive(region)) return 0;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto now_s = std::chrono::duration_cast<std::chrono::seconds>(now).count();
  const auto started_s = static_cast<std::int64_t>(region.started_wall_ns.get() / 1'000'000'000);
  return started_s == 0 || started_s > now_s ? 0 : now_s - started_s;
}

json pids(const Node& node) {
  json pids = {{"up", nullptr}, {"millraced", nullptr}, {"millrace-control", getpid()}};
  if (node.up_pid > 0) pids["up"] = node.up_pid;
  if (is_data_plane_alive(node.region)) pids["millraced"] = node.region.pid.get();
  return pids;
}

json ports(const link::Region& region) {
  json ports = json::array();
  for (std::uint32_t i = 0; i < port_count(region); ++i) {
    const auto& port = region.ports[i];
    ports.push_back({{"path", port.path.get()},
                     {"kind", port.kind.get()},
                     {"core", port.core},
                     {"live", port.live.get() != 0},
                     {"rx_packets", port.rx_packets.get()},
                     {"rx_bytes", port.rx_bytes.get()},
                     {"tx_packets", port.tx_packets.get()},
                     {"tx_bytes", port.tx_bytes.get()},
                     {"rx_missed", port.rx_missed.get()},
                     {"rx_errors", port.rx_errors.get()},
                     {"tx_refused", port.tx_refused.get()}});
  }
  return ports;
}

json cores(const link::Region& region) {
  json cores = json::array();
  for (std::uint32_t i = 0; i < core_count(region); ++i) {
    const auto& core = region.cores[i];
    cores.push_back({{"core", i},
                     {"turns", core.turns.get()},
                     {"busy_turns", core.busy_turns.get()},
                     {"slow_turns", core.slow_turns.get()},
                     {"sleeps", core.sleeps.get()},
                     {"sessions", core.sessions.get()},
                     {"sessions_opened", core.sessions_opened.get()},
                     {"streams", core.streams.get()},
                     {"subscriptions", core.subscriptions.get()},
                     {"batches_appended", core.batches_appended.get()},
                     {"records_appended", core.records_appended.get()},
                     {"bytes_appended", core.bytes_appended.get()},
                     {"batches_duplicate", core.batches_duplicate.get()},
                     {"batches_refused", core.batches_refused.get()},
                     {"batches_delivered", core.batches_delivered.get()},
                     {"bytes_delivered", core.bytes_delivered.get()},
                     {"packets_repaired", core.packets_repaired.get()}});
  }
  return cores;
}

json shards(const link::Region& region) {
  json shards = json::array();
  for (std::uint32_t i = 0; i < shard_count(region); ++i) {
    const auto& shard = region.shards[i];
    shards.push_back({{"shard", i},
                      {"journal_bytes_max", shard.journal_bytes_max.get()},
                      {"journal_bytes_used", shard.journal_bytes_used.get()},
                      {"append_position", shard.append_position.get()},
                      {"durable_position", shard.durable_position.get()},
                      {"frames_written", shard.frames_written.get()},
                      {"frame_bytes_written", shard.frame_bytes_written.get()},
                      {"write_ns_total", shard.write_ns_total.get()},
                      {"refused_full", shard.refused_full.get()},
                      {"sorted_position", shard.sorted_position.get()},
                      {"segment_files", shard.segment_files.get()},
                      {"segment_bytes", shard.segment_bytes.get()},
                      {"scrub_bytes", shard.scrub_bytes.get()},
                      {"scrub_bad_blocks", shard.scrub_bad_blocks.get()},
                      {"scrub_passes", shard.scrub_passes.get()},
                      {"disk_free_bytes", shard.disk_free_bytes.get()},
                      {"disk_low", shard.disk_low.get() != 0},
                      {"producers", shard.producers.get()},
                      {"failed", shard.failed.get() != 0}});
  }
  return shards;
}

json events(const Node& node) {
  json events = json::array();
  for (const auto& event : node.events.recent()) {
    events.push_back({{"at", time_text(event.at_ms)},
                      {"kind", event.kind},
                      {"core", event.core},
                      {"partition", event.partition},
                      {"first_offset", event.first_offset},
                      {"last_offset", event.last_offset},
                      {"text", event.text}});
  }
  return events;
}

void add_ledger(json& status, const link::Region& region) {
  const Ledger ledger = read_ledger(region);
  json& deliveries = status["deliveries"] = json::object();
  for (std::size_t i = 0; i < base::delivery_count; ++i) {
    deliveries[std::string(base::delivery_names[i])] = ledger.delivered[i];
  }
  json& drops = status["drops"] = json::object();
  for (std::size_t i = 0; i < base::drop_reason_count; ++i) {
    if (ledger.dropped[i] != 0) drops[std::string(base::drop_reason_names[i])] = ledger.dropped[i];
  }
  drops["total"] = ledger.dropped_total;
  status["ledger"] = {{"received", ledger.received},
                      {"delivered", ledger.delivered_total},
                      {"dropped", ledger.dropped_total},
                      {"balance", ledger.balance()}};
}

}  // namespace

json topic_document(const Topic& topic) {
  return {{"name", topic.name},
          {"id", base::raw(topic.id)},
          {"partitions", topic.partition_count},
          {"durability", topic.durable ? "durable" : "memory"},
          {"retention_ms", topic.retention.ms},
          {"retention_bytes", topic.retention.bytes},
          {"tombstones_ms", topic.retention.tombstones_ms},
          {"created", time_text(topic.created_ms)}};
}

json topic_list_document(Node& node, const std::vector<Topic>& topics) {
  const PartitionBlocks blocks = partition_blocks(node.region);
  json list = json::array();
  for (const Topic& topic : topics) {
    std::uint64_t records = 0;
    std::uint64_t bytes = 0;
    for (std::uint32_t i = 0; i < topic.partition_count; ++i) {
      const auto found = blocks.find(base::raw(topic.first_partition) + i);
      if (found == blocks.end()) continue;
      records += found->second->log_end.get() - found->second->log_start.get();
      bytes += found->second->bytes.get();
    }
    json document = topic_document(topic);
    document["records"] = records;
    document["bytes"] = bytes;
    list.push_back(std::move(document));
  }
  return {{"topics", std::move(list)}};
}

json topic_offsets_document(Node& node, const Topic& topic) {
  const PartitionBlocks blocks = partition_blocks(node.region);
  json document = topic_document(topic);
  json& offsets = document["offsets"] = json::array();
  for (std::uint32_t i = 0; i < topic.partition_count; ++i) {
    const std::uint32_t id = base::raw(topic.first_partition) + i;
    const auto found = blocks.find(id);
    if (found == blocks.end()) {
      offsets.push_back({{"partition", i}, {"id", id}, {"present", false}});
      continue;
    }
    const link::PartitionBlock& block = *found->second;
    offsets.push_back({{"partition", i},
                       {"id", id},
                       {"present", true},
                       {"log_start", block.log_start.get()},
                       {"log_end", block.log_end.get()},
                       {"durable_end", block.durable_end.get()},
                       {"bytes", block.bytes.get()},
                       {"damaged", block.damaged.get() != 0}});
  }
  return document;
}

json status_document(Node& node) {
  const link::Region& region = node.region;
  json status = {{"version", MILLRACE_VERSION},
                 {"state", data_plane_state(region)},
                 {"ready", is_ready(node)},
                 {"pids", pids(node)},
                 {"ports", ports(region)},
                 {"durability", region.durability.get()},
                 {"device", region.device.get()},
                 {"memory", region.memory.get()},
                 {"partitions", region.partition_count.get()},
                 {"cores", cores(region)},
                 {"shards", shards(region)},
                 {"events", events(node)},
                 {"failure", region.failure.get()},
                 {"uptime_s", uptime_s(region)}};
  status["data"] = node.data_directory.empty() ? json() : json(node.data_directory);
  status["recovery"] = {{"bytes_done", region.recovery_bytes_done.get()},
                        {"bytes_total", region.recovery_bytes_total.get()}};
  add_ledger(status, region);
  return status;
}

}  // namespace millrace::control

// Node metrics: see node_metrics.h.
#include "control/metrics/node_metrics.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <string_view>

#include "control/metrics/exposition.h"
#include "control/metrics/ledger.h"
#include "control/metrics/liveness.h"

namespace millrace::control {

namespace {

template <typename Block>
struct Family {
  std::string_view name;
  std::string_view help;
  base::Counter Block::*field;
};

constexpr Family<link::PortBlock> port_counters[] = {
    {"millrace_port_received_packets_total", "Packets a port handed up.",
     &link::PortBlock::rx_packets},
    {"millrace_port_received_bytes_total", "Bytes of those packets.", &link::PortBlock::rx_bytes},
    {"millrace_port_sent_packets_total", "Packets a port took for sending.",
     &link::PortBlock::tx_packets},
    {"millrace_port_sent_bytes_total", "Bytes of those packets.", &link::PortBlock::tx_bytes},
    {"millrace_port_missed_packets_total", "Packets the device dropped before the port saw them.",
     &link::PortBlock::rx_missed},
    {"millrace_port_receive_errors_total", "Packets the device reported as broken.",
     &link::PortBlock::rx_errors},
    {"millrace_port_send_refusals_total", "Packets a port had no room to send.",
     &link::PortBlock::tx_refused},
};

constexpr Family<link::CoreBlock> core_counters[] = {
    {"millrace_core_turns_total", "Turns of a core's loop.", &link::CoreBlock::turns},
    {"millrace_core_busy_turns_total", "Turns that found work.", &link::CoreBlock::busy_turns},
    {"millrace_core_slow_turns_total", "Turns that took over 100 microseconds.",
     &link::CoreBlock::slow_turns},
    {"millrace_core_sleeps_total", "Times a core slept for want of work.",
     &link::CoreBlock::sleeps},
    {"millrace_core_sessions_opened_total", "Sessions opened.", &link::CoreBlock::sessions_opened},
    {"millrace_core_appended_batches_total", "Batches appended to logs.",
     &link::CoreBlock::batches_appended},
    {"millrace_core_appended_records_total", "Records appended to logs.",
     &link::CoreBlock::records_appended},
    {"millrace_core_appended_bytes_total", "Bytes of batches appended to logs.",
     &link::CoreBlock::bytes_appended},
    {"millrace_core_duplicate_batches_total", "Batches that were in the log already.",
     &link::CoreBlock::batches_duplicate},
    {"millrace_core_refused_batches_total", "Batches refused with an error to the producer.",
     &link::CoreBlock::batches_refused},
    {"millrace_core_delivered_batches_total", "Batches sent to readers.",
     &link::CoreBlock::batches_delivered},
    {"millrace_core_delivered_bytes_total", "Bytes of batches sent to readers.",
     &link::CoreBlock::bytes_delivered},
    {"millrace_core_repaired_packets_total", "Packets sent again because they were lost.",
     &link::CoreBlock::packets_repaired},
};

constexpr Family<link::CoreBlock> core_gauges[] = {
    {"millrace_core_sessions", "Sessions open now.", &link::CoreBlock::sessions},
    {"millrace_core_streams", "Producer and reader streams open now.", &link::CoreBlock::streams},
    {"millrace_core_subscriptions", "Subscriptions open now.", &link::CoreBlock::subscriptions},
};

constexpr Family<link::ShardBlock> shard_counters[] = {
    {"millrace_shard_written_frames_total", "Journal frames written.",
     &link::ShardBlock::frames_written},
    {"millrace_shard_written_bytes_total", "Bytes of journal frames written.",
     &link::ShardBlock::frame_bytes_written},
    {"millrace_shard_refused_batches_total", "Batches refused because the journal was full.",
     &link::ShardBlock::refused_full},
    {"millrace_shard_scrub_bytes_total", "Bytes of segment files read again and checked.",
     &link::ShardBlock::scrub_bytes},
    {"millrace_shard_scrub_bad_blocks_total", "Places of segment files found damaged.",
     &link::ShardBlock::scrub_bad_blocks},
    {"millrace_shard_scrub_passes_total", "Times all segment files have been read again.",
     &link::ShardBlock::scrub_passes},
};

constexpr Family<link::ShardBlock> shard_gauges[] = {
    {"millrace_shard_journal_size_bytes", "Size of the journal.",
     &link::ShardBlock::journal_bytes_max},
    {"millrace_shard_journal_used_bytes", "Bytes of the journal in use.",
     &link::ShardBlock::journal_bytes_used},
    {"millrace_shard_segment_files", "Segment files.", &link::ShardBlock::segment_files},
    {"millrace_shard_segment_bytes", "Bytes of segment files.", &link::ShardBlock::segment_bytes},
    {"millrace_shard_disk_free_bytes", "Bytes free on the device.",
     &link::ShardBlock::disk_free_bytes},
    {"millrace_shard_disk_low", "1 while appends are refused because the disk is nearly full.",
     &link::ShardBlock::disk_low},
    {"millrace_shard_failed", "1 once a write to the device failed.", &link::ShardBlock::failed},
    {"millrace_shard_producers", "Producer ids remembered.", &link::ShardBlock::producers},
};

void add_ports(Exposition& out, const link::Region& region) {
  const std::uint32_t count = port_count(region);
  out.gauge("millrace_port_live", "1 while the port is up; the labels name its path.");
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto& port = region.ports[i];
    out.sample(
        port.live.get(),
        {{"port", fmt::format("{}", i)}, {"kind", port.kind.get()}, {"path", port.path.get()}});
  }
  for (const auto& family : port_counters) {
    out.counter(family.name, family.help);
    for (std::uint32_t i = 0; i < count; ++i) {
      out.sample((region.ports[i].*family.field).get(), {{"port", fmt::format("{}", i)}});
    }
  }
}

template <typename Block, std::size_t N>
void add_families(Exposition& out, const Family<Block> (&families)[N], const Block* blocks,
                  std::uint32_t count, std::string_view label, bool is_counter) {
  for (const auto& family : families) {
    is_counter ? out.counter(family.name, family.help) : out.gauge(family.name, family.help);
    for (std::uint32_t i = 0; i < count; ++i) {
      out.sample((blocks[i].*family.field).get(), {{label, fmt::format("{}", i)}});
    }
  }
}

void add_ledger(Exposition& out, const link::Region& region) {
  const Ledger ledger = read_ledger(region);
  out.counter("millrace_delivered_packets_total", "Packets delivered, by what took them.");
  for (std::size_t i = 0; i < base::delivery_count; ++i) {
    out.sample(ledger.delivered[i], {{"to", base::delivery_names[i]}});
  }
  out.counter("millrace_dropped_packets_total", "Packets dropped, by the one reason of each.");
  for (std::size_t i = 1; i < base::drop_reason_count; ++i) {
    out.sample(ledger.dropped[i], {{"reason", base::drop_reason_names[i]}});
  }
}

void add_process(Exposition& out) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  out.counter("millrace_control_cpu_seconds_total", "CPU time of the control plane.");
  out.sample(seconds(usage.ru_utime) + seconds(usage.ru_stime));
  out.gauge("millrace_control_resident_high_bytes", "Most memory the control plane ever held.");
  out.sample(static_cast<std::uint64_t>(usage.ru_maxrss) * 1024);
}

}  // namespace

std::string node_metrics(const link::Region& region, const NodeGauges& gauges) {
  Exposition out;
  out.gauge("millrace_build_info", "Always 1; the label is the release.");
  out.sample(std::uint64_t{1}, {{"version", MILLRACE_VERSION}});
  out.gauge("millrace_ready", "1 when the node serves.");
  out.sample(std::uint64_t{gauges.is_ready});
  out.gauge("millrace_dataplane_up", "1 while the data plane's process is there.");
  out.sample(std::uint64_t{is_data_plane_alive(region)});
  out.gauge("millrace_topics", "Topics in the catalog.");
  out.sample(gauges.topics);
  out.gauge("millrace_partitions", "Partitions the data plane serves.");
  out.sample(region.partition_count.get());
  out.gauge("millrace_dataplane_start_time_seconds", "When the data plane started, Unix time.");
  out.sample(static_cast<double>(region.started_wall_ns.get()) / 1e9);
  add_ledger(out, region);
  add_ports(out, region);
  add_families(out, core_counters, region.cores.data(), core_count(region), "core", true);
  add_families(out, core_gauges, region.cores.data(), core_count(region), "core", false);
  add_families(out, shard_counters, region.shards.data(), shard_count(region), "shard", true);
  add_families(out, shard_gauges, region.shards.data(), shard_count(region), "shard", false);
  out.counter("millrace_shard_write_seconds_total", "Time durable writes took, summed.");
  for (std::uint32_t i = 0; i < shard_count(region); ++i) {
    out.sample(static_cast<double>(region.shards[i].write_ns_total.get()) / 1e9,
               {{"shard", fmt::format("{}", i)}});
  }
  add_process(out);
  return out.text();
}

}  // namespace millrace::control

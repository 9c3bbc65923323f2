// Report: see report.h.
#include "perf/bench/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "dataplane/base/units.h"
#include "perf/bench/cpus.h"

namespace millrace::bench {

using nlohmann::json;

namespace {

using Row = std::pair<std::string, std::string>;

bool is_floor(const Report& report) { return report.options.verb == Verb::floor; }
bool is_bulk(const Report& report) {
  return report.options.verb == Verb::throughput || is_at_rest(report.options.verb);
}

std::string human_bytes(std::uint64_t bytes) {
  return bytes >= base::gib ? fmt::format("{} GiB", bytes / base::gib)
                            : fmt::format("{} MiB", bytes / base::mib);
}

const char* path_name(const Report& report) {
  return is_floor(report) ? name(report.options.floor_of) : name(report.options.path);
}

double ratio(double value, double floor) { return floor == 0 ? 0 : value / floor; }

double quantile(const Measured& measured, double share) {
  return static_cast<double>(measured.latency_ns.quantile(share));
}

json cpu_or_null(int cpu) { return cpu == cpu_any ? json() : json(cpu); }

std::string human_ns(std::uint64_t ns) {
  if (ns < 10'000) return fmt::format("{} ns", ns);
  if (ns < 10'000'000) return fmt::format("{:.1f} us", static_cast<double>(ns) / 1e3);
  return fmt::format("{:.1f} ms", static_cast<double>(ns) / 1e6);
}

std::string human_rate(double per_s, const char* what) {
  if (per_s >= 1e6) return fmt::format("{:.2f} M{}/s", per_s / 1e6, what);
  if (per_s >= 1e4) return fmt::format("{:.1f} k{}/s", per_s / 1e3, what);
  return fmt::format("{:.0f} {}/s", per_s, what);
}

std::string cpu_text(int cpu) { return cpu == cpu_any ? "any" : std::to_string(cpu); }

std::string title(const Report& report) {
  const BenchOptions& options = report.options;
  if (is_floor(report)) return fmt::format("floor of {}: {}", path_name(report), report.floor_name);
  if (options.verb == Verb::start) {
    return fmt::format("start with {} partitions and {} in segments", options.partitions,
                       human_bytes(options.bytes));
  }
  if (is_at_rest(options.verb)) {
    return fmt::format("{} of {}", options.verb == Verb::recovery ? "recovery" : "cold read",
                       human_bytes(options.bytes));
  }
  const char* verb = is_bulk(report) ? "throughput" : "round trip, one record at a time,";
  return fmt::format("{} over {}, acknowledged {}, {} B records", verb, path_name(report),
                     options.ack == Ack::memory ? "in memory" : "durable", options.size_bytes);
}

void add_latencies(const Report& report, std::vector<Row>& rows) {
  static const std::vector<std::pair<const char*, double>> shares = {
      {"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}, {"p99.99", 0.9999}, {"max", 1}};
  const bool compared = report.floor && !is_bulk(report);
  if (report.result.latency_ns.count() == 0) return;
  for (const auto& [label, share] : shares) {
    std::string text = fmt::format("{:>10}", human_ns(report.result.latency_ns.quantile(share)));
    if (compared) {
      text += fmt::format("   floor {:>10}   ratio {:5.2f}",
                          human_ns(report.floor->latency_ns.quantile(share)),
                          ratio(quantile(report.result, share), quantile(*report.floor, share)));
    }
    rows.emplace_back(label, text);
  }
}

void add_rates(const Report& report, std::vector<Row>& rows) {
  rows.emplace_back("rate", fmt::format("{}, {}", human_rate(report.result.count_per_s(), ""),
                                        human_rate(report.result.bytes_per_s(), "B")));
  if (report.sequential) {
    rows.emplace_back("large writes", fmt::format("{} in durable writes of {} KiB",
                                                  human_rate(report.sequential->bytes_per_s(), "B"),
                                                  report.options.write_bytes / 1024));
  }
  if (report.unsorted) {
    rows.emplace_back(
        "unsorted",
        fmt::format("{}, p99 {}: ratio of rates {:.2f}, of p99 {:.2f}",
                    human_rate(report.unsorted->count_per_s(), ""),
                    human_ns(report.unsorted->latency_ns.quantile(0.99)),
                    ratio(report.result.count_per_s(), report.unsorted->count_per_s()),
                    ratio(quantile(report.result, 0.99), quantile(*report.unsorted, 0.99))));
  }
  if (report.without_readers) {
    const Measured& without = *report.without_readers;
    rows.emplace_back(
        "no readers",
        fmt::format("{}, p50 {}, p99 {}: ratio of rates {:.2f}, of p50 {:.2f}, of p99 {:.2f}",
                    human_rate(without.count_per_s(), ""),
                    human_ns(without.latency_ns.quantile(0.5)),
                    human_ns(without.latency_ns.quantile(0.99)),
                    ratio(report.result.count_per_s(), without.count_per_s()),
                    ratio(quantile(report.result, 0.5), quantile(without, 0.5)),
                    ratio(quantile(report.result, 0.99), quantile(without, 0.99))));
    rows.emplace_back(
        "read", fmt::format("{} by {} readers of {} in segments",
                            human_rate(report.read.bytes_per_s(), "B"), report.options.cold_readers,
                            human_bytes(report.options.bytes)));
  }
  if (!is_bulk(report) || !report.floor) return;
  rows.emplace_back(
      "floor", fmt::format("{} ({}), ratio {:.2f}", human_rate(report.floor->bytes_per_s(), "B"),
                           report.floor_name,
                           ratio(report.result.bytes_per_s(), report.floor->bytes_per_s())));
  if (report.in_memory) {
    rows.emplace_back("in memory", human_rate(report.in_memory->count_per_s(), "") +
                                       " when acknowledged in memory");
  }
  if (const auto limit = limit_records_per_s(report)) {
    rows.emplace_back("of the limit", fmt::format("{:.2f} of {}, the lesser of the two",
                                                  ratio(report.result.count_per_s(), *limit),
                                                  human_rate(*limit, "")));
  }
}

// With the same under other conditions.
void add_comparisons(const Report& report, json& out) {
  if (report.unsorted) {
    out["unsorted_records_per_s"] = report.unsorted->count_per_s();
    out["ratio_unsorted_rate"] = ratio(report.result.count_per_s(), report.unsorted->count_per_s());
    out["ratio_unsorted_p99"] =
        ratio(quantile(report.result, 0.99), quantile(*report.unsorted, 0.99));
  }
  if (report.without_readers) {
    const Measured& without = *report.without_readers;
    out["read_bytes_per_s"] = report.read.bytes_per_s();
    out["without_readers_p50_ns"] = without.latency_ns.quantile(0.5);
    out["without_readers_p99_ns"] = without.latency_ns.quantile(0.99);
    out["ratio_without_readers_p99"] =
        ratio(quantile(report.result, 0.99), quantile(without, 0.99));
  }
}

}  // namespace

bool is_at_rest(Verb verb) {
  return verb == Verb::recovery || verb == Verb::cold_read || verb == Verb::start;
}

std::optional<double> limit_records_per_s(const Report& report) {
  if (!report.floor || !report.in_memory) return std::nullopt;
  const double disk = report.floor->bytes_per_s() / std::max(1U, report.options.size_bytes);
  return std::min(disk, report.in_memory->count_per_s());
}

json to_json(const Report& report) {
  const BenchOptions& options = report.options;
  const base::Histogram& latency = report.result.latency_ns;
  const bool compared = report.floor && !is_bulk(report);
  const auto limit = limit_records_per_s(report);
  json out = {
      {"path", is_at_rest(options.verb) ? json() : json(path_name(report))},
      {"ack", is_floor(report) ? json() : json(name(options.ack))},
      {"size_bytes", options.size_bytes},
      {"count", report.result.count},
      {"p50_ns", latency.quantile(0.5)},
      {"p99_ns", latency.quantile(0.99)},
      {"p999_ns", latency.quantile(0.999)},
      {"p9999_ns", latency.quantile(0.9999)},
      {"max_ns", latency.max()},
      {"records_per_s", report.result.count_per_s()},
      {"bytes_per_s", report.result.bytes_per_s()},
      {"durability", report.durability.empty() ? json() : json(report.durability)},
      {"rounds", options.rounds},
      {"partitions", is_floor(report) ? json() : json(options.partitions)},
      {"target_records_per_s", options.rate == 0 ? json() : json(options.rate)},
      {"batch_bytes", is_bulk(report) ? json(options.batch_bytes) : json()},
      {"frame_bytes", report.frame_bytes == 0 ? json() : json(report.frame_bytes)},
      {"bytes", options.bytes == 0 ? json() : json(options.bytes)},
      {"partition_bytes", report.partition_bytes == 0 ? json() : json(report.partition_bytes)},
      {"files", report.files == 0 ? json() : json(report.files)},
      {"packets_repaired", report.packets_repaired ? json(*report.packets_repaired) : json()},
      {"floor", report.floor_name.empty() ? json() : json(report.floor_name)},
      {"live_path", report.live_path.empty() ? json() : json(report.live_path)},
      {"device", report.device.empty() ? json() : json(report.device)},
      {"memory", report.memory.empty() ? json() : json(report.memory)},
      {"client_cpu", cpu_or_null(options.client_cpu)},
      {"node_cpu", cpu_or_null(options.node_cpu)},
  };
  for (const char* key :
       {"floor_p50_ns", "floor_p99_ns", "ratio_p50", "ratio_p99", "floor_bytes_per_s",
        "ratio_bytes_per_s", "memory_records_per_s", "limit_records_per_s", "ratio_limit",
        "unsorted_records_per_s", "ratio_unsorted_rate", "ratio_unsorted_p99", "read_bytes_per_s",
        "without_readers_p50_ns", "without_readers_p99_ns", "ratio_without_readers_p99"}) {
    out[key] = nullptr;
  }
  if (compared) {
    out["floor_p50_ns"] = report.floor->latency_ns.quantile(0.5);
    out["floor_p99_ns"] = report.floor->latency_ns.quantile(0.99);
    out["ratio_p50"] = ratio(quantile(report.result, 0.5), quantile(*report.floor, 0.5));
    out["ratio_p99"] = ratio(quantile(report.result, 0.99), quantile(*report.floor, 0.99));
  }
  if (report.floor) {
    out["floor_bytes_per_s"] = report.floor->bytes_per_s();
    out["ratio_bytes_per_s"] = ratio(report.result.bytes_per_s(), report.floor->bytes_per_s());
  }
  add_comparisons(report, out);
  if (report.sequential) out["bytes_per_s"] = report.sequential->bytes_per_s();
  if (report.in_memory) out["memory_records_per_s"] = report.in_memory->count_per_s();
  if (limit) {
    out["limit_records_per_s"] = *limit;
    out["ratio_limit"] = ratio(report.result.count_per_s(), *limit);
  }
  return out;
}

std::string to_table(const Report& report) {
  const BenchOptions& options = report.options;
  std::vector<Row> rows;
  add_latencies(report, rows);
  add_rates(report, rows);
  if (!is_bulk(report) && report.floor) rows.emplace_back("floor", report.floor_name);
  std::string counted = fmt::format("{} in {} rounds", report.result.count, options.rounds);
  if (report.partition_bytes != 0) {
    rows.emplace_back("memory", fmt::format("{} B a partition, whose segments are in {} files",
                                            report.partition_bytes, report.files));
  }
  if (options.verb == Verb::throughput) {
    counted += fmt::format(
        ", {} partitions, batches of {}", options.partitions,
        options.batch_bytes == 0 ? "one packet" : fmt::format("{} B", options.batch_bytes));
  }
  if (options.rate != 0) counted += fmt::format(", {} due a second", options.rate);
  if (report.packets_repaired.value_or(0) > 0) {
    counted += fmt::format(", {} packets sent again", *report.packets_repaired);
  }
  rows.emplace_back("count", counted);
  if (!report.durability.empty()) {
    rows.emplace_back("durability", fmt::format("{} ({})", report.durability, report.device));
  }
  if (!report.live_path.empty()) rows.emplace_back("path", report.live_path);
  if (!report.memory.empty()) rows.emplace_back("memory", report.memory);
  if (!is_at_rest(options.verb)) {
    rows.emplace_back("processors",
                      fmt::format("client {}, {} {}", cpu_text(options.client_cpu),
                                  is_floor(report) ? "echo" : "node", cpu_text(options.node_cpu)));
  }
  std::size_t width = 0;
  for (const auto& [label, text] : rows) width = std::max(width, label.size());
  std::string out = title(report) + "\n";
  for (const auto& [label, text] : rows) out += fmt::format("  {:<{}}  {}\n", label, width, text);
  return out;
}

}  // namespace millrace::bench

#include "perf/loadgen/load_report.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "dataplane/base/units.h"

namespace millrace::loadgen {

using nlohmann::json;

namespace {

double per_s(std::uint64_t count, std::uint64_t ns) {
  return ns == 0 ? 0
                 : static_cast<double>(count) * static_cast<double>(base::second_ns) /
                       static_cast<double>(ns);
}

template <typename Visit>
void visit_buckets(const base::Histogram& histogram, Visit visit) {
  for (std::uint32_t bucket = 0; bucket < base::Histogram::bucket_count; ++bucket) {
    const std::uint64_t count = histogram.count_in_bucket(bucket);
    if (count == 0) continue;
    visit(std::min(base::Histogram::highest_in_bucket(bucket), histogram.max()), count);
  }
}

json latency(const base::Histogram& histogram) {
  if (histogram.count() == 0) return nullptr;
  json buckets = json::array();
  visit_buckets(histogram, [&](std::uint64_t value, std::uint64_t count) {
    buckets.push_back({value, count});
  });
  return {{"count", histogram.count()},
          {"min_ns", histogram.min()},
          {"mean_ns", histogram.mean()},
          {"p50_ns", histogram.quantile(0.5)},
          {"p90_ns", histogram.quantile(0.9)},
          {"p99_ns", histogram.quantile(0.99)},
          {"p999_ns", histogram.quantile(0.999)},
          {"p9999_ns", histogram.quantile(0.9999)},
          {"max_ns", histogram.max()},
          {"buckets", std::move(buckets)}};
}

}  // namespace

bool reached_target(const LoadReport& report) {
  const LoadResult& result = report.result;
  const double wanted = target_share * static_cast<double>(result.due);
  return report.workload.rate == 0 || static_cast<double>(result.sent) >= wanted;
}

json to_json(const LoadReport& report) {
  const Workload& workload = report.workload;
  const LoadResult& result = report.result;
  const json backlog = {{"messages", result.backlog},
                        {"written_per_s", per_s(result.backlog, result.filled_ns)},
                        {"read", result.read_back},
                        {"read_per_s", per_s(result.read_back, result.read_back_ns)},
                        {"left_behind", result.left_behind}};
  return {{"driver", report.driver},
          {"workload",
           {{"payload_bytes", workload.payload_bytes},
            {"partitions", workload.partitions},
            {"rate_per_s", workload.rate},
            {"connections", workload.connections},
            {"subscribers", workload.subscribers},
            {"window", workload.rate == 0 ? json(workload.window) : json(nullptr)},
            {"consumes", workload.consumes},
            {"measured_ns", workload.measured_ns}}},
          {"reached_target", reached_target(report)},
          {"sent_per_s", per_s(result.sent, result.measured_ns)},
          {"acknowledged_per_s", per_s(result.acknowledged, result.measured_ns)},
          {"delivered_per_s", per_s(result.delivered / result.copies, result.measured_ns)},
          {"acknowledged", latency(result.acknowledged_ns)},
          {"delivered", latency(result.delivered_ns)},
          {"copies", result.copies},
          {"backlog", workload.backlog == 0 ? json(nullptr) : backlog},
          {"unacknowledged", result.unacknowledged},
          {"lost", result.lost},
          {"duplicated", result.duplicated},
          {"reordered", result.reordered},
          {"foreign", result.foreign},
          {"client_cpu_s", report.client_cpu_s},
          {"client_run_s", report.client_run_s}};
}

std::string to_hgrm(const base::Histogram& latency_ns) {
  constexpr double ns_per_unit = base::us_ns;
  std::string text = fmt::format("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile",
                                 "TotalCount", "1/(1-Percentile)");
  const auto all = static_cast<double>(latency_ns.count());
  std::uint64_t reached = 0;
  double squares = 0;
  visit_buckets(latency_ns, [&](std::uint64_t value, std::uint64_t count) {
    reached += count;
    const double share = static_cast<double>(reached) / all;
    const double from_mean = static_cast<double>(value) - latency_ns.mean();
    squares += from_mean * from_mean * static_cast<double>(count);
    text += fmt::format("{:12.3f} {:2.12f} {:10}", static_cast<double>(value) / ns_per_unit, share,
                        reached);
    text += reached == latency_ns.count() ? "\n" : fmt::format(" {:14.2f}\n", 1 / (1 - share));
  });
  const double deviation = all == 0 ? 0 : std::sqrt(squares / all);
  text += fmt::format("#[Mean    = {:12.3f}, StdDeviation   = {:12.3f}]\n",
                      latency_ns.mean() / ns_per_unit, deviation / ns_per_unit);
  text += fmt::format("#[Max     = {:12.3f}, Total count    = {:12}]\n",
                      static_cast<double>(latency_ns.max()) / ns_per_unit, latency_ns.count());
  text += fmt::format("#[Buckets = {:12}, SubBuckets     = {:12}]\n",
                      base::Histogram::bucket_count / base::Histogram::sub_buckets,
                      base::Histogram::sub_buckets);
  return text;
}

json to_open_messaging(const LoadReport& report) {
  const Workload& workload = report.workload;
  const LoadResult& result = report.result;
  json out = {{"workload", workload.topic},
              {"driver", report.driver},
              {"messageSize", workload.payload_bytes},
              {"topics", 1},
              {"partitions", workload.partitions},
              {"producersPerTopic", workload.connections},
              {"consumersPerTopic", workload.consumes ? workload.subscribers : 0},
              {"publishRate", json::array({per_s(result.sent, result.measured_ns)})},
              {"publishErrorRate", json::array({per_s(result.unacknowledged, result.measured_ns)})},
              {"consumeRate", json::array({per_s(result.delivered, result.measured_ns)})},
              {"backlog", json::array({result.lost})}};
  const auto add = [&out](const std::string& of, const std::string& aggregated,
                          const base::Histogram& latency_ns) {
    constexpr double ns_per_ms = base::ms_ns;
    const auto ms = [&](double share) {
      return static_cast<double>(latency_ns.quantile(share)) / ns_per_ms;
    };
    json quantiles = json::object();
    const std::array<std::pair<const char*, double>, 6> named = {{{"50pct", 0.5},
                                                                  {"75pct", 0.75},
                                                                  {"95pct", 0.95},
                                                                  {"99pct", 0.99},
                                                                  {"999pct", 0.999},
                                                                  {"9999pct", 0.9999}}};
    for (const auto& [name, share] : named) {
      out[of + "Latency" + name] = json::array({ms(share)});
      out["aggregated" + aggregated + "Latency" + name] = ms(share);
      quantiles[fmt::format("{:.2f}", 100 * share)] = ms(share);
    }
    out[of + "LatencyAvg"] = json::array({latency_ns.mean() / ns_per_ms});
    out[of + "LatencyMax"] = json::array({ms(1)});
    out["aggregated" + aggregated + "LatencyAvg"] = latency_ns.mean() / ns_per_ms;
    out["aggregated" + aggregated + "LatencyMax"] = ms(1);
    out["aggregated" + aggregated + "LatencyQuantiles"] = std::move(quantiles);
  };
  add("publish", "Publish", result.acknowledged_ns);
  add("endToEnd", "EndToEnd", result.delivered_ns);
  return out;
}

}  // namespace millrace::loadgen

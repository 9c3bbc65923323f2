// The metrics page: its form, its names, and that it stays small.
#include "control/metrics/node_metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <sstream>

#include "control/metrics/exposition.h"

namespace millrace::control {
namespace {

struct Page {
  std::map<std::string, std::string> types;  // by family
  std::set<std::string> with_help;
  std::map<std::string, std::string> samples;  // by name and labels
};

Page parse(const std::string& text) {
  Page page;
  std::istringstream lines(text);
  std::string line;
  const std::regex sample(R"(^([a-z_]+)(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? ([0-9.e+-]+)$)");
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string mark, kind, name, rest;
    words >> mark >> kind >> name;
    std::getline(words, rest);
    if (mark == "#" && kind == "HELP") {
      page.with_help.insert(name);
    } else if (mark == "#" && kind == "TYPE") {
      EXPECT_TRUE(page.types.emplace(name, rest.substr(1)).second) << name << " twice";
    } else {
      std::smatch parts;
      const bool is_sample = std::regex_match(line, parts, sample);
      EXPECT_TRUE(is_sample) << line;
      if (!is_sample) continue;
      EXPECT_EQ(page.types.count(parts[1]), 1U) << line << " comes before its TYPE";
      EXPECT_TRUE(page.samples.emplace(parts[1].str() + parts[2].str(), parts[4]).second) << line;
    }
  }
  return page;
}

std::unique_ptr<link::Region> busy_region() {
  auto region = std::make_unique<link::Region>();
  region->port_count.set(2);
  region->core_count.set(2);
  region->shard_count.set(1);
  region->ports[0].path.set("kernel-udp 0.0.0.0:7070");
  region->ports[0].kind.set("kernel-udp");
  region->ports[0].rx_packets.set(10);
  region->ports[1].rx_packets.set(5);
  region->ports[0].delivered[0].set(7);
  region->ports[1].delivered[0].set(4);
  region->ports[0].dropped[static_cast<std::size_t>(base::DropReason::malformed)].set(3);
  region->ports[1].dropped[static_cast<std::size_t>(base::DropReason::bad_magic)].set(1);
  region->shards[0].write_ns_total.set(1'500'000'000);
  region->shards[0].scrub_bad_blocks.set(2);
  return region;
}

TEST(NodeMetrics, every_family_has_help_and_type_and_a_name_by_convention) {
  const Page page = parse(node_metrics(*busy_region(), {}));
  EXPECT_GT(page.types.size(), 30U);
  for (const auto& [name, type] : page.types) {
    EXPECT_EQ(page.with_help.count(name), 1U) << name;
    EXPECT_EQ(name.rfind("millrace_", 0), 0U) << name;
    EXPECT_EQ(name.size() > 6 && name.substr(name.size() - 6) == "_total", type == "counter")
        << name;
  }
}

TEST(NodeMetrics, sums_the_ledger_over_ports_by_delivery_and_by_reason) {
  auto page = parse(node_metrics(*busy_region(), {.is_ready = true, .topics = 3}));
  EXPECT_EQ(page.samples["millrace_delivered_packets_total{to=\"native\"}"], "11");
  EXPECT_EQ(page.samples["millrace_dropped_packets_total{reason=\"malformed\"}"], "3");
  EXPECT_EQ(page.samples["millrace_dropped_packets_total{reason=\"bad_magic\"}"], "1");
  EXPECT_EQ(page.samples["millrace_port_received_packets_total{port=\"1\"}"], "5");
  EXPECT_EQ(page.samples["millrace_shard_write_seconds_total{shard=\"0\"}"], "1.5");
  EXPECT_EQ(page.samples["millrace_shard_scrub_bad_blocks_total{shard=\"0\"}"], "2");
  EXPECT_EQ(page.samples["millrace_ready"], "1");
  EXPECT_EQ(page.samples["millrace_topics"], "3");
}

TEST(NodeMetrics, names_each_drop_reason_also_before_it_happens) {
  const auto region = std::make_unique<link::Region>();
  const Page page = parse(node_metrics(*region, {}));
  const auto reasons = std::count_if(page.samples.begin(), page.samples.end(), [](const auto& one) {
    return one.first.rfind("millrace_dropped_packets_total{", 0) == 0;
  });
  EXPECT_EQ(reasons, static_cast<std::ptrdiff_t>(base::drop_reason_count) - 1);
}

TEST(NodeMetrics, do_not_grow_with_partitions) {
  auto region = busy_region();
  const auto before = parse(node_metrics(*region, {})).samples.size();
  for (std::uint32_t i = 0; i < link::partitions_max; ++i) {
    region->partitions[i].id_plus_one.set(i + 1);
  }
  region->partition_count.set(link::partitions_max);
  EXPECT_EQ(parse(node_metrics(*region, {.topics = 10'000})).samples.size(), before);
}

TEST(NodeMetrics, survive_counts_in_the_region_that_cannot_be) {
  auto region = busy_region();
  region->port_count.set(~0ULL);
  region->core_count.set(1'000'000);
  region->shard_count.set(1'000'000);
  EXPECT_GT(parse(node_metrics(*region, {})).samples.size(), 100U);
}

TEST(Exposition, escapes_label_values) {
  Exposition out;
  out.gauge("millrace_x", "X.");
  out.sample(std::uint64_t{1}, {{"path", "a\"b\\c\nd"}});
  EXPECT_EQ(out.text(),
            "# HELP millrace_x X.\n# TYPE millrace_x gauge\n"
            "millrace_x{path=\"a\\\"b\\\\c\\nd\"} 1\n");
}

}  // namespace
}  // namespace millrace::control

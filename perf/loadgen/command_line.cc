#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <sstream>

#include "control/cli/node_access.h"
#include "dataplane/base/units.h"
#include "perf/bench/options.h"
#include "perf/loadgen/open_messaging.h"
#include "perf/loadgen/options.h"
#include "perf/loadgen/stamp.h"

namespace millrace::loadgen {
namespace {

constexpr std::uint32_t payload_bytes_max = 1024 * 1024 - 256;

std::uint64_t ns_of(double seconds) {
  return static_cast<std::uint64_t>(seconds * static_cast<double>(base::second_ns));
}

int fail(std::string_view message) {
  cli::say_error(message);
  return bench::exit_usage;
}

struct Words {  // that are read once all of them are there
  std::string workload_file;
  std::vector<std::string> settings;
  double warm_up_s = 1;
  double measured_s = 5;
  double fill_s = 600;
  double drain_s = 30;
  bool publish_only = false;
};

void declare(CLI::App& app, LoadgenOptions& to, Words& words) {
  Workload& workload = to.workload;
  app.add_option("--driver", to.driver.name, "Which system; --list names them");
  app.add_flag("--list", to.lists_drivers, "Name the drivers, their addresses and settings");
  app.add_option("--address", to.driver.address, "Where the system listens");
  app.add_option("--set", words.settings, "KEY=VALUE for the driver; may be repeated");
  app.add_option("--workload", words.workload_file,
                 "YAML of the OpenMessaging Benchmark; what else is given here goes before it");
  app.add_option("--topic", workload.topic, "Topic, queue, key ... [a new one]");
  app.add_option("--size", workload.payload_bytes, "Bytes of a message [100]")
      ->check(CLI::Range(stamp_bytes, payload_bytes_max));
  app.add_option("--partitions", workload.partitions, "Or keys, queues, subjects [1]")
      ->check(CLI::Range(1, 100'000));
  app.add_option("--connections", workload.connections, "Producers, which take turns [1]")
      ->check(CLI::Range(1, 100'000));
  app.add_option("--subscribers", workload.subscribers,
                 "Consumers: each gets all, or of a queue its share [1]")
      ->check(CLI::Range(1, 100'000));
  app.add_option("--backlog", workload.backlog,
                 "Messages that are there before and taken out after, for as long as --drain [0]");
  app.add_option("--fill", words.fill_s, "Seconds at most in which a backlog is written [600]")
      ->check(CLI::Range(0.1, 86400.0));
  app.add_option("--rate", workload.rate, "Messages a second; 0: as many as the window lets [0]")
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{1'000'000'000}));
  app.add_option("--window", workload.window, "Without a rate: sent and not yet answered [1024]")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--warm-up", words.warm_up_s, "Seconds that are not counted [1]")
      ->check(CLI::Range(0.0, 3600.0));
  app.add_option("--seconds", words.measured_s, "Seconds that are [5]")
      ->check(CLI::Range(0.01, 86400.0));
  app.add_option("--drain", words.drain_s, "Seconds to wait for what is then still on its way [30]")
      ->check(CLI::Range(0.0, 3600.0));
  app.add_flag("--publish-only", words.publish_only, "Nothing is taken out again");
  app.add_option("--hgrm", to.hgrm_prefix, "Write PREFIX-acknowledged.hgrm, PREFIX-delivered.hgrm");
  app.add_option("--open-messaging", to.open_messaging_out,
                 "Write the result there as the OpenMessaging Benchmark does");
  app.add_option("--cpu", to.cpu, "Processor to run on [any]")->check(CLI::Range(0, 4095));
}

base::Result<Workload> read_workload(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return base::Error(base::ErrorCode::not_found, "cannot read {}", path);
  return read_open_messaging(text.str());
}

}  // namespace

int parse_command_line(int argc, char** argv, LoadgenOptions& options) {
  CLI::App app("Puts load on a messaging system and says how it bore it, as JSON");
  app.name("millrace-loadgen");
  Words words;
  declare(app, options, words);
  CLI11_PARSE(app, argc, argv);
  if (options.lists_drivers) return -1;
  if (options.driver.name.empty()) return fail("--driver is missing; --list names them");
  Workload& workload = options.workload;
  if (!words.workload_file.empty()) {
    const auto read = read_workload(words.workload_file);
    if (!read) return fail(read.error().message());
    if (app.count("--size") == 0) workload.payload_bytes = read->payload_bytes;
    if (app.count("--partitions") == 0) workload.partitions = read->partitions;
    if (app.count("--rate") == 0) workload.rate = read->rate;
    if (app.count("--connections") == 0) workload.connections = read->connections;
    if (app.count("--subscribers") == 0) workload.subscribers = read->subscribers;
    workload.warm_up_ns = read->warm_up_ns;
    workload.measured_ns = read->measured_ns;
  }
  const bool is_own = words.workload_file.empty();
  if (is_own || app.count("--warm-up") != 0) workload.warm_up_ns = ns_of(words.warm_up_s);
  if (is_own || app.count("--seconds") != 0) workload.measured_ns = ns_of(words.measured_s);
  workload.consumes = !words.publish_only;
  options.fill_ns = ns_of(words.fill_s);
  options.drain_ns = ns_of(words.drain_s);
  if (workload.backlog != 0 && workload.subscribers != 1) {
    return fail("--backlog is taken out by one subscriber");
  }
  if (workload.topic.empty()) {
    workload.topic = fmt::format("load{}x{}", ::getpid(), ::time(nullptr));
  }
  for (const std::string& one : words.settings) {
    const std::size_t equals = one.find('=');
    if (equals == std::string::npos) return fail("--set " + one + ": it reads KEY=VALUE");
    options.driver.settings[one.substr(0, equals)] = one.substr(equals + 1);
  }
  return -1;
}

}  // namespace millrace::loadgen

// millrace-control: the control plane. Holds the catalog, answers the admin API, and tells the data
// plane of topics. It may be killed and started again at any time; the data plane serves on.
//
// Threads: main (mailbox, events, signals; wakes 40 times a second) and the admin server's.
// Exit codes: 0 stopped by SIGTERM or SIGINT, 1 failed, 2 usage.
#include <fmt/format.h>
#include <getopt.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "control/admin/admin_server.h"
#include "control/catalog/topic_service.h"
#include "control/config/parse.h"
#include "control/metrics/event_log.h"
#include "dataplane/link/region_file.h"

namespace millrace::control {
namespace {

constexpr long turn_ns = 25'000'000;
constexpr auto stop_wait = std::chrono::milliseconds(500);

struct Options {
  std::string link_path;
  std::string catalog_path;
  std::string data_directory;
  std::string admin_address = "127.0.0.1";
  int admin_port = 9644;
  int up_pid = 0;
  bool auto_create_topics = false;
  std::vector<TopicRequest> ensured;
};

constexpr const char* usage =
    "usage: millrace-control --link PATH --catalog PATH [--data DIR] [--admin-address ADDRESS]\n"
    "         [--admin-port PORT] [--up-pid PID] [--auto-create-topics]\n"
    "         [--ensure-topic NAME:PARTITIONS]...\n";

template <typename... Args>
void say(fmt::format_string<Args...> format, Args&&... args) {
  fmt::print(stderr, "millrace-control: {}\n", fmt::format(format, std::forward<Args>(args)...));
}

[[noreturn]] void refuse_usage(std::string_view why) {
  say("{}", why);
  fmt::print(stderr, "{}", usage);
  std::exit(2);
}

int number_of(const char* text, std::uint64_t max, const char* what) {
  const auto number = parse_whole(text, max);
  if (!number) refuse_usage(fmt::format("{}: {}", what, number.error().message()));
  return static_cast<int>(*number);
}

TopicRequest ensured_topic_of(const std::string& text) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) refuse_usage("--ensure-topic takes NAME:PARTITIONS");
  const auto count =
      number_of(text.c_str() + colon + 1, partitions_per_topic_max, "--ensure-topic");
  return {.name = text.substr(0, colon), .partition_count = static_cast<std::uint32_t>(count)};
}

Options parse_options(int argc, char** argv) {
  static constexpr option known[] = {{"link", required_argument, nullptr, 'l'},
                                     {"catalog", required_argument, nullptr, 'c'},
                                     {"data", required_argument, nullptr, 'd'},
                                     {"admin-address", required_argument, nullptr, 'a'},
                                     {"admin-port", required_argument, nullptr, 'p'},
                                     {"up-pid", required_argument, nullptr, 'u'},
                                     {"auto-create-topics", no_argument, nullptr, 't'},
                                     {"ensure-topic", required_argument, nullptr, 'e'},
                                     {"help", no_argument, nullptr, 'h'},
                                     {"version", no_argument, nullptr, 'v'},
                                     {nullptr, 0, nullptr, 0}};
  Options options;
  int letter = 0;
  while ((letter = getopt_long(argc, argv, "", known, nullptr)) != -1) {
    if (letter == 'l') options.link_path = optarg;
    if (letter == 'c') options.catalog_path = optarg;
    if (letter == 'd') options.data_directory = optarg;
    if (letter == 'a') options.admin_address = optarg;
    if (letter == 'p') options.admin_port = number_of(optarg, 65535, "--admin-port");
    if (letter == 'u') options.up_pid = number_of(optarg, 1 << 30, "--up-pid");
    if (letter == 't') options.auto_create_topics = true;
    if (letter == 'e') options.ensured.push_back(ensured_topic_of(optarg));
    if (letter == 'v') {
      fmt::print("millrace-control {}\n", MILLRACE_VERSION);
      std::exit(0);
    }
    if (letter == 'h') {
      fmt::print("{}", usage);
      std::exit(0);
    }
    if (letter == '?') refuse_usage("unknown option");
  }
  if (optind < argc) refuse_usage(fmt::format("unexpected argument {}", argv[optind]));
  if (options.link_path.empty()) refuse_usage("--link is missing");
  if (options.catalog_path.empty()) refuse_usage("--catalog is missing");
  return options;
}

// One turn: events first, since a wish for a topic becomes a message.
void turn(link::Region& region, TopicService& topics, EventLog& events, const Options& options) {
  events.drain(
      region,
      [](const LoggedEvent& event) {
        say("{} on core {}: {} (partition {}, offsets {} to {})", event.kind, event.core,
            event.text, event.partition, event.first_offset, event.last_offset);
      },
      [&](std::string_view name) {
        if (!options.auto_create_topics) return;
        const auto ensured = topics.ensure_topic({.name = std::string(name)});
        if (!ensured) say("cannot create the wanted topic: {}", ensured.error().message());
      });
  if (const auto pumped = topics.pump(); !pumped) say("{}", pumped.error().message());
}

int run(const Options& options) {
  sigset_t stop_signals;
  sigemptyset(&stop_signals);
  sigaddset(&stop_signals, SIGTERM);
  sigaddset(&stop_signals, SIGINT);
  sigprocmask(SIG_BLOCK, &stop_signals, nullptr);  // before any thread, which inherits it
  signal(SIGPIPE, SIG_IGN);

  auto mapping = link::RegionFile::open_or_create(options.link_path);
  if (!mapping) return say("{}", mapping.error().message()), 1;
  link::Region& region = mapping->region();
  auto catalog = Catalog::open(options.catalog_path);
  if (!catalog) return say("{}", catalog.error().message()), 1;
  TopicService topics(std::move(*catalog), region);
  for (const auto& request : options.ensured) {
    const auto ensured = topics.ensure_topic(request);
    if (!ensured) return say("topic {}: {}", request.name, ensured.error().message()), 1;
  }
  EventLog events;
  Node node{region, topics, events, options.data_directory, options.up_pid};
  auto server = AdminServer::start(node, options.admin_address, options.admin_port);
  if (!server) return say("{}", server.error().message()), 1;
  region.control_pid.set(static_cast<std::uint64_t>(getpid()));

  const timespec turn_time{0, turn_ns};
  while (sigtimedwait(&stop_signals, nullptr, &turn_time) < 0) {
    turn(region, topics, events, options);
  }
  region.control_pid.set(0);
  // Each change was on disk before it was answered, so what is cut short here loses nothing.
  if (!server->stop(stop_wait)) _exit(0);
  return 0;
}

}  // namespace
}  // namespace millrace::control

int main(int argc, char** argv) {
  return millrace::control::run(millrace::control::parse_options(argc, argv));
}

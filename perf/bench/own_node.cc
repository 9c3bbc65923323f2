// OwnNode: see own_node.h.
#include "perf/bench/own_node.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "control/cli/programs.h"
#include "control/cli/up_plan.h"
#include "control/config/node_config.h"
#include "control/metrics/liveness.h"
#include "perf/bench/cpus.h"
#include "perf/bench/interrupt.h"

namespace millrace::bench {

using base::Error;
using base::ErrorCode;
using std::chrono::steady_clock;

namespace {

constexpr auto ready_wait = std::chrono::seconds(300);  // a journal of many GiB on a slow disk
constexpr auto stop_wait = std::chrono::seconds(9);
constexpr auto look_every = std::chrono::milliseconds(5);
constexpr int offset_first = 20'000;
constexpr int offset_count = 10'000;
constexpr std::string_view second_node_ip = ",ip=192.168.78.1";
constexpr std::string_view second_client_ip = ",ip=192.168.78.2,server=192.168.78.1:7070";

bool port_free(int kind, int port) {
  const int fd = socket(AF_INET, kind | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool bound = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return bound;
}

base::Result<int> free_port_offset() {
  for (int i = 0; i < offset_count; ++i) {
    const int offset = offset_first + (getpid() + i) % offset_count;
    if (port_free(SOCK_DGRAM, control::native_port_default + offset) &&
        port_free(SOCK_STREAM, control::admin_port_default + offset)) {
      return offset;
    }
  }
  return Error(ErrorCode::unavailable, "no free ports from {} on",
               control::native_port_default + offset_first);
}

std::string memif_spec(const OwnNodeOptions& options, std::string_view socket) {
  return fmt::format("memif:socket={}/{}{}{}", options.directory, socket,
                     options.memif_options.empty() ? "" : ",", options.memif_options);
}

cli::UpOptions up_options(const OwnNodeOptions& options) {
  cli::UpOptions up;
  up.memory_only = options.memory_only;
  if (!options.memory_only) up.data = options.directory + "/data";
  if (options.path == Path::udp) {
    up.ports = {fmt::format("udp:127.0.0.1:{}", control::native_port_default)};
  } else {
    up.ports = {memif_spec(options, "memif.sock")};
    if (options.two_ports)
      up.ports.push_back(memif_spec(options, "second.sock") + std::string(second_node_ip));
  }
  up.profile = options.laptop ? "laptop" : "dedicated";
  if (options.cpu != cpu_any) up.cores = fmt::format("{}", options.cpu);
  up.journal_size = fmt::format("{}B", options.journal_bytes);
  return up;
}

base::Result<cli::Child> make_child(const char* name, std::vector<std::string> arguments) {
  auto path = cli::find_program(name, "");
  if (!path) return path.error();
  arguments.insert(arguments.begin(), *path);
  return cli::Child(name, std::move(arguments));
}

}  // namespace

base::Result<std::unique_ptr<OwnNode>> OwnNode::start(const OwnNodeOptions& options,
                                                      Progress& progress) {
  const auto offset = free_port_offset();
  if (!offset) return offset.error();
  auto plan = cli::plan_up(up_options(options), {.port_offset = *offset, .has_port_offset = true});
  if (!plan) return plan.error();
  auto region = link::RegionFile::create_anonymous();
  if (!region) return region.error();
  if (auto shared = region->make_inheritable(); !shared) return shared.error();
  const std::string link_path = region->path_for_children();
  auto& data_arguments = plan->data_plane_arguments;
  data_arguments.insert(data_arguments.end(), {"--link", link_path, "--prepare-journal"});
  auto& control_arguments = plan->control_arguments;
  control_arguments.insert(control_arguments.end(),
                           {"--link", link_path, "--catalog", options.directory + "/catalog.sqlite",
                            "--up-pid", fmt::format("{}", getpid())});
  auto data_plane = make_child("millraced", data_arguments);
  if (!data_plane) return data_plane.error();
  auto control = make_child("millrace-control", control_arguments);
  if (!control) return control.error();
  std::unique_ptr<OwnNode> node(
      new OwnNode(std::move(*region), std::move(*data_plane), std::move(*control), *offset));
  node->address_ = node->second_address_ =
      options.path == Path::udp
          ? fmt::format("127.0.0.1:{}", control::native_port_default + *offset)
          : memif_spec(options, "memif.sock");
  if (options.path == Path::memif && options.two_ports) {
    node->second_address_ = memif_spec(options, "second.sock") + std::string(second_client_ip);
  }
  if (auto started = node->data_plane_.start(); !started) return started.error();
  if (auto started = node->control_.start(); !started) return started.error();
  if (auto waited = node->wait_until_ready(progress); !waited) return waited.error();
  return node;
}

bool OwnNode::ready() {
  const link::Region& region = region_.region();
  return region.pid.get() == static_cast<std::uint64_t>(data_plane_.pid()) &&
         region.control_pid.get() == static_cast<std::uint64_t>(control_.pid()) &&
         control::data_plane_state(region) == "ready" && region.catalog_ready.get() == 1;
}

base::Result<void> OwnNode::wait_until_ready(Progress& progress) {
  const auto give_up = steady_clock::now() + ready_wait;
  while (!ready()) {
    for (cli::Child* child : {&data_plane_, &control_}) {
      int status = 0;
      if (!child->reap(status)) continue;
      return Error(ErrorCode::unavailable, "{} ended with {}: {}", child->name(),
                   cli::exit_text(status), child->last_line());
    }
    if (interrupted()) return Error(ErrorCode::unavailable, "interrupted");
    if (steady_clock::now() >= give_up) {
      return Error(ErrorCode::timeout, "the node was not ready within {} s", ready_wait.count());
    }
    progress.step("starting a node and preparing its journal");
    std::this_thread::sleep_for(look_every);
  }
  return {};
}

OwnNode::~OwnNode() {
  const auto give_up = steady_clock::now() + stop_wait;
  for (cli::Child* child : {&data_plane_, &control_}) {
    child->signal(SIGCONT);
    child->signal(SIGTERM);
  }
  int status = 0;
  while ((data_plane_.is_running() || control_.is_running()) && steady_clock::now() < give_up) {
    data_plane_.reap(status);
    control_.reap(status);
    std::this_thread::sleep_for(look_every);
  }
}

}  // namespace millrace::bench

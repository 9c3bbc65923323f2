// The verb `up`: both planes as children of this process, watched until it is told to stop.
//
// The planes meet in a memory file that they inherit, so nothing of it is left behind and a restart
// of either finds the other's side as it was.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "control/cli/data_directory.h"
#include "control/cli/node_access.h"
#include "control/cli/programs.h"
#include "control/cli/supervisor.h"
#include "control/cli/up_plan.h"
#include "control/cli/verbs.h"
#include "control/metrics/liveness.h"
#include "dataplane/link/region_file.h"

namespace millrace::cli {

using base::Error;
using base::ErrorCode;
using base::Result;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

constexpr milliseconds turn_wait{250};  // when nothing happens
constexpr milliseconds turn_wait_starting{10};
constexpr auto quiet = std::chrono::seconds(1);  // before progress is told
constexpr auto note_every = std::chrono::seconds(2);
constexpr milliseconds stop_wait{9'000};
constexpr const char* data_plane_name = "millraced";
constexpr const char* control_name = "millrace-control";

struct Running {
  UpPlan plan;
  link::Region& region;
  Supervisor supervisor;
};

Result<Child> child_of(const char* name, const UpOptions& options,
                       const std::vector<std::string>& arguments) {
  auto path = find_program(name, options.programs);
  if (!path) return path.error();
  std::vector<std::string> command = {*path};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return Child(name, std::move(command));
}

Result<Supervisor> start_planes(const UpOptions& options, const UpPlan& plan,
                                const link::RegionFile& region_file,
                                const std::string& catalog_path) {
  const std::vector<std::string> link = {"--link", region_file.path_for_children()};
  auto data_arguments = plan.data_plane_arguments;
  data_arguments.insert(data_arguments.end(), link.begin(), link.end());
  auto control_arguments = plan.control_arguments;
  control_arguments.insert(control_arguments.end(), link.begin(), link.end());
  control_arguments.insert(control_arguments.end(),
                           {"--catalog", catalog_path, "--up-pid", fmt::format("{}", getpid())});
  std::vector<Child> children;
  auto data_plane = child_of(data_plane_name, options, data_arguments);
  if (!data_plane) return data_plane.error();
  children.push_back(std::move(*data_plane));
  auto control = child_of(control_name, options, control_arguments);
  if (!control) return control.error();
  children.push_back(std::move(*control));
  return Supervisor::start(std::move(children));
}

// control_pid is set once the admin port answers, catalog_ready once every core has the topics.
bool is_node_ready(const Running& running) {
  const link::Region& region = running.region;
  const auto pid_is = [&](const base::Counter& counter, const char* name) {
    const pid_t pid = running.supervisor.pid_of(name);
    return pid > 0 && counter.get() == static_cast<std::uint64_t>(pid);
  };
  return pid_is(region.pid, data_plane_name) && pid_is(region.control_pid, control_name) &&
         control::data_plane_state(region) == "ready" && region.catalog_ready.get() == 1;
}

void say_progress(const Running& running) {
  const link::Region& region = running.region;
  const auto total = region.recovery_bytes_total.get();
  const auto state = control::data_plane_state(region);
  if (state == "recovering" && total > 0) {
    const auto done = region.recovery_bytes_done.get();
    say_note(fmt::format("recovering: {} of {} MiB of the journal read ({} %)", done >> 20,
                         total >> 20, done * 100 / total));
  } else {
    say_note(fmt::format("starting: data plane {}{}", state,
                         region.control_pid.get() == 0 ? ", control plane starting" : ""));
  }
}

void print_ready_json(const Running& running) {
  print_json(
      {{"ready", true},
       {"pids",
        {{"up", getpid()},
         {data_plane_name, running.supervisor.pid_of(data_plane_name)},
         {control_name, running.supervisor.pid_of(control_name)}}},
       {"ports", running.plan.port_specs},
       {"admin", fmt::format("http://{}:{}", running.plan.admin_address, running.plan.admin_port)},
       {"data",
        running.plan.memory_only ? nlohmann::json() : nlohmann::json(running.plan.data_directory)},
       {"durability", running.region.durability.get()}});
}

void print_ready(const Running& running, const Globals& globals) {
  const UpPlan& plan = running.plan;
  if (globals.output == OutputFormat::json) {
    print_ready_json(running);
  } else {
    const std::string data =
        plan.memory_only ? "in memory only, gone when this stops" : plan.data_directory;
    fmt::print("Millrace is ready.\n\n  data   {}", data);
    if (!running.region.durability.get().empty()) {
      fmt::print(" (durability: {})", running.region.durability.get());
    }
    for (const auto& spec : plan.port_specs) fmt::print("\n  port   {}", spec);
    fmt::print("\n  admin  http://{}:{}\n\n", plan.admin_address, plan.admin_port);
    const std::string program =
        globals.program.find('/') == std::string::npos ? "millrace" : globals.program;
    const std::string offset =
        plan.port_offset == 0 ? "" : fmt::format(" --port-offset {}", plan.port_offset);
    fmt::print("Next, in another terminal:\n\n");
    fmt::print("  {}{} topic create events\n", program, offset);
    fmt::print("  echo hello | {}{} produce events\n", program, offset);
    fmt::print("  {}{} consume events --from earliest\n", program, offset);
    fmt::print("  {}{} status\n\n", program, offset);
    fmt::print("Ctrl-C stops the node.\n");
  }
  std::fflush(stdout);
}

int stop_planes(Running& running) {
  const auto began = steady_clock::now();
  const bool is_clean = running.supervisor.stop(stop_wait);
  if (is_clean && steady_clock::now() - began > quiet) say_note("stopped");
  return is_clean ? exit_ok : exit_failed;
}

int watch(Running& running, const Globals& globals) {
  auto next_note = steady_clock::now() + quiet;
  bool was_ready = false;
  while (true) {
    const auto outcome = running.supervisor.turn(was_ready ? turn_wait : turn_wait_starting);
    if (outcome == Supervisor::Outcome::stop_asked) return stop_planes(running);
    if (outcome == Supervisor::Outcome::gave_up) {
      running.supervisor.stop(stop_wait);
      say_error(running.supervisor.last_error());
      return exit_failed;
    }
    if (was_ready) continue;
    if (is_node_ready(running)) {
      was_ready = true;
      running.supervisor.node_became_ready();
      print_ready(running, globals);
    } else if (steady_clock::now() >= next_note) {
      say_progress(running);
      next_note = steady_clock::now() + note_every;
    }
  }
}

}  // namespace

int run_up(const UpOptions& options, const Globals& globals) {
  auto plan = plan_up(options, globals);
  if (!plan) {
    say_error(plan.error().message());
    return exit_usage;
  }
  auto directory = plan->memory_only ? DataDirectory::create_temporary()
                                     : DataDirectory::open(plan->data_directory);
  if (!directory) return say_error(directory.error().message()), exit_failed;
  auto region_file = link::RegionFile::create_anonymous();
  if (!region_file) return say_error(region_file.error().message()), exit_failed;
  if (const auto shared = region_file->make_inheritable(); !shared) {
    return say_error(shared.error().message()), exit_failed;
  }
  auto supervisor =
      start_planes(options, *plan, *region_file, directory->path() + "/catalog.sqlite");
  if (!supervisor) return say_error(supervisor.error().message()), exit_failed;
  Running running{std::move(*plan), region_file->region(), std::move(*supervisor)};
  return watch(running, globals);
}

}  // namespace millrace::cli

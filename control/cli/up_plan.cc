// UpPlan: see up_plan.h.
#include "control/cli/up_plan.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "control/config/node_config.h"
#include "control/config/parse.h"

namespace millrace::cli {

using base::Error;
using base::ErrorCode;
using base::Result;
using control::NodeConfig;

namespace {

Error flag_error(std::string_view flag, const Error& error) {
  return Error(ErrorCode::invalid_argument, "{}: {}", flag, error.message());
}

Result<void> take_size(const std::string& text, std::string_view flag,
                       Result<void> (*check)(std::uint64_t), std::optional<std::uint64_t>& field) {
  if (text.empty()) return {};
  const auto bytes = control::parse_bytes(text);
  if (!bytes) return flag_error(flag, bytes.error());
  if (const auto checked = check(*bytes); !checked) return flag_error(flag, checked.error());
  field = *bytes;
  return {};
}

// What the flags say, over what the file said.
Result<void> apply_flags(const UpOptions& options, const Globals& globals, NodeConfig& config) {
  if (!options.data.empty() && options.memory_only) {
    return Error(ErrorCode::invalid_argument, "--data and --memory-only exclude each other");
  }
  if (!options.data.empty()) config.data = options.data, config.memory_only = false;
  if (options.memory_only) config.memory_only = true;
  if (globals.has_port_offset) config.port_offset = globals.port_offset;
  if (!options.profile.empty()) {
    if (const auto ok = control::check_profile(options.profile); !ok) {
      return flag_error("--profile", ok.error());
    }
    config.profile = options.profile;
  }
  if (!options.cores.empty()) {
    if (const auto ok = control::parse_cores(options.cores); !ok) {
      return flag_error("--cores", ok.error());
    }
    config.cores = options.cores;
  }
  if (options.max_sessions) config.sessions_max = options.max_sessions;
  if (!options.ports.empty()) {
    for (const auto& spec : options.ports) {
      const auto ok = control::check_port_spec(spec);
      if (!ok) return flag_error("--port", ok.error());
    }
    config.ports = options.ports;
  }
  if (!options.listeners.empty()) {
    config.listeners.clear();
    for (const auto& text : options.listeners) {
      const auto listener = control::parse_listener(text);
      if (!listener) return flag_error("--listen", listener.error());
      config.listeners.push_back(*listener);
    }
  }
  if (const auto ok = take_size(options.journal_size, "--journal-size",
                                control::check_journal_bytes, config.journal_bytes);
      !ok) {
    return ok;
  }
  if (const auto ok = take_size(options.data_max, "--data-max", control::check_data_bytes,
                                config.data_bytes_max);
      !ok) {
    return ok;
  }
  if (const auto ok = take_size(options.disk_reserve, "--disk-reserve", control::check_data_bytes,
                                config.disk_reserve_bytes);
      !ok) {
    return ok;
  }
  if (const auto ok = take_size(options.scrub_rate, "--scrub-rate", control::check_scrub_rate,
                                config.scrub_bytes_per_s);
      !ok) {
    return ok;
  }
  return take_size(options.tail_size, "--tail-size", control::check_tail_bytes, config.tail_bytes);
}

Result<void> plan_ports(const UpOptions& options, const NodeConfig& config, UpPlan& plan) {
  std::vector<std::string> specs = config.ports;
  const std::string bind = options.bind.empty() ? "127.0.0.1" : options.bind;
  if (!options.bind.empty() && !options.ports.empty()) {
    return Error(ErrorCode::invalid_argument,
                 "--bind is the address of the default port; with --port write it there");
  }
  if (specs.empty() || !options.bind.empty()) {
    specs = {fmt::format("udp:{}:{}", bind, control::native_port_default)};
    if (const auto ok = control::check_port_spec(specs.front()); !ok) {
      return flag_error("--bind", ok.error());
    }
  }
  for (const auto& spec : specs) {
    auto shifted = control::shifted_port_spec(spec, plan.port_offset);
    if (!shifted) return shifted.error();
    plan.port_specs.push_back(std::move(*shifted));
  }
  plan.admin_address = config.admin_address;
  plan.admin_port = config.admin_port + plan.port_offset;
  if (plan.admin_port > 65'535) {
    return Error(ErrorCode::invalid_argument,
                 "admin port {} shifted by port offset {} is past 65535", config.admin_port,
                 plan.port_offset);
  }
  for (const auto& listener : config.listeners) {
    if (listener.port + plan.port_offset > 65'535) {
      return Error(ErrorCode::invalid_argument,
                   "listener port {} shifted by port offset {} is past 65535", listener.port,
                   plan.port_offset);
    }
  }
  return {};
}

void plan_arguments(const NodeConfig& config, UpPlan& plan) {
  auto& data = plan.data_plane_arguments;
  if (plan.memory_only) {
    data.emplace_back("--memory-only");
  } else {
    data.insert(data.end(), {"--data", plan.data_directory});
  }
  for (const auto& spec : plan.port_specs) data.insert(data.end(), {"--port", spec});
  auto& control = plan.control_arguments;
  for (const auto& listener : config.listeners) {
    data.insert(data.end(), {"--listen", control::listener_flag(listener, plan.port_offset)});
    control.insert(control.end(), {"--ensure-topic",
                                   fmt::format("{}:{}", listener.topic, listener.partition_count)});
  }
  if (config.cores) data.insert(data.end(), {"--cores", *config.cores});
  if (config.profile) data.insert(data.end(), {"--profile", *config.profile});
  if (config.sessions_max) {
    data.insert(data.end(), {"--max-sessions", fmt::format("{}", *config.sessions_max)});
  }
  if (config.journal_bytes) {
    data.insert(data.end(), {"--journal-size", fmt::format("{}", *config.journal_bytes)});
  }
  if (config.data_bytes_max) {
    data.insert(data.end(), {"--data-max", fmt::format("{}", *config.data_bytes_max)});
  }
  if (config.disk_reserve_bytes) {
    data.insert(data.end(), {"--disk-reserve", fmt::format("{}", *config.disk_reserve_bytes)});
  }
  if (config.scrub_bytes_per_s) {
    data.insert(data.end(), {"--scrub-rate", fmt::format("{}", *config.scrub_bytes_per_s)});
  }
  if (config.tail_bytes) {
    data.insert(data.end(), {"--tail-size", fmt::format("{}", *config.tail_bytes)});
  }
  if (!plan.memory_only) control.insert(control.end(), {"--data", plan.data_directory});
  control.insert(control.end(), {"--admin-address", plan.admin_address, "--admin-port",
                                 fmt::format("{}", plan.admin_port)});
  if (config.auto_create_topics) control.emplace_back("--auto-create-topics");
}

}  // namespace

Result<UpPlan> plan_up(const UpOptions& options, const Globals& globals) {
  NodeConfig config;
  if (!options.config.empty()) {
    auto loaded = control::load_node_config(options.config);
    if (!loaded) return loaded.error();
    config = std::move(*loaded);
  }
  if (const auto applied = apply_flags(options, globals, config); !applied) return applied.error();

  UpPlan plan;
  plan.port_offset = config.port_offset.value_or(0);
  plan.memory_only = config.memory_only.value_or(false);
  if (const auto planned = plan_ports(options, config, plan); !planned) return planned.error();
  if (!plan.memory_only) {
    auto directory =
        config.data ? Result<std::string>(*config.data) : default_data_directory(plan.port_offset);
    if (!directory) return directory.error();
    plan.data_directory = std::filesystem::absolute(*directory).lexically_normal().string();
  }
  plan_arguments(config, plan);
  return plan;
}

Result<std::string> default_data_directory(int port_offset) {
  const std::string name = port_offset == 0 ? "millrace" : fmt::format("millrace-{}", port_offset);
  if (geteuid() == 0) return "/var/lib/" + name;
  const char* data_home = std::getenv("XDG_DATA_HOME");
  if (data_home != nullptr && data_home[0] == '/') return fmt::format("{}/{}", data_home, name);
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/') return fmt::format("{}/.local/share/{}", home, name);
  return Error(ErrorCode::invalid_argument,
               "HOME is not set, so there is no place for the data: give --data DIR");
}

}  // namespace millrace::cli

#include "dataplane/core/options.h"

#include <bit>
#include <charconv>
#include <optional>
#include <string_view>

#include "dataplane/base/units.h"

namespace millrace::core {
namespace {

using base::Error;
using base::ErrorCode;

std::optional<std::uint64_t> parse_u64(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

base::Result<std::vector<std::uint32_t>> parse_cpus(std::string_view text) {
  std::vector<std::uint32_t> cpus;
  while (!text.empty()) {
    const auto comma = text.find(',');
    const auto cpu = parse_u64(text.substr(0, comma));
    if (!cpu || *cpu > 4095) {
      return Error(ErrorCode::invalid_argument, "--cores '{}': a list of CPU numbers, such as 0,1",
                   text);
    }
    cpus.push_back(static_cast<std::uint32_t>(*cpu));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  if (cpus.size() > 16) return Error(ErrorCode::invalid_argument, "--cores: at most 16");
  return cpus;
}

// Journal and tail are powers of two, so that a place in them is a mask of a position.
base::Result<std::uint64_t> parse_bytes(std::string_view flag, std::string_view text,
                                        std::uint64_t least) {
  const auto bytes = parse_u64(text);
  if (!bytes || *bytes < least || !std::has_single_bit(*bytes)) {
    return Error(ErrorCode::invalid_argument, "{} {}: a power of two of at least {} bytes", flag,
                 text, least);
  }
  return *bytes;
}

base::Result<void> apply(NodeOptions& options, std::string_view flag, const std::string& value) {
  if (flag == "--data") {
    options.data_directory = value;
  } else if (flag == "--link") {
    options.link_path = value;
  } else if (flag == "--port") {
    options.ports.push_back(value);
  } else if (flag == "--listen") {
    options.listeners.push_back(value);
  } else if (flag == "--cores") {
    auto cpus = parse_cpus(value);
    if (!cpus) return cpus.error();
    options.cpus = *cpus;
  } else if (flag == "--profile") {
    if (value != "laptop" && value != "dedicated") {
      return Error(ErrorCode::invalid_argument, "--profile {}: laptop or dedicated", value);
    }
    options.profile = value == "laptop" ? Profile::laptop : Profile::dedicated;
  } else if (flag == "--journal-size") {
    auto bytes = parse_bytes(flag, value, 32 * base::mib);
    if (!bytes) return bytes.error();
    options.journal_bytes = *bytes;
  } else if (flag == "--tail-size") {
    auto bytes = parse_bytes(flag, value, 16 * base::mib);
    if (!bytes) return bytes.error();
    options.tail_bytes = *bytes;
  } else if (flag == "--data-max" || flag == "--disk-reserve" || flag == "--scrub-rate") {
    const auto bytes = parse_u64(value);
    if (!bytes) {
      return Error(ErrorCode::invalid_argument, "{} {}: a number of bytes", flag, value);
    }
    (flag == "--data-max"       ? options.data_bytes_max
     : flag == "--disk-reserve" ? options.disk_reserve_bytes
                                : options.scrub_bytes_per_s) = *bytes;
  } else if (flag == "--max-partitions" || flag == "--max-sessions") {
    const auto count = parse_u64(value);
    if (!count || *count == 0 || *count > 32768) {
      return Error(ErrorCode::invalid_argument, "{} {}: 1 to 32768", flag, value);
    }
    (flag == "--max-partitions" ? options.partitions_max : options.sessions_max) =
        static_cast<std::uint32_t>(*count);
  } else if (flag == "--record-disk") {
    options.recording_directory = value;
  } else {
    return Error(
        ErrorCode::invalid_argument,
        "unknown flag {}; known are --data --memory-only --link --port --listen --cores --profile "
        "--journal-size --tail-size --data-max --disk-reserve --scrub-rate --max-partitions "
        "--max-sessions --prepare-journal --record-disk",
        flag);
  }
  return {};
}

}  // namespace

base::Result<NodeOptions> parse_options(const std::vector<std::string>& arguments) {
  NodeOptions options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string_view flag = arguments[i];
    if (flag == "--memory-only") {
      options.memory_only = true;
      continue;
    }
    if (flag == "--prepare-journal") {
      options.prepare_whole_journal = true;
      continue;
    }
    std::string value;
    if (const auto equals = flag.find('=');
        equals != std::string_view::npos && flag.starts_with("--")) {
      value = flag.substr(equals + 1);
      flag = flag.substr(0, equals);
    } else if (i + 1 < arguments.size()) {
      value = arguments[++i];
    } else {
      return Error(ErrorCode::invalid_argument, "{} needs a value", flag);
    }
    if (auto applied = apply(options, flag, value); !applied) return applied.error();
  }
  if (options.link_path.empty())
    return Error(ErrorCode::invalid_argument, "--link PATH is missing");
  if (options.data_directory.empty() != options.memory_only) {
    return Error(ErrorCode::invalid_argument, "either --data DIR or --memory-only");
  }
  if (options.ports.empty())
    return Error(ErrorCode::invalid_argument, "at least one --port is needed");
  if (options.tail_bytes > options.journal_bytes) {
    return Error(ErrorCode::invalid_argument, "--tail-size is larger than --journal-size");
  }
  return options;
}

}  // namespace millrace::core

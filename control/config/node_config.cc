// NodeConfig from TOML; see node_config.h. toml++ is included here and nowhere else.
#include "control/config/node_config.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>
#include <utility>

#include "control/catalog/topic.h"
#include "control/config/parse.h"

namespace millrace::control {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

// Walks one table and keeps the first error with its place.
class TableReader {
 public:
  using Take = std::function<Result<void>(const toml::node&)>;

  TableReader(const toml::table& table, std::string where, const std::string& file)
      : table_(table), where_(std::move(where)), file_(file) {}

  TableReader& key(std::string_view name, const Take& take) {
    known_.emplace_back(name);
    if (const auto* node = table_.get(name); node != nullptr && !error_) {
      if (const auto taken = take(*node); !taken) fail(*node, name, taken.error().message());
    }
    return *this;
  }
  TableReader& required(std::string_view name, const Take& take) {
    if (!table_.contains(name) && !error_) fail(table_, name, "is missing");
    return key(name, take);
  }

  // Every key must have been named.
  Result<void> finish() {
    for (const auto& [key, node] : table_) {
      if (error_) break;
      if (std::find(known_.begin(), known_.end(), key.str()) == known_.end()) {
        std::string names;
        for (const auto& name : known_) names += (names.empty() ? "" : ", ") + name;
        const auto& place = key.source().begin;
        error_ = Error(ErrorCode::invalid_argument, "{}:{}:{}: unknown key \"{}\" in {}; known: {}",
                       file_, place.line, place.column, key.str().substr(0, 60), where_, names);
      }
    }
    if (error_) return *error_;
    return {};
  }

 private:
  void fail(const toml::node& node, std::string_view name, std::string_view why) {
    const auto& place = node.source().begin;
    error_ = Error(ErrorCode::invalid_argument, "{}:{}:{}: {} {}: {}", file_, place.line,
                   place.column, where_, name, why);
  }

  const toml::table& table_;
  std::string where_;
  const std::string& file_;
  std::vector<std::string> known_;
  std::optional<Error> error_;
};

Error wrong_type(std::string_view expected) {
  return Error(ErrorCode::invalid_argument, "must be {}", expected);
}

using Check = std::function<Result<void>(const std::string&)>;

template <typename Field>
TableReader::Take text(
    Field& field, Check check = [](const std::string&) { return Result<void>(); }) {
  return [&field, check = std::move(check)](const toml::node& node) -> Result<void> {
    const auto value = node.value_exact<std::string>();
    if (!value) return wrong_type("a string in quotes");
    field = *value;
    return check(*value);
  };
}

template <typename Field>
TableReader::Take boolean(Field& field) {
  return [&field](const toml::node& node) -> Result<void> {
    const auto value = node.value_exact<bool>();
    if (!value) return wrong_type("true or false");
    field = *value;
    return {};
  };
}

template <typename Field>
TableReader::Take whole(Field& field, std::int64_t min, std::int64_t max) {
  return [&field, min, max](const toml::node& node) -> Result<void> {
    const auto value = node.value_exact<std::int64_t>();
    if (!value || *value < min || *value > max) {
      return Error(ErrorCode::invalid_argument, "must be a whole number from {} to {}", min, max);
    }
    // All limits here are under 65,536, whatever the field's type.
    field = static_cast<std::uint16_t>(*value);
    return {};
  };
}

TableReader::Take size(std::optional<std::uint64_t>& field,
                       Result<void> (*check)(std::uint64_t bytes)) {
  return [&field, check](const toml::node& node) -> Result<void> {
    const auto value = node.value_exact<std::string>();
    if (!value) return wrong_type("a size in quotes with its unit, as in \"1GiB\"");
    const auto bytes = parse_bytes(*value);
    if (!bytes) return bytes.error();
    field = *bytes;
    return check(*bytes);
  };
}

Result<void> non_empty(const std::string& text) {
  if (!text.empty()) return {};
  return Error(ErrorCode::invalid_argument, "must not be empty");
}

Result<void> cores_check(const std::string& text) {
  const auto cores = parse_cores(text);
  if (!cores) return cores.error();
  return {};
}

Result<void> read_listener(const toml::table& table, const std::string& file, NodeConfig& config) {
  Listener listener;
  const auto read =
      TableReader(table, "[[listener]]", file)
          .required("port", whole(listener.port, 1, 65'535))
          .required("topic", text(listener.topic, check_topic_name))
          .key("framing",
               text(listener.framing,
                    [&](const std::string&) {
                      return check_listener({.port = 1, .topic = "x", .framing = listener.framing});
                    }))
          .key("key", text(listener.key,
                           [&](const std::string&) {
                             return check_listener({.port = 1, .topic = "x", .key = listener.key});
                           }))
          .key("partitions", whole(listener.partition_count, 1, partitions_per_topic_max))
          .finish();
  if (read) config.listeners.push_back(listener);
  return read;
}

Result<void> read_port(const toml::table& table, const std::string& file, NodeConfig& config) {
  std::string spec;
  const auto read =
      TableReader(table, "[[port]]", file).required("spec", text(spec, check_port_spec)).finish();
  if (read) config.ports.push_back(spec);
  return read;
}

Result<void> read_node(const toml::table& table, const std::string& file, NodeConfig& config) {
  return TableReader(table, "[node]", file)
      .key("data", text(config.data, non_empty))
      .key("memory_only", boolean(config.memory_only))
      .key("port_offset", whole(config.port_offset, 0, port_offset_max))
      .key("profile", text(config.profile, check_profile))
      .key("cores", text(config.cores, cores_check))
      .key("auto_create_topics", boolean(config.auto_create_topics))
      .key("max_sessions", whole(config.sessions_max, 1, sessions_limit))
      .finish();
}

Result<void> read_storage(const toml::table& table, const std::string& file, NodeConfig& config) {
  return TableReader(table, "[storage]", file)
      .key("journal_size", size(config.journal_bytes, check_journal_bytes))
      .key("tail_size", size(config.tail_bytes, check_tail_bytes))
      .key("data_max", size(config.data_bytes_max, check_data_bytes))
      .key("disk_reserve", size(config.disk_reserve_bytes, check_data_bytes))
      .key("scrub_rate", size(config.scrub_bytes_per_s, check_scrub_rate))
      .finish();
}

Result<void> read_admin(const toml::table& table, const std::string& file, NodeConfig& config) {
  return TableReader(table, "[admin]", file)
      .key("address", text(config.admin_address, non_empty))
      .key("port", whole(config.admin_port, 1, 65'535))
      .finish();
}

struct Section {
  std::string_view name;
  bool is_repeated;
  Result<void> (*read)(const toml::table&, const std::string&, NodeConfig&);
};
constexpr Section sections[] = {{"node", false, read_node},
                                {"storage", false, read_storage},
                                {"admin", false, read_admin},
                                {"port", true, read_port},
                                {"listener", true, read_listener}};

Result<void> read_section(const Section& section, const toml::node& node, const std::string& file,
                          NodeConfig& config) {
  const auto wrong_form = [&](const toml::node& at) {
    return Error(ErrorCode::invalid_argument, "{}:{}:{}: \"{}\" must be written {}{}{}", file,
                 at.source().begin.line, at.source().begin.column, section.name,
                 section.is_repeated ? "[[" : "[", section.name, section.is_repeated ? "]]" : "]");
  };
  if (!section.is_repeated) {
    if (!node.is_table()) return wrong_form(node);
    return section.read(*node.as_table(), file, config);
  }
  if (!node.is_array()) return wrong_form(node);
  for (const auto& element : *node.as_array()) {
    if (!element.is_table()) return wrong_form(element);
    if (const auto read = section.read(*element.as_table(), file, config); !read) return read;
  }
  return {};
}

Result<NodeConfig> read_document(const toml::table& document, const std::string& file) {
  NodeConfig config;
  for (const auto& [key, node] : document) {
    const std::string_view name = key.str();
    const auto* section = std::find_if(std::begin(sections), std::end(sections),
                                       [&](const Section& one) { return one.name == name; });
    if (section == std::end(sections)) {
      const auto& place = key.source().begin;
      return Error(ErrorCode::invalid_argument,
                   "{}:{}:{}: unknown key \"{}\"; known: [node], [storage], [admin], [[port]], "
                   "[[listener]]",
                   file, place.line, place.column, name.substr(0, 60));
    }
    if (const auto read = read_section(*section, node, file, config); !read) return read.error();
  }
  return config;
}

}  // namespace

Result<NodeConfig> parse_node_config(std::string_view text, const std::string& name) {
  try {
    return read_document(toml::parse(text, name), name);
  } catch (const toml::parse_error& error) {
    const auto& place = error.source().begin;
    return Error(ErrorCode::invalid_argument, "{}:{}:{}: {}", name, place.line, place.column,
                 error.description());
  }
}

Result<NodeConfig> load_node_config(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    return Error(ErrorCode::not_found, "cannot read the configuration file {}: {}", path,
                 strerrordesc_np(errno));
  }
  return parse_node_config(text.str(), path);
}

}  // namespace millrace::control

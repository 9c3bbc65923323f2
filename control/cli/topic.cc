// The verbs `topic create`, `alter`, `list`, `describe`, `trim` and `delete`.
#include "control/catalog/topic.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "control/cli/node_access.h"
#include "control/cli/table.h"
#include "control/cli/verbs.h"
#include "control/config/parse.h"
#include "dataplane/base/units.h"

namespace millrace::cli {

using nlohmann::json;

namespace {

std::string text_of(const json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

// Longer than the node waits for its data plane.
constexpr auto change_timeout = std::chrono::seconds(15);

int say_change(const json& document, std::string_view done, const Globals& globals) {
  if (globals.output == OutputFormat::json) {
    print_json(document);
  } else {
    fmt::print("{} {}\n", done, text_of(document["name"]));
  }
  if (document.value("state", "") == "pending") {
    say_note("the data plane has not taken it up yet; 'millrace wait' returns when it has");
  }
  return exit_ok;
}

// A name becomes part of a path, so it is checked here too.
bool is_name_good(const std::string& name) {
  const auto checked = control::check_topic_name(name);
  if (!checked) say_error(checked.error().message());
  return checked.has_value();
}

// Adds what the options say of retention to a request. False: said what is wrong.
bool add_retention(const TopicCreateOptions& options, json& request) {
  const auto add = [&](const char* key, const std::string& text, std::string_view none, auto parse,
                       std::uint64_t unit) {
    if (text.empty()) return true;
    if (text == none) return request[key] = -1, true;
    const auto value = parse(text);
    if (!value) return say_error(value.error().message()), false;
    request[key] = *value / unit;
    return true;
  };
  return add("retention_ms", options.retention, "unlimited", control::parse_duration_ns,
             base::ms_ns) &&
         add("retention_bytes", options.retention_size, "unlimited", control::parse_bytes, 1) &&
         add("tombstones_ms", options.compact, "off", control::parse_duration_ns, base::ms_ns);
}

std::string duration_text(std::int64_t ms, const char* none = "unlimited") {
  if (ms < 0) return none;
  constexpr std::pair<std::int64_t, const char*> units[] = {
      {86'400'000, "d"}, {3'600'000, "h"}, {60'000, "m"}, {1000, "s"}, {1, "ms"}};
  for (const auto& [unit, name] : units) {
    if (ms % unit == 0) return fmt::format("{}{}", ms / unit, name);
  }
  return "";
}

std::string size_text(std::int64_t bytes) {
  return bytes < 0 ? "unlimited" : human_bytes(static_cast<std::uint64_t>(bytes));
}

}  // namespace

int run_topic_create(const TopicCreateOptions& options, const Globals& globals) {
  auto client = admin_client(globals, change_timeout);
  json request = {{"name", options.name},
                  {"partitions", options.partitions},
                  {"durability", options.durability}};
  if (!is_name_good(options.name) || !add_retention(options, request)) return exit_usage;
  const auto reply = client.post("/v1/topics", request.dump());
  json document;
  if (reply && reply->status == 409 && options.if_not_exists) {
    const int code = take_document(client.get("/v1/topics/" + options.name), document);
    return code == exit_ok ? say_change(document, "there already is topic", globals) : code;
  }
  if (const int code = take_document(reply, document); code != exit_ok) return code;
  return say_change(document, "created topic", globals);
}

int run_topic_alter(const TopicCreateOptions& options, const Globals& globals) {
  json request = json::object();
  if (!is_name_good(options.name) || !add_retention(options, request)) return exit_usage;
  auto client = admin_client(globals, change_timeout);
  json document;
  const int code =
      take_document(client.patch("/v1/topics/" + options.name, request.dump()), document);
  return code == exit_ok ? say_change(document, "changed topic", globals) : code;
}

int run_topic_trim(const TopicTrimOptions& options, const Globals& globals) {
  if (!is_name_good(options.name)) return exit_usage;
  auto client = admin_client(globals, change_timeout);
  const json request = {{"partition", options.partition}, {"before", options.before}};
  json document;
  const int code = take_document(
      client.post("/v1/topics/" + options.name + "/delete-records", request.dump()), document);
  return code == exit_ok ? say_change(document, "trimmed topic", globals) : code;
}

int run_topic_list(const Globals& globals) {
  auto client = admin_client(globals);
  json document;
  if (const int code = take_document(client.get("/v1/topics"), document); code != exit_ok) {
    return code;
  }
  if (globals.output == OutputFormat::json) return print_json(document), exit_ok;
  Table table({"NAME", "PARTITIONS", "DURABILITY", "RECORDS", "HELD", "CREATED"});
  for (const auto& topic : document["topics"]) {
    table.add_row({text_of(topic["name"]), text_of(topic["partitions"]),
                   text_of(topic["durability"]), text_of(topic["records"]),
                   human_bytes(topic.value("bytes", std::uint64_t{0})), text_of(topic["created"])});
  }
  fmt::print("{}", table.text());
  return exit_ok;
}

int run_topic_describe(const TopicNameOptions& options, const Globals& globals) {
  if (!is_name_good(options.name)) return exit_usage;
  auto client = admin_client(globals);
  json topic;
  const int code = take_document(client.get("/v1/topics/" + options.name), topic);
  if (code != exit_ok) return code;
  if (globals.output == OutputFormat::json) return print_json(topic), exit_ok;
  fmt::print(
      "NAME        {}\nPARTITIONS  {}\nDURABILITY  {}\nRETENTION   {}, {} each partition\n"
      "COMPACT     {}\nCREATED     {}\n\n",
      text_of(topic["name"]), text_of(topic["partitions"]), text_of(topic["durability"]),
      duration_text(topic.value("retention_ms", std::int64_t{-1})),
      size_text(topic.value("retention_bytes", std::int64_t{-1})),
      duration_text(topic.value("tombstones_ms", std::int64_t{-1}), "off"),
      text_of(topic["created"]));
  Table table({"PARTITION", "LOG-START", "LOG-END", "DURABLE-END", "HELD", "STATE"});
  for (const auto& one : topic["offsets"]) {
    if (!one.value("present", false)) {
      table.add_row({text_of(one["partition"]), "-", "-", "-", "-", "not served yet"});
      continue;
    }
    table.add_row({text_of(one["partition"]), text_of(one["log_start"]), text_of(one["log_end"]),
                   text_of(one["durable_end"]), human_bytes(one.value("bytes", std::uint64_t{0})),
                   one.value("damaged", false) ? "damaged" : "ok"});
  }
  fmt::print("{}", table.text());
  return exit_ok;
}

int run_topic_delete(const TopicNameOptions& options, const Globals& globals) {
  if (!is_name_good(options.name)) return exit_usage;
  auto client = admin_client(globals, change_timeout);
  json document;
  const int code = take_document(client.remove("/v1/topics/" + options.name), document);
  if (code != exit_ok) return code;
  return say_change(document, "deleted topic", globals);
}

}  // namespace millrace::cli

// Api: see api.h.
#include "control/admin/api.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <map>
#include <nlohmann/json.hpp>

#include "control/admin/documents.h"
#include "control/metrics/node_metrics.h"

namespace millrace::control {

using base::Error;
using base::ErrorCode;
using nlohmann::json;

namespace {

constexpr std::string_view topics_path = "/v1/topics";
constexpr std::string_view delete_records_suffix = "/delete-records";

AdminResponse json_response(int status, const json& document) {
  // Text of the region that is not UTF-8 must not make an exception here.
  return {status, "application/json",
          document.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"};
}

AdminResponse error_response(const Error& error) {
  switch (error.code()) {
    case ErrorCode::invalid_argument:
      return control::error_response(400, "invalid_argument", error.message());
    case ErrorCode::not_found:
      return control::error_response(404, "not_found", error.message());
    case ErrorCode::already_exists:
      return control::error_response(409, "already_exists", error.message());
    case ErrorCode::no_space:
      return control::error_response(507, "no_space", error.message());
    default:
      return control::error_response(503, "unavailable", error.message());
  }
}

AdminResponse text_response(int status, std::string body) {
  return {status, "text/plain; charset=utf-8", std::move(body)};
}

AdminResponse readyz(Node& node, bool is_verbose) {
  std::string lines;
  bool is_ready = true;
  for (const auto& check : readiness(node)) {
    is_ready = is_ready && check.is_ok;
    if (check.is_ok && is_verbose) lines += fmt::format("[+]{} ok\n", check.name);
    if (!check.is_ok) lines += fmt::format("[-]{} failed: {}\n", check.name, check.reason);
  }
  lines += is_ready ? "ready\n" : "not ready\n";
  return text_response(is_ready ? 200 : 503, std::move(lines));
}

// Reads the body of POST /v1/topics, strictly: an unknown key is an error, not a wish ignored.
base::Result<TopicRequest> topic_request_of(const std::string& body) {
  const json document = json::parse(body, nullptr, false);
  if (!document.is_object()) {
    return Error(ErrorCode::invalid_argument,
                 R"(the body must be a JSON object such as {{"name": "events", "partitions": 1}})");
  }
  TopicRequest request;
  for (const auto& [key, value] : document.items()) {
    if (key == "name" && value.is_string()) {
      request.name = value.get<std::string>();
    } else if (key == "partitions" && value.is_number_unsigned()) {
      const auto count = value.get<std::uint64_t>();
      request.partition_count =
          count > 0xffff'ffffU ? 0xffff'ffffU : static_cast<std::uint32_t>(count);
    } else if (key == "durability" && (value == "durable" || value == "memory")) {
      request.durable = value == "durable";
    } else if (key == "retention_ms" && value.is_number_integer()) {
      request.retention.ms = value.get<std::int64_t>();
    } else if (key == "retention_bytes" && value.is_number_integer()) {
      request.retention.bytes = value.get<std::int64_t>();
    } else if (key == "tombstones_ms" && value.is_number_integer()) {
      request.retention.tombstones_ms = value.get<std::int64_t>();
    } else if (key == "name" || key == "partitions" || key == "durability" ||
               key == "retention_ms" || key == "retention_bytes" || key == "tombstones_ms") {
      return Error(
          ErrorCode::invalid_argument,
          R"("{}" has the wrong type or value: name is a string, partitions, retention_ms, )"
          R"(retention_bytes and tombstones_ms whole numbers, durability "durable" or "memory")",
          key);
    } else {
      return Error(ErrorCode::invalid_argument,
                   "unknown key in the body: name, partitions, durability, retention_ms, "
                   "retention_bytes and tombstones_ms are known");
    }
  }
  return request;
}

// Reads a body of whole numbers only, of which the keys are given.
base::Result<std::map<std::string, std::int64_t>> numbers_of(
    const std::string& body, std::initializer_list<std::string_view> keys) {
  const json document = json::parse(body, nullptr, false);
  if (!document.is_object()) {
    return Error(ErrorCode::invalid_argument, "the body must be a JSON object with the keys {}",
                 fmt::join(keys, ", "));
  }
  std::map<std::string, std::int64_t> numbers;
  for (const auto& [key, value] : document.items()) {
    if (std::ranges::find(keys, key) == keys.end() || !value.is_number_integer()) {
      return Error(ErrorCode::invalid_argument,
                   "a key of the body is unknown or not a whole number: it may have {}",
                   fmt::join(keys, ", "));
    }
    numbers.emplace(key, value.get<std::int64_t>());
  }
  return numbers;
}

AdminResponse alter_topic(Node& node, std::string_view name, const std::string& body) {
  const auto numbers = numbers_of(body, {"retention_ms", "retention_bytes", "tombstones_ms"});
  if (!numbers) return error_response(numbers.error());
  const auto number = [&](const char* key) {
    const auto found = numbers->find(key);
    return found == numbers->end() ? std::nullopt : std::optional(found->second);
  };
  const TopicChanges changes = {.retention_ms = number("retention_ms"),
                                .retention_bytes = number("retention_bytes"),
                                .tombstones_ms = number("tombstones_ms")};
  const auto change = node.topics.alter_topic(name, changes);
  if (!change) return error_response(change.error());
  json document = topic_document(change->topic);
  document["state"] = change->is_applied ? "ready" : "pending";
  return json_response(change->is_applied ? 200 : 202, document);
}

AdminResponse delete_records(Node& node, std::string_view name, const std::string& body) {
  const auto numbers = numbers_of(body, {"partition", "before"});
  if (!numbers) return error_response(numbers.error());
  const auto before = numbers->find("before");
  const auto partition = numbers->find("partition");
  const std::int64_t index = partition == numbers->end() ? 0 : partition->second;
  if (before == numbers->end() || before->second < 0 || index < 0 ||
      index >= partitions_per_topic_max) {
    return error_response(Error(ErrorCode::invalid_argument,
                                "before is the first offset to keep, at least 0, and partition an "
                                "index from 0"));
  }
  const auto topic =
      node.topics.delete_records(name, static_cast<std::uint32_t>(index), before->second);
  if (!topic) return error_response(topic.error());
  return json_response(200, topic_document(*topic));
}

AdminResponse list_topics(Node& node) {
  const auto topics = node.topics.topics();
  if (!topics) return error_response(topics.error());
  return json_response(200, topic_list_document(node, *topics));
}

AdminResponse create_topic(Node& node, const std::string& body) {
  const auto request = topic_request_of(body);
  if (!request) return error_response(request.error());
  const auto change = node.topics.create_topic(*request);
  if (!change) return error_response(change.error());
  json document = topic_document(change->topic);
  document["state"] = change->is_applied ? "ready" : "pending";
  return json_response(change->is_applied ? 201 : 202, document);
}

AdminResponse describe_topic(Node& node, std::string_view name) {
  const auto topic = node.topics.find(name);
  if (!topic) return error_response(topic.error());
  if (!topic->has_value()) {
    return error_response(Error(ErrorCode::not_found, "there is no topic {}", name));
  }
  return json_response(200, topic_offsets_document(node, **topic));
}

AdminResponse delete_topic(Node& node, std::string_view name) {
  const auto change = node.topics.delete_topic(name);
  if (!change) return error_response(change.error());
  json document = topic_document(change->topic);
  document["state"] = change->is_applied ? "deleted" : "pending";
  return json_response(change->is_applied ? 200 : 202, document);
}

AdminResponse metrics(Node& node) {
  const auto topics = node.topics.topics();
  const NodeGauges gauges{.is_ready = is_ready(node), .topics = topics ? topics->size() : 0};
  return {200, "text/plain; version=0.0.4; charset=utf-8", node_metrics(node.region, gauges)};
}

AdminResponse method_not_allowed(const AdminRequest& request, std::string_view allowed) {
  return control::error_response(
      405, "method_not_allowed",
      fmt::format("{} is not for {}: it takes {}", request.method, request.path, allowed));
}

}  // namespace

AdminResponse answer(Node& node, const AdminRequest& request) {
  const std::string& path = request.path;
  const bool is_get = request.method == "GET" || request.method == "HEAD";
  if (path == topics_path) {
    if (is_get) return list_topics(node);
    if (request.method == "POST") return create_topic(node, request.body);
    return method_not_allowed(request, "GET and POST");
  }
  if (path.starts_with(topics_path) && path.size() > topics_path.size() + 1 &&
      path[topics_path.size()] == '/') {
    std::string name = path.substr(topics_path.size() + 1);
    const bool deletes_records = name.ends_with(delete_records_suffix);
    if (deletes_records) name.resize(name.size() - delete_records_suffix.size());
    if (const auto valid = check_topic_name(name); !valid) return error_response(valid.error());
    if (deletes_records) {
      if (request.method == "POST") return delete_records(node, name, request.body);
      return method_not_allowed(request, "POST");
    }
    if (is_get) return describe_topic(node, name);
    if (request.method == "PATCH") return alter_topic(node, name, request.body);
    if (request.method == "DELETE") return delete_topic(node, name);
    return method_not_allowed(request, "GET, PATCH and DELETE");
  }
  const bool is_page =
      path == "/livez" || path == "/readyz" || path == "/metrics" || path == "/v1/status";
  if (!is_page) {
    return control::error_response(404, "not_found",
                                   "no such page: /livez /readyz /metrics /v1/status /v1/topics");
  }
  if (!is_get) return method_not_allowed(request, "GET");
  if (path == "/livez") return text_response(200, "ok\n");
  if (path == "/readyz") return readyz(node, request.is_verbose);
  if (path == "/metrics") return metrics(node);
  return json_response(200, status_document(node));
}

AdminResponse error_response(int status, std::string_view code, std::string_view message) {
  return json_response(status, {{"error", {{"code", code}, {"message", message}}}});
}

bool is_local_host(const std::string& host, const std::string& listen_address) {
  std::string name = host;
  const auto bracket = name.rfind(']');
  const auto colon = name.rfind(':');
  if (colon != std::string::npos && (bracket == std::string::npos || colon > bracket)) {
    name.resize(colon);
  }
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return name == "127.0.0.1" || name == "localhost" || name == "[::1]" || name == listen_address;
}

bool is_local_origin(const std::string& origin, const std::string& listen_address) {
  constexpr std::string_view scheme = "http://";
  return origin.starts_with(scheme) && is_local_host(origin.substr(scheme.size()), listen_address);
}

}  // namespace millrace::control

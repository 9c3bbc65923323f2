#include "perf/loadgen/open_messaging.h"

#include <yaml-cpp/yaml.h>

#include <array>
#include <cmath>

#include "dataplane/base/units.h"
#include "perf/loadgen/stamp.h"

namespace millrace::loadgen {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr std::array ignored = {"name",
                                "payloadFile",
                                "keyDistributor",
                                "useRandomizedPayloads",
                                "randomBytesRatio",
                                "randomizedPayloadPoolSize"};
// Only one of each.
constexpr std::array single = {"topics", "consumerPerSubscription"};

constexpr double minute_ns = 60.0 * static_cast<double>(base::second_ns);

Error not_done(const std::string& key, const std::string& value) {
  return Error(ErrorCode::invalid_argument, "workload: {}: {} is not done by this generator", key,
               value);
}

}  // namespace

Result<Workload> read_open_messaging(const std::string& yaml) {
  Workload workload;
  workload.warm_up_ns = static_cast<std::uint64_t>(minute_ns);
  try {
    const YAML::Node document = YAML::Load(yaml);
    if (!document.IsMap()) {
      return Error(ErrorCode::invalid_argument, "workload: a map of settings is wanted");
    }
    for (const auto& entry : document) {
      const auto key = entry.first.as<std::string>();
      const YAML::Node& value = entry.second;
      if (std::ranges::find(ignored, key) != ignored.end()) continue;
      if (std::ranges::find(single, key) != single.end()) {
        if (value.as<int>() != 1) return not_done(key, value.as<std::string>());
      } else if (key == "messageSize") {
        workload.payload_bytes = value.as<std::uint32_t>();
      } else if (key == "partitionsPerTopic") {
        workload.partitions = value.as<std::uint32_t>();
      } else if (key == "producersPerTopic") {
        workload.connections = value.as<std::uint32_t>();
      } else if (key == "subscriptionsPerTopic") {
        workload.subscribers = value.as<std::uint32_t>();
      } else if (key == "producerRate") {
        workload.rate = value.as<std::uint64_t>();
      } else if (key == "testDurationMinutes") {
        workload.measured_ns = static_cast<std::uint64_t>(value.as<double>() * minute_ns);
      } else if (key == "warmupDurationMinutes") {
        workload.warm_up_ns = static_cast<std::uint64_t>(value.as<double>() * minute_ns);
      } else if (key == "consumerBacklogSizeGB") {
        if (value.as<double>() > 0) return not_done(key, value.as<std::string>());
      } else {
        return Error(ErrorCode::invalid_argument, "workload: unknown setting {}", key);
      }
    }
  } catch (const YAML::Exception& error) {
    return Error(ErrorCode::invalid_argument, "workload: {}", error.what());
  }
  if (workload.payload_bytes < stamp_bytes || workload.partitions == 0 ||
      workload.connections == 0 || workload.subscribers == 0) {
    return Error(ErrorCode::invalid_argument,
                 "workload: messageSize is at least {}; partitionsPerTopic, producersPerTopic and "
                 "subscriptionsPerTopic are at least 1",
                 stamp_bytes);
  }
  return workload;
}

}  // namespace millrace::loadgen

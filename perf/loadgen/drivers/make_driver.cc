#include "perf/loadgen/drivers/make_driver.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "perf/loadgen/drivers/native_driver.h"
#include "perf/loadgen/drivers/null_driver.h"
#include "perf/loadgen/drivers/redis_driver.h"

namespace millrace::loadgen {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

using Made = Result<std::unique_ptr<Driver>>;
using Settings = std::map<std::string, std::string>;

struct Maker {
  DriverInfo info;
  Made (*make)(const DriverOptions& options);
};

std::string setting(const Settings& settings, const std::string& key,
                    const std::string& otherwise) {
  const auto found = settings.find(key);
  return found == settings.end() ? otherwise : found->second;
}

template <typename Number>
Result<Number> number_setting(const Settings& settings, const std::string& key, Number otherwise) {
  const auto found = settings.find(key);
  if (found == settings.end()) return otherwise;
  const std::string& text = found->second;
  Number number{};
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec == std::errc() && read.ptr == text.data() + text.size()) return number;
  return Error(ErrorCode::invalid_argument, "setting {}: '{}' is no number", key, text);
}

Made make_null(const DriverOptions&) { return {std::make_unique<NullDriver>()}; }

Made make_native(const DriverOptions& options) {
  const std::string ack = setting(options.settings, "ack", "durable");
  if (ack != "durable" && ack != "memory") {
    return Error(ErrorCode::invalid_argument, "setting ack: '{}' is not durable or memory", ack);
  }
  const auto port_offset = number_setting(options.settings, "port-offset", 0);
  if (!port_offset) return port_offset.error();
  const auto batch_bytes = number_setting(options.settings, "batch-bytes", 0U);
  if (!batch_bytes) return batch_bytes.error();
  return {std::make_unique<NativeDriver>(
      NativeOptions{.address = options.address,
                    .port_offset = *port_offset,
                    .ack = ack == "memory" ? bench::Ack::memory : bench::Ack::durable,
                    .batch_bytes = *batch_bytes})};
}

template <RedisKind kind>
Made make_redis(const DriverOptions& options) {
  return {std::make_unique<RedisDriver>(options.address, kind)};
}

const std::vector<Maker>& makers() {
  static const std::vector<Maker> all = {
      {{"null", "", {}, "answers at once: the generator's own limit"}, make_null},
      {{"native",
        "127.0.0.1:7070",
        {"ack", "port-offset", "batch-bytes"},
        "Millrace's own protocol"},
       make_native},
      {{"redis-list", "127.0.0.1:6379", {}, "RPUSH and BLMPOP"}, make_redis<RedisKind::list>},
      {{"redis-stream", "127.0.0.1:6379", {}, "XADD and XREAD"}, make_redis<RedisKind::stream>},
      {{"redis-channel", "127.0.0.1:6379", {}, "PUBLISH and SUBSCRIBE"},
       make_redis<RedisKind::channel>},
  };
  return all;
}

}  // namespace

const std::vector<DriverInfo>& drivers() {
  static const std::vector<DriverInfo> all = [] {
    std::vector<DriverInfo> infos;
    for (const Maker& maker : makers()) infos.push_back(maker.info);
    return infos;
  }();
  return all;
}

Made make_driver(DriverOptions options) {
  const auto maker =
      std::ranges::find(makers(), options.name, [](const Maker& one) { return one.info.name; });
  if (maker == makers().end()) {
    std::vector<std::string> names;
    for (const DriverInfo& info : drivers()) names.push_back(info.name);
    return Error(ErrorCode::invalid_argument, "no driver '{}'; there are {}", options.name,
                 fmt::join(names, ", "));
  }
  const auto& known = maker->info.settings;
  for (const auto& [key, value] : options.settings) {
    if (std::ranges::find(known, key) != known.end() || known == std::vector<std::string>{"*"}) {
      continue;
    }
    return Error(ErrorCode::invalid_argument, "driver {} has no setting '{}'; it has {}",
                 options.name, key,
                 known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", ")));
  }
  if (options.address.empty()) options.address = maker->info.address;
  return maker->make(options);
}

}  // namespace millrace::loadgen

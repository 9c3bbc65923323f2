#include "perf/loadgen/drivers/make_driver.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "perf/loadgen/drivers/beanstalkd_driver.h"
#include "perf/loadgen/drivers/bytes.h"
#include "perf/loadgen/drivers/gearman_driver.h"
#include "perf/loadgen/drivers/kafka_driver.h"
#include "perf/loadgen/drivers/native_driver.h"
#include "perf/loadgen/drivers/nats_driver.h"
#include "perf/loadgen/drivers/nsq_driver.h"
#include "perf/loadgen/drivers/null_driver.h"
#include "perf/loadgen/drivers/rabbitmq_driver.h"
#include "perf/loadgen/drivers/redis_driver.h"
#include "perf/loadgen/drivers/zeromq_driver.h"

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
  if (const auto number = read_number<Number>(text)) return *number;
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
  const std::string idle = setting(options.settings, "idle", "yield");
  if (idle != "yield" && idle != "spin") {
    return Error(ErrorCode::invalid_argument, "setting idle: '{}' is not yield or spin", idle);
  }
  const auto batch_bytes = number_setting(options.settings, "batch-bytes", 0U);
  if (!batch_bytes) return batch_bytes.error();
  return {std::make_unique<NativeDriver>(
      NativeOptions{.address = options.address,
                    .port_offset = *port_offset,
                    .ack = ack == "memory" ? bench::Ack::memory : bench::Ack::durable,
                    .batch_bytes = *batch_bytes,
                    .yields = idle == "yield"})};
}

template <RedisKind kind>
Made make_redis(const DriverOptions& options) {
  return {std::make_unique<RedisDriver>(options.address, kind)};
}

Made make_kafka(const DriverOptions& options) {
  return {std::make_unique<KafkaDriver>(options.address, options.settings)};
}

Made make_rabbitmq(const DriverOptions& options) {
  const std::string type = setting(options.settings, "queue-type", "classic");
  if (type != "classic" && type != "quorum") {
    return Error(ErrorCode::invalid_argument, "setting queue-type: '{}' is not classic or quorum",
                 type);
  }
  const std::string persistent = setting(options.settings, "persistent", "true");
  if (persistent != "true" && persistent != "false") {
    return Error(ErrorCode::invalid_argument, "setting persistent: '{}' is not true or false",
                 persistent);
  }
  return {std::make_unique<RabbitMqDriver>(RabbitMqOptions{
      .address = options.address, .queue_type = type, .is_persistent = persistent == "true"})};
}

template <ZeroMqKind kind>
Made make_zeromq(const DriverOptions& options) {
  return {std::make_unique<ZeroMqDriver>(options.address, kind)};
}

template <NatsKind kind>
Made make_nats(const DriverOptions& options) {
  return {std::make_unique<NatsDriver>(options.address, kind)};
}

Made make_beanstalkd(const DriverOptions& options) {
  return {std::make_unique<BeanstalkdDriver>(options.address)};
}

Made make_nsq(const DriverOptions& options) {
  const std::string buffers = setting(options.settings, "buffers", "yes");
  if (buffers != "yes" && buffers != "no") {
    return Error(ErrorCode::invalid_argument, "setting buffers: '{}' is not yes or no", buffers);
  }
  return {std::make_unique<NsqDriver>(options.address, buffers == "yes")};
}

Made make_gearman(const DriverOptions& options) {
  return {std::make_unique<GearmanDriver>(options.address)};
}

const std::vector<Maker>& makers() {
  static const std::vector<Maker> all = {
      {{"null", "", {}, "answers at once: the generator's own limit"}, make_null},
      {{"native",
        "127.0.0.1:7070",
        {"ack", "port-offset", "batch-bytes", "idle"},
        "Millrace's own protocol"},
       make_native},
      {{"redis-list", "127.0.0.1:6379", {}, "RPUSH and BLMPOP"}, make_redis<RedisKind::list>},
      {{"redis-stream", "127.0.0.1:6379", {}, "XADD and XREAD"}, make_redis<RedisKind::stream>},
      {{"redis-channel", "127.0.0.1:6379", {}, "PUBLISH and SUBSCRIBE"},
       make_redis<RedisKind::channel>},
      {{"kafka", "127.0.0.1:9092", {"*"}, "librdkafka, whose properties the settings are"},
       make_kafka},
      {{"rabbitmq",
        "127.0.0.1:5672",
        {"queue-type", "persistent"},
        "AMQP 0-9-1 with publisher confirms"},
       make_rabbitmq},
      {{"zeromq-push", "127.0.0.1:*", {}, "PUSH and PULL, in the generator alone"},
       make_zeromq<ZeroMqKind::push>},
      {{"zeromq-publish", "127.0.0.1:*", {}, "PUB and SUB, in the generator alone"},
       make_zeromq<ZeroMqKind::publish>},
      {{"nats", "127.0.0.1:4222", {}, "PUB and SUB, which nothing answers"},
       make_nats<NatsKind::core>},
      {{"nats-jetstream", "127.0.0.1:4222", {}, "a stream in files, read by an ordered consumer"},
       make_nats<NatsKind::jetstream>},
      {{"beanstalkd", "127.0.0.1:11300", {}, "put, reserve and delete"}, make_beanstalkd},
      {{"nsq", "127.0.0.1:4150", {"buffers"}, "PUB, SUB and FIN"}, make_nsq},
      {{"gearman", "127.0.0.1:4730", {}, "background jobs"}, make_gearman},
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

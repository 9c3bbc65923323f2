#include "perf/loadgen/drivers/kafka_driver.h"

#include <algorithm>
#include <array>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/base/units.h"
#include "perf/bench/interrupt.h"
#include "perf/bench/node_client.h"

namespace millrace::loadgen {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr int admin_wait_ms = 30'000;
constexpr int admin_request_ms = 10'000;
constexpr int metadata_ms = 1'000;
constexpr std::uint64_t leaders_wait_ns = 30 * base::second_ns;
constexpr std::size_t messages_per_poll = 1024;
constexpr std::size_t error_bytes = 512;

Error refused(std::string_view text) { return Error(ErrorCode::unavailable, "kafka: {}", text); }

// A message leaves as soon as a request may, and those that wait for one leave together. Where many
// are due at their times, a request for each would cost more than waiting for the next few.
std::string linger_ms(const Workload& workload) {
  constexpr std::uint64_t many_per_s = 10'000;
  return workload.rate < many_per_s ? "0" : "0.5";
}

std::map<std::string, std::string> properties_of(rd_kafka_type_t type, const std::string& address,
                                                 const Workload& workload) {
  std::map<std::string, std::string> properties = {
      {"bootstrap.servers", address}, {"socket.nagle.disable", "true"}, {"log_level", "3"}};
  if (type == RD_KAFKA_PRODUCER) {
    properties["acks"] = "all";
    properties["enable.idempotence"] = "true";
    properties["linger.ms"] = linger_ms(workload);
  } else {
    properties["fetch.min.bytes"] = "1";
    // Where a first request fails, as while a topic is being made, it would go on from the end.
    properties["auto.offset.reset"] = "earliest";
  }
  return properties;
}

bool have_leaders(const rd_kafka_metadata_t& metadata, std::uint32_t partitions) {
  if (metadata.topic_cnt != 1) return false;
  const rd_kafka_metadata_topic_t& topic = metadata.topics[0];
  const std::span known(topic.partitions, static_cast<std::size_t>(topic.partition_cnt));
  return known.size() == partitions &&
         std::ranges::all_of(known, [](const auto& partition) { return partition.leader >= 0; });
}

// A leader that is named may not have its log yet. It would refuse the first batch and take the
// second, and then hold the first, sent again, for one that it has had: acknowledged and lost.
bool do_leaders_answer(rd_kafka_t* client, const Workload& workload) {
  for (std::uint32_t i = 0; i < workload.partitions; ++i) {
    std::int64_t low = 0;
    std::int64_t high = 0;
    if (rd_kafka_query_watermark_offsets(client, workload.topic.c_str(),
                                         static_cast<std::int32_t>(i), &low, &high,
                                         metadata_ms) != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return false;
    }
  }
  return true;
}

}  // namespace

KafkaDriver::~KafkaDriver() {
  if (consumed_) {
    for (std::uint32_t i = 0; i < workload_.partitions; ++i) {
      rd_kafka_consume_stop(consumed_.get(), static_cast<std::int32_t>(i));
    }
  }
  if (has_topic_) delete_topic();
}

Result<void> KafkaDriver::prepare(const Workload& workload) {
  workload_ = workload;
  if (workload.publishes || workload.makes_topic) {
    if (auto opened = open_producer(); !opened) return opened;
  }
  if (!workload_.consumes) return {};
  return consume();
}

Result<void> KafkaDriver::open_producer() {
  auto producer = open(RD_KAFKA_PRODUCER);
  if (!producer) return producer.error();
  producer_ = std::move(*producer);
  reports_.reset(rd_kafka_queue_get_main(producer_.get()));
  if (workload_.makes_topic) {
    if (auto created = create_topic(); !created) return created;
    has_topic_ = true;
  }
  if (auto led = wait_for_leaders(producer_.get()); !led) return led;
  produced_.reset(rd_kafka_topic_new(producer_.get(), workload_.topic.c_str(), nullptr));
  if (!produced_) return refused(rd_kafka_err2str(rd_kafka_last_error()));
  return {};
}

Result<KafkaPointer<rd_kafka_t>> KafkaDriver::open(rd_kafka_type_t type) const {
  std::array<char, error_bytes> text{};
  std::map<std::string, std::string> properties = properties_of(type, address_, workload_);
  for (const auto& [key, value] : properties_) properties[key] = value;
  rd_kafka_conf_t* const configuration = rd_kafka_conf_new();
  for (const auto& [key, value] : properties) {
    if (rd_kafka_conf_set(configuration, key.c_str(), value.c_str(), text.data(), text.size()) ==
        RD_KAFKA_CONF_OK) {
      continue;
    }
    rd_kafka_conf_destroy(configuration);
    return Error(ErrorCode::invalid_argument, "kafka: {}", text.data());
  }
  rd_kafka_conf_set_events(configuration, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
  KafkaPointer<rd_kafka_t> client(rd_kafka_new(type, configuration, text.data(), text.size()));
  if (client) return client;
  rd_kafka_conf_destroy(configuration);
  return Error(ErrorCode::invalid_argument, "kafka: {}", text.data());
}

Result<void> KafkaDriver::create_topic() {
  std::array<char, error_bytes> text{};
  rd_kafka_NewTopic_t* wanted = rd_kafka_NewTopic_new(
      workload_.topic.c_str(), static_cast<int>(workload_.partitions), 1, text.data(), text.size());
  if (wanted == nullptr) return Error(ErrorCode::invalid_argument, "kafka: {}", text.data());
  rd_kafka_AdminOptions_t* options =
      rd_kafka_AdminOptions_new(producer_.get(), RD_KAFKA_ADMIN_OP_CREATETOPICS);
  rd_kafka_AdminOptions_set_operation_timeout(options, admin_request_ms, text.data(), text.size());
  const KafkaPointer<rd_kafka_queue_t> answers(rd_kafka_queue_new(producer_.get()));
  rd_kafka_CreateTopics(producer_.get(), &wanted, 1, options, answers.get());
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_NewTopic_destroy(wanted);
  const KafkaPointer<rd_kafka_event_t> answer(rd_kafka_queue_poll(answers.get(), admin_wait_ms));
  if (!answer) return Error(ErrorCode::timeout, "kafka: no answer to CreateTopics");
  if (rd_kafka_event_error(answer.get()) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return refused(rd_kafka_event_error_string(answer.get()));
  }
  std::size_t count = 0;
  const rd_kafka_topic_result_t* const* const results =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(answer.get()), &count);
  for (const rd_kafka_topic_result_t* result : std::span(results, count)) {
    const rd_kafka_resp_err_t error = rd_kafka_topic_result_error(result);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return refused(rd_kafka_err2str(error));
  }
  return {};
}

void KafkaDriver::delete_topic() {
  rd_kafka_DeleteTopic_t* unwanted = rd_kafka_DeleteTopic_new(workload_.topic.c_str());
  const KafkaPointer<rd_kafka_queue_t> answers(rd_kafka_queue_new(producer_.get()));
  rd_kafka_DeleteTopics(producer_.get(), &unwanted, 1, nullptr, answers.get());
  rd_kafka_DeleteTopic_destroy(unwanted);
  const KafkaPointer<rd_kafka_event_t> answer(rd_kafka_queue_poll(answers.get(), admin_request_ms));
}

// From the beginning, so what is sent before its first request is fetched as well.
Result<void> KafkaDriver::consume() {
  auto consumer = open(RD_KAFKA_CONSUMER);
  if (!consumer) return consumer.error();
  consumer_ = std::move(*consumer);
  if (auto led = wait_for_leaders(consumer_.get()); !led) return led;
  messages_.reset(rd_kafka_queue_new(consumer_.get()));
  consumed_.reset(rd_kafka_topic_new(consumer_.get(), workload_.topic.c_str(), nullptr));
  if (!consumed_) return refused(rd_kafka_err2str(rd_kafka_last_error()));
  for (std::uint32_t i = 0; i < workload_.partitions; ++i) {
    if (rd_kafka_consume_start_queue(consumed_.get(), static_cast<std::int32_t>(i),
                                     RD_KAFKA_OFFSET_BEGINNING, messages_.get()) != 0) {
      return refused(rd_kafka_err2str(rd_kafka_last_error()));
    }
  }
  return {};
}

Result<void> KafkaDriver::wait_for_leaders(rd_kafka_t* client) const {
  const KafkaPointer<rd_kafka_topic_t> topic(
      rd_kafka_topic_new(client, workload_.topic.c_str(), nullptr));
  if (!topic) return refused(rd_kafka_err2str(rd_kafka_last_error()));
  base::SystemClock clock;
  const std::uint64_t give_up_ns = clock.monotonic_ns() + leaders_wait_ns;
  while (clock.monotonic_ns() < give_up_ns) {
    if (bench::interrupted()) return bench::interrupted_error();
    const rd_kafka_metadata_t* metadata = nullptr;
    if (rd_kafka_metadata(client, 0, topic.get(), &metadata, metadata_ms) !=
        RD_KAFKA_RESP_ERR_NO_ERROR) {
      continue;
    }
    const bool are_there = have_leaders(*metadata, workload_.partitions);
    rd_kafka_metadata_destroy(metadata);
    if (are_there && do_leaders_answer(client, workload_)) return {};
  }
  return Error(ErrorCode::timeout, "kafka: topic {} has no leaders", workload_.topic);
}

bool KafkaDriver::offer(std::uint64_t number, std::span<const std::byte> payload) {
  // It is copied, so it is only read.
  auto* const bytes = const_cast<std::byte*>(payload.data());
  auto* const opaque = reinterpret_cast<void*>(static_cast<std::uintptr_t>(number));
  const auto partition = static_cast<std::int32_t>(number % workload_.partitions);
  if (rd_kafka_produce(produced_.get(), partition, RD_KAFKA_MSG_F_COPY, bytes, payload.size(),
                       nullptr, 0, opaque) == 0) {
    return true;
  }
  const rd_kafka_resp_err_t error = rd_kafka_last_error();
  if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) refused_ = error;
  return false;
}

Result<void> KafkaDriver::poll(Events& events) {
  if (refused_ != RD_KAFKA_RESP_ERR_NO_ERROR) return refused(rd_kafka_err2str(refused_));
  if (producer_) {
    if (auto taken = take_reports(events); !taken) return taken;
  }
  if (!consumer_) return {};
  return take_messages(events);
}

Result<void> KafkaDriver::take_reports(Events& events) {
  while (const KafkaPointer<rd_kafka_event_t> event{rd_kafka_queue_poll(reports_.get(), 0)}) {
    if (rd_kafka_event_type(event.get()) == RD_KAFKA_EVENT_ERROR) {
      // What the library gets over by itself is only in its words.
      const bool is_down =
          rd_kafka_event_error(event.get()) == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
          rd_kafka_event_error_is_fatal(event.get()) != 0;
      if (is_down) return refused(rd_kafka_event_error_string(event.get()));
    }
    while (const rd_kafka_message_t* report = rd_kafka_event_message_next(event.get())) {
      if (report->err != RD_KAFKA_RESP_ERR_NO_ERROR) return refused(rd_kafka_err2str(report->err));
      events.acknowledged(reinterpret_cast<std::uintptr_t>(report->_private));
    }
  }
  return {};
}

Result<void> KafkaDriver::take_messages(Events& events) {
  std::array<rd_kafka_message_t*, messages_per_poll> came{};
  const auto count = rd_kafka_consume_batch_queue(messages_.get(), 0, came.data(), came.size());
  if (count < 0) return refused(rd_kafka_err2str(rd_kafka_last_error()));
  Result<void> result;
  for (rd_kafka_message_t* one : std::span(came.data(), static_cast<std::size_t>(count))) {
    const KafkaPointer<rd_kafka_message_t> message(one);
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      result = refused(rd_kafka_message_errstr(message.get()));
      continue;
    }
    events.delivered(static_cast<std::uint32_t>(message->partition),
                     {static_cast<const std::byte*>(message->payload), message->len});
  }
  return result;
}

}  // namespace millrace::loadgen

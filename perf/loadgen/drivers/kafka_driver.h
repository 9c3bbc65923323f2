// KafkaDriver: librdkafka, on Kafka or whatever speaks its protocol.
// Owns:  its topic, a producer, and a consumer of all partitions that belongs to no group.
//
// The producer is idempotent, as that of Kafka's own client is: order is kept through retries.
#pragma once

#include <librdkafka/rdkafka.h>

#include <map>
#include <memory>
#include <string>

#include "perf/loadgen/drivers/driver.h"

namespace millrace::loadgen {

struct KafkaClose {
  void operator()(rd_kafka_t* client) const { rd_kafka_destroy(client); }
  void operator()(rd_kafka_topic_t* topic) const { rd_kafka_topic_destroy(topic); }
  void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
  void operator()(rd_kafka_event_t* event) const { rd_kafka_event_destroy(event); }
  void operator()(rd_kafka_message_t* message) const { rd_kafka_message_destroy(message); }
};
template <typename Handle>
using KafkaPointer = std::unique_ptr<Handle, KafkaClose>;

class KafkaDriver final : public Driver {
 public:
  // properties: of librdkafka, before our own.
  KafkaDriver(std::string address, std::map<std::string, std::string> properties)
      : address_(std::move(address)), properties_(std::move(properties)) {}
  ~KafkaDriver() override;

  base::Result<void> prepare(const Workload& workload) override;
  bool offer(std::uint64_t number, std::span<const std::byte> payload) override;
  base::Result<void> poll(Events& events) override;

 private:
  base::Result<KafkaPointer<rd_kafka_t>> open(rd_kafka_type_t type) const;
  base::Result<void> open_producer();
  base::Result<void> create_topic();
  void delete_topic();
  base::Result<void> consume();
  base::Result<void> wait_for_leaders(rd_kafka_t* client) const;
  base::Result<void> take_reports(Events& events);
  base::Result<void> take_messages(Events& events);

  std::string address_;
  std::map<std::string, std::string> properties_;
  Workload workload_;
  bool has_topic_ = false;
  // What was opened first is closed last.
  KafkaPointer<rd_kafka_t> producer_;
  KafkaPointer<rd_kafka_queue_t> reports_;
  KafkaPointer<rd_kafka_topic_t> produced_;
  KafkaPointer<rd_kafka_t> consumer_;
  KafkaPointer<rd_kafka_queue_t> messages_;
  KafkaPointer<rd_kafka_topic_t> consumed_;
  rd_kafka_resp_err_t refused_ = RD_KAFKA_RESP_ERR_NO_ERROR;  // why an offer failed, other than
                                                              // for a full queue
};

}  // namespace millrace::loadgen

// See node_client.h.
#include "perf/bench/node_client.h"

#include <nlohmann/json.hpp>

#include "control/cli/node_access.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/units.h"
#include "perf/bench/interrupt.h"

namespace millrace::bench {

using base::Error;
using base::ErrorCode;

namespace {

constexpr std::uint64_t connect_wait_ns = 5 * base::second_ns;
constexpr std::uint64_t open_wait_ns = 60 * base::second_ns;  // of 10,000 streams, too
constexpr std::uint32_t silence_timeout_ms = 60'000;          // rounds of others go by

}  // namespace

Error interrupted_error() { return Error(ErrorCode::unavailable, "interrupted"); }

Error status_error(std::string_view what, std::int64_t status) {
  return Error(ErrorCode::unavailable, "{}: {}", what, status_text(status));
}

base::Result<std::unique_ptr<Client>> connect(const std::string& address,
                                              std::uint32_t packet_buffers) {
  mr_options options;
  mr_options_init(&options);
  options.address = address.c_str();
  options.packet_buffers = packet_buffers;
  options.silence_timeout_ms = silence_timeout_ms;
  options.idle_timeout_ms = silence_timeout_ms;
  auto opened = Client::connect(options);
  if (!opened) {
    return Error(ErrorCode::unavailable, "{}: {}", address,
                 opened.error().empty() ? status_text(opened.status()) : opened.error());
  }
  auto client = std::make_unique<Client>(std::move(*opened));
  base::SystemClock clock;
  const std::uint64_t give_up_ns = clock.monotonic_ns() + connect_wait_ns;
  while (client->status() != MR_OK) {
    if (interrupted()) return interrupted_error();
    if (clock.monotonic_ns() >= give_up_ns) {
      return Error(ErrorCode::unavailable,
                   "no node answers at {}; start one with 'millrace up', or measure one of the "
                   "bench's own with --self",
                   address);
    }
    client->poll();
  }
  return client;
}

base::Result<void> create_topic(const TopicOptions& topic) {
  auto admin = cli::admin_client({.port_offset = topic.port_offset});
  const nlohmann::json request = {
      {"name", topic.name}, {"partitions", topic.partitions}, {"durability", name(topic.ack)}};
  const auto reply = admin.post("/v1/topics", request.dump());
  if (!reply) return reply.error();
  if (reply->status >= 200 && reply->status < 300) return {};
  return Error(ErrorCode::unavailable, "cannot create topic {}: {}", topic.name, reply->body);
}

base::Result<void> delete_topic(const TopicOptions& topic) {
  auto admin = cli::admin_client({.port_offset = topic.port_offset});
  const auto reply = admin.remove("/v1/topics/" + topic.name);
  if (!reply) return reply.error();
  return {};
}

base::Result<Producer> open_producer(Client& client, const TopicOptions& topic,
                                     std::uint32_t batch_bytes, std::uint64_t buffer_bytes) {
  mr_producer_options options;
  mr_producer_options_init(&options);
  options.topic = topic.name.c_str();
  options.partition = topic.partitions == 1 ? 0 : MR_ALL_PARTITIONS;
  options.ack = topic.ack == Ack::memory ? MR_ACK_MEMORY : MR_ACK_DURABLE;
  options.batch_bytes = batch_bytes;
  if (buffer_bytes != 0) options.buffer_bytes = buffer_bytes;
  auto opened = client.open_producer(options);
  if (!opened) return status_error(topic.name, opened.status());
  Producer producer = std::move(*opened);
  base::SystemClock clock;
  const std::uint64_t give_up_ns = clock.monotonic_ns() + open_wait_ns;
  while (producer.next_sequence() < 0) {
    if (interrupted()) return interrupted_error();
    if (clock.monotonic_ns() >= give_up_ns) return status_error(topic.name, MR_TIMED_OUT);
    if (producer.status() == MR_UNKNOWN_TOPIC) producer.retry();
    if (const int status = producer.status(); status != MR_OK)
      return status_error(topic.name, status);
    client.poll();
  }
  return producer;
}

bool is_passing(std::int64_t status) {
  return status == MR_BACK_PRESSURED || status == MR_NOT_CONNECTED || status == MR_NOT_READY;
}

std::int64_t level(Ack ack, const mr_acks& acks) {
  return ack == Ack::memory ? acks.memory : acks.durable;
}

}  // namespace millrace::bench

// The C ABI: checks what comes in, and lets no exception out.
#include "dataplane/client/millrace.h"

#include <sys/random.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <optional>
#include <string>

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/client/client.h"
#include "dataplane/client/open_port.h"

namespace millrace::client {

// What a Client borrows; a base, so that it is there first and goes last.
struct Surroundings {
  explicit Surroundings(OpenPort&& opened) : port(std::move(opened)), path(port.port().path()) {}

  OpenPort port;
  base::SystemClock clock;
  std::string path;
};

}  // namespace millrace::client

using millrace::base::ms_ns;
using millrace::base::us_ns;
using millrace::client::Client;
using millrace::client::ClientOptions;
using millrace::client::Level;
using millrace::client::OpenPort;
using millrace::client::Producer;
using millrace::client::ProducerOptions;
using millrace::client::Subscription;
using millrace::client::SubscriptionOptions;
using millrace::client::Surroundings;
namespace native = millrace::native;

struct mr_client : Surroundings, Client {
  mr_client(OpenPort&& opened, const ClientOptions& options)
      : Surroundings(std::move(opened)), Client(Surroundings::port.port(), clock, options) {}
};

namespace {

Producer* unwrap(mr_producer* producer) { return reinterpret_cast<Producer*>(producer); }
const Producer* unwrap(const mr_producer* producer) {
  return reinterpret_cast<const Producer*>(producer);
}
Subscription* unwrap(mr_subscription* subscription) {
  return reinterpret_cast<Subscription*>(subscription);
}
const Subscription* unwrap(const mr_subscription* subscription) {
  return reinterpret_cast<const Subscription*>(subscription);
}
mr_client* client_of(Producer* producer) {
  return static_cast<mr_client*>(producer->session().client);
}

template <typename Work>
auto guarded(Work work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return MR_NO_MEMORY;
  }
}

std::uint64_t random_number() {
  std::uint64_t random = 0;
  CHECK(getrandom(&random, sizeof random, 0) == sizeof random);
  return random;
}

int fail(int status, std::string_view text, char* error, std::size_t error_bytes) {
  if (error != nullptr && error_bytes != 0) {
    const std::size_t bytes = std::min(text.size(), error_bytes - 1);
    std::memcpy(error, text.data(), bytes);
    error[bytes] = '\0';
  }
  return status;
}

bool valid_bytes(const void* at, std::size_t bytes) { return at != nullptr || bytes == 0; }

Producer::Bytes to_bytes(const void* at, std::size_t bytes) {
  if (at == nullptr) return std::nullopt;
  return std::string_view(static_cast<const char*>(at), bytes);
}

bool valid_topic(const char* topic) {
  return topic != nullptr && topic[0] != '\0' &&
         strnlen(topic, native::topic_bytes_max + 1) <= native::topic_bytes_max;
}

// 1 when there is something to do; records that wait to be delivered count only if asked for.
int wait(mr_client& client, std::uint64_t timeout_us, bool records) {
  const std::uint64_t start_ns = client.clock.monotonic_ns();
  const std::uint64_t timeout_ns = std::min<std::uint64_t>(timeout_us, ~0ULL / (2 * us_ns)) * us_ns;
  const std::uint64_t end_ns = start_ns + timeout_ns;
  for (std::uint64_t now_ns = start_ns;; now_ns = client.clock.monotonic_ns()) {
    if (client.look() || (records && client.has_records())) return 1;
    const std::uint64_t deadline_ns = client.deadline_ns();
    if (now_ns >= deadline_ns) return 1;
    if (now_ns >= end_ns) return 0;
    if (!client.Surroundings::port.wait(std::min(deadline_ns, end_ns) - now_ns))
      __builtin_ia32_pause();
  }
}

int connect(const mr_options& options, mr_client** client, char* error, std::size_t error_bytes) {
  const auto address = millrace::client::parse_address(options.address);
  if (!address) return fail(MR_BAD_ADDRESS, address.error().message(), error, error_bytes);
  auto opened = OpenPort::open(*address, options.packet_buffers);
  if (!opened) return fail(MR_NO_PORT, opened.error().message(), error, error_bytes);
  ClientOptions client_options;
  client_options.server = address->server;
  client_options.local_port = opened->local_port();
  client_options.delivery_timeout_ns = options.delivery_timeout_ms * ms_ns;
  client_options.connection.silence_timeout_ns = options.silence_timeout_ms * ms_ns;
  client_options.connection.idle_timeout_ms = options.idle_timeout_ms;
  client_options.connection.seed = random_number();
  *client = new mr_client(std::move(*opened), client_options);
  return MR_OK;
}

}  // namespace

extern "C" {

const char* mr_version(void) { return MILLRACE_VERSION; }

void mr_options_init(mr_options* options) {
  *options = mr_options();
  options->struct_bytes = sizeof *options;
  options->address = "127.0.0.1:7070";
  options->silence_timeout_ms = 2'000;
  options->delivery_timeout_ms = 30'000;
  options->idle_timeout_ms = 10'000;
}

int mr_connect(const mr_options* options, mr_client** client, char* error, size_t error_bytes) {
  fail(MR_OK, "", error, error_bytes);
  if (client == nullptr) return fail(MR_INVALID, "client is null", error, error_bytes);
  *client = nullptr;
  if (options == nullptr || options->struct_bytes < sizeof *options ||
      options->address == nullptr || options->silence_timeout_ms == 0 ||
      options->delivery_timeout_ms == 0 || options->idle_timeout_ms == 0)
    return fail(MR_INVALID, "options: use mr_options_init; no timeout may be 0", error,
                error_bytes);
  const uint32_t buffers = options->packet_buffers;
  if (buffers != 0 && (!std::has_single_bit(buffers) || buffers < 8 || buffers > 32'768))
    return fail(MR_INVALID, "packet_buffers is a power of two, 8 to 32768, or 0", error,
                error_bytes);
  return guarded([&] { return connect(*options, client, error, error_bytes); });
}

void mr_close(mr_client* client) { delete client; }

int mr_connection_status(const mr_client* client) {
  if (client == nullptr) return MR_INVALID;
  return client->status();
}

const char* mr_path(const mr_client* client) {
  return client == nullptr ? "" : client->path.c_str();
}

int mr_poll(mr_client* client, mr_handler handler, void* context, uint32_t records_max) {
  if (client == nullptr || (handler == nullptr && records_max != 0)) return MR_INVALID;
  return guarded([&] { return client->poll(handler, context, records_max); });
}

int mr_wait(mr_client* client, uint64_t timeout_us) {
  if (client == nullptr || client->polling()) return MR_INVALID;
  return guarded([&] { return wait(*client, timeout_us, true); });
}

int mr_get_stats(const mr_client* client, mr_stats* stats) {
  if (client == nullptr || stats == nullptr) return MR_INVALID;
  *stats = client->stats();
  return MR_OK;
}

void mr_producer_options_init(mr_producer_options* options) {
  *options = mr_producer_options();
  options->struct_bytes = sizeof *options;
  options->partition = MR_ALL_PARTITIONS;
  options->producer_id = MR_NEW_PRODUCER;
  options->ack = MR_ACK_DURABLE;
  options->linger_us = 1'000;
  options->buffer_bytes = 8 * millrace::base::mib;
}

int mr_producer_open(mr_client* client, const mr_producer_options* options,
                     mr_producer** producer) {
  if (producer == nullptr) return MR_INVALID;
  *producer = nullptr;
  if (client == nullptr || client->polling() || options == nullptr ||
      options->struct_bytes < sizeof *options || !valid_topic(options->topic) ||
      options->partition < MR_ALL_PARTITIONS || options->partition > 0xFFFF ||
      options->producer_id < MR_NEW_PRODUCER || options->ack > MR_ACK_DURABLE ||
      options->batch_bytes > millrace::storage::batch_bytes_max)
    return MR_INVALID;
  return guarded([&]() -> int {
    ProducerOptions open;
    open.topic = options->topic;
    open.partition = options->partition;
    open.producer_id = options->producer_id == MR_NEW_PRODUCER
                           ? static_cast<std::int64_t>(random_number() >> 1)
                           : options->producer_id;
    open.producer_epoch = options->producer_epoch;
    open.ack = static_cast<Level>(options->ack);
    open.batch_bytes = options->batch_bytes;
    open.linger_ns = options->linger_us * us_ns;
    open.buffer_bytes = options->buffer_bytes;
    *producer = reinterpret_cast<mr_producer*>(client->open_producer(open));
    return MR_OK;
  });
}

void mr_producer_close(mr_producer* producer) {
  if (producer != nullptr) client_of(unwrap(producer))->close_producer(unwrap(producer));
}

int64_t mr_offer(mr_producer* producer, const void* key, size_t key_bytes, const void* value,
                 size_t value_bytes) {
  if (producer == nullptr || !valid_bytes(key, key_bytes) || !valid_bytes(value, value_bytes))
    return MR_INVALID;
  return guarded([&]() -> std::int64_t {
    return unwrap(producer)->offer(to_bytes(key, key_bytes), to_bytes(value, value_bytes));
  });
}

int64_t mr_claim(mr_producer* producer, const void* key, size_t key_bytes, size_t value_bytes,
                 void** value) {
  if (producer == nullptr || value == nullptr || !valid_bytes(key, key_bytes)) return MR_INVALID;
  if (value_bytes > millrace::storage::batch_bytes_max) return MR_TOO_LARGE;
  return guarded([&]() -> std::int64_t {
    return unwrap(producer)->claim(to_bytes(key, key_bytes),
                                   static_cast<std::uint32_t>(value_bytes), value);
  });
}

int mr_commit(mr_producer* producer) {
  if (producer == nullptr) return MR_INVALID;
  return guarded([&] { return unwrap(producer)->commit(); });
}

int mr_abort(mr_producer* producer) {
  if (producer == nullptr) return MR_INVALID;
  return unwrap(producer)->abort();
}

int mr_flush(mr_producer* producer) {
  if (producer == nullptr) return MR_INVALID;
  return guarded([&] { return unwrap(producer)->flush(); });
}

int mr_drain(mr_producer* producer, uint32_t timeout_ms) {
  if (producer == nullptr || client_of(unwrap(producer))->polling()) return MR_INVALID;
  return guarded([&]() -> int {
    Producer& drained = *unwrap(producer);
    mr_client& client = *client_of(&drained);
    const std::uint64_t end_ns = client.clock.monotonic_ns() + timeout_ms * ms_ns;
    int status = drained.flush();
    while (status == MR_OK && !drained.drained()) {
      client.poll(nullptr, nullptr, 0);
      const std::uint64_t now_ns = client.clock.monotonic_ns();
      if ((status = drained.status()) != MR_OK || drained.drained()) break;
      if (now_ns >= end_ns) return MR_TIMED_OUT;
      wait(client, (end_ns - now_ns) / us_ns + 1, false);
    }
    return status;
  });
}

int mr_poll_acks(mr_producer* producer, mr_acks* acks) {
  if (producer == nullptr || acks == nullptr) return MR_INVALID;
  return unwrap(producer)->poll_acks(*acks);
}

int64_t mr_next_sequence(const mr_producer* producer) {
  if (producer == nullptr) return MR_INVALID;
  return unwrap(producer)->next_record();
}

int mr_producer_status(const mr_producer* producer) {
  if (producer == nullptr) return MR_INVALID;
  return unwrap(producer)->status();
}

uint32_t mr_producer_partition_count(const mr_producer* producer) {
  return producer == nullptr ? 0 : unwrap(producer)->lane_count();
}

int mr_producer_retry(mr_producer* producer) {
  if (producer == nullptr) return MR_INVALID;
  return unwrap(producer)->retry();
}

void mr_subscription_options_init(mr_subscription_options* options) {
  *options = mr_subscription_options();
  options->struct_bytes = sizeof *options;
  options->start = MR_FROM_LATEST;
}

int mr_subscribe(mr_client* client, const mr_subscription_options* options,
                 mr_subscription** subscription) {
  if (subscription == nullptr) return MR_INVALID;
  *subscription = nullptr;
  if (client == nullptr || client->polling() || options == nullptr ||
      options->struct_bytes < sizeof *options || !valid_topic(options->topic) ||
      options->partition > 0xFFFF || options->start > MR_FROM_TIME ||
      (options->start == MR_FROM_OFFSET && options->start_value < 0))
    return MR_INVALID;
  return guarded([&]() -> int {
    const SubscriptionOptions open{options->topic, static_cast<std::uint16_t>(options->partition),
                                   static_cast<native::StartAt>(options->start),
                                   options->start_value, options->context};
    *subscription = reinterpret_cast<mr_subscription*>(client->subscribe(open));
    return MR_OK;
  });
}

int mr_unsubscribe(mr_subscription* subscription) {
  if (subscription == nullptr) return MR_OK;
  Client& client = *unwrap(subscription)->session().client;
  if (client.polling()) return MR_INVALID;
  client.unsubscribe(unwrap(subscription));
  return MR_OK;
}

int mr_subscription_position(const mr_subscription* subscription, mr_position* position) {
  if (subscription == nullptr || position == nullptr) return MR_INVALID;
  return unwrap(subscription)->position(*position);
}

void* mr_subscription_context(const mr_subscription* subscription) {
  return subscription == nullptr ? nullptr : unwrap(subscription)->context();
}

}  // extern "C"

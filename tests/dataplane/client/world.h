// World: a client and a scripted node over a line, moved on by virtual time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/client/client.h"
#include "tests/dataplane/client/link_port.h"
#include "tests/dataplane/client/scripted_node.h"

namespace millrace::client {

struct SeenRecord {
  std::int64_t offset;
  std::optional<std::string> key;
  std::optional<std::string> value;
};

class World {
 public:
  explicit World(const LineOptions& line = {})
      : port(clock, line, endpoint()),
        node([this](PacketBytes packet) {
          port.to_client().send(std::move(packet), clock.monotonic_ns());
        }),
        client(std::make_unique<Client>(port, clock, options())) {}

  static base::Endpoint endpoint() { return {0x7f000001, 7070, 0, {}}; }
  static ClientOptions options() {
    ClientOptions options;
    options.server = endpoint();
    options.local_port = 1;
    options.delivery_timeout_ns = 5 * base::second_ns;
    return options;
  }

  // One turn of everything; step_ns goes by.
  void turn() {
    clock.advance(step_ns);
    PacketBytes packet;
    while (port.to_node().receive(packet, clock.monotonic_ns()))
      node.receive(packet, clock.monotonic_ns());
    node.poll(clock.monotonic_ns());
    if (client != nullptr)
      client->poll(
          [](void* context, const mr_record* record) {
            static_cast<World*>(context)->seen.push_back(copy(*record));
          },
          this, records_max);
  }
  // Turns until done() or limit_ns went by; says whether it was done.
  template <typename Done>
  bool run_until(Done done, std::uint64_t limit_ns = 20 * base::second_ns) {
    const std::uint64_t end_ns = clock.monotonic_ns() + limit_ns;
    while (!done()) {
      if (clock.monotonic_ns() >= end_ns) return false;
      turn();
    }
    return true;
  }
  void run_for(std::uint64_t ns) {
    run_until([] { return false; }, ns);
  }

  Producer* producer(const std::string& topic = "t", ProducerOptions options = {}) {
    options.topic = topic;
    Producer* producer = client->open_producer(options);
    run_until([&] { return producer->ready() || producer->status() != MR_OK; });
    return producer;
  }
  Subscription* subscribe(native::StartAt start_at = native::StartAt::earliest,
                          std::int64_t value = 0) {
    return client->subscribe({"t", 0, start_at, value, nullptr});
  }
  // Offers, with as many turns as it takes.
  std::int64_t offer(Producer* producer, Producer::Bytes key, Producer::Bytes value) {
    std::int64_t result = MR_BACK_PRESSURED;
    run_until([&] {
      result = producer->offer(key, value);
      return result != MR_BACK_PRESSURED && result != MR_NOT_CONNECTED;
    });
    return result;
  }
  static SeenRecord copy(const mr_record& record) {
    const auto text = [](const void* at, std::size_t bytes) {
      return at == nullptr ? std::nullopt
                           : std::optional(std::string(static_cast<const char*>(at), bytes));
    };
    return {record.offset, text(record.key, record.key_bytes),
            text(record.value, record.value_bytes)};
  }

  base::VirtualClock clock;
  LinkPort port;
  ScriptedNode node;
  std::unique_ptr<Client> client;
  std::vector<SeenRecord> seen;
  std::uint64_t step_ns = 5'000;
  std::uint32_t records_max = 1'000'000;
};

}  // namespace millrace::client

// NatsDriver: core (PUB, SUB) or JetStream (a stream in files, an ordered push consumer).
// Owns:  two connections, one writes and one reads, and the stream.
//
// A partition is a subject of its own. Core answers nothing. JetStream answers a publish on the
// subject it asked for, whose tail is here the message's number; its consumer acknowledges nothing
// and keeps the server's pace with flow control, as that of NATS's own clients does.
// Source: https://docs.nats.io/reference/reference-protocols/nats-protocol
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "perf/loadgen/drivers/driver.h"
#include "perf/loadgen/drivers/tcp_stream.h"

namespace millrace::loadgen {

enum class NatsKind : std::uint8_t { core, jetstream };

class NatsDriver final : public Driver {
 public:
  NatsDriver(std::string address, NatsKind kind) : address_(std::move(address)), kind_(kind) {}
  ~NatsDriver() override;

  base::Result<void> prepare(const Workload& workload) override;
  bool offer(std::uint64_t number, std::span<const std::byte> payload) override;
  base::Result<void> poll(Events& events) override;
  bool acknowledges() const override { return kind_ == NatsKind::jetstream; }

 private:
  base::Result<void> create_stream();
  base::Result<void> subscribe();
  base::Result<void> create_consumer();
  base::Result<void> request(std::string_view subject, std::string_view body);
  base::Result<void> take_answers(Events& events);
  base::Result<void> take_messages(Events& events);

  std::string address_;
  NatsKind kind_;
  Workload workload_;
  std::string answers_;   // subject before a message's number
  std::string delivery_;  // subject
  bool has_stream_ = false;
  std::optional<TcpStream> writer_;
  std::optional<TcpStream> reader_;
  std::uint64_t unanswered_ = 0;
};

}  // namespace millrace::loadgen

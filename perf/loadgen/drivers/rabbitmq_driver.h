// RabbitMqDriver: AMQP 0-9-1 through librabbitmq: publishes with confirms, consumes with acks.
// Owns:  two connections: one publishes, one consumes; one queue for each partition.
//
// The library's own publish waits for the socket and makes three system calls a message, so frames
// are written here, side by side, and sent as far as the socket takes them. All else is its.
#pragma once

#include <amqp.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "perf/loadgen/drivers/driver.h"

namespace millrace::loadgen {

struct RabbitMqOptions {
  std::string address;  // "HOST:PORT"
  std::string queue_type = "classic";
  bool is_persistent = true;
};

struct AmqpClose {
  void operator()(amqp_connection_state_t connection) const;
};
using AmqpConnection = std::unique_ptr<amqp_connection_state_t_, AmqpClose>;

class RabbitMqDriver final : public Driver {
 public:
  explicit RabbitMqDriver(RabbitMqOptions options) : options_(std::move(options)) {}
  ~RabbitMqDriver() override;

  base::Result<void> prepare(const Workload& workload) override;
  bool offer(std::uint64_t number, std::span<const std::byte> payload) override;
  base::Result<void> poll(Events& events) override;
  bool is_queue() const override { return true; }

 private:
  // A message on its way in: its frames come one by one.
  struct Arriving {
    std::uint32_t source = 0;
    std::uint64_t tag = 0;
    std::size_t bytes = 0;  // of the whole
    std::vector<std::byte> payload;
  };

  base::Result<void> declare_queues();
  base::Result<void> consume();
  std::string queue(std::size_t partition) const;
  base::Result<void> send_some();
  base::Result<void> take_confirms(Events& events);
  void confirm(std::uint64_t tag, bool is_multiple, Events& events);
  base::Result<void> take_messages(Events& events);
  base::Result<void> take_frame(const amqp_frame_t& frame, Events& events);
  base::Result<void> acknowledge();

  RabbitMqOptions options_;
  Workload workload_;
  AmqpConnection publisher_;
  AmqpConnection consumer_;
  bool has_queues_ = false;                  // that it takes away
  std::vector<std::string> publish_frames_;  // by partition
  std::string out_;                          // frames for the publisher's socket
  std::size_t sent_ = 0;                     // of out_
  std::deque<bool> confirmed_;               // from lowest_ on
  std::uint64_t lowest_ = 0;                 // the lowest number that is not confirmed
  Arriving arriving_;
  std::uint64_t taken_ = 0;         // the last delivery tag
  std::uint64_t acknowledged_ = 0;  // to the server: tags up to this
};

}  // namespace millrace::loadgen

// Client: one connection to a node and all that is published and subscribed over it.
// Core:  the thread that uses it; no others.
// Owns:  producers and subscriptions. Port and clock are borrowed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/base/endpoint.h"
#include "dataplane/client/datagram_channel.h"
#include "dataplane/client/producer.h"
#include "dataplane/client/session.h"
#include "dataplane/client/subscription.h"
#include "dataplane/port/port.h"

namespace millrace::client {

struct ClientOptions {
  base::Endpoint server;
  std::uint16_t local_port = 0;  // UDP port that packets leave from and come back to
  std::uint64_t delivery_timeout_ns = 30 * base::second_ns;
  ConnectionOptions connection;
};

class Client {
 public:
  Client(port::Port& port, base::Clock& clock, const ClientOptions& options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  Producer* open_producer(ProducerOptions options);
  void close_producer(Producer* producer);
  Subscription* subscribe(const SubscriptionOptions& options);
  void unsubscribe(Subscription* subscription);

  // Records delivered, or MR_INVALID from within a handler.
  int poll(mr_handler handler, void* context, std::uint32_t records_max);
  // Takes in what has arrived, and no more: for waiting without a system call to wait in. True when
  // something had.
  bool look();
  // When poll() has something to do even if no packet comes.
  std::uint64_t deadline_ns() const;
  // Records wait that poll() did not deliver.
  bool has_records() const;
  bool polling() const { return polling_; }

  int status() const;
  mr_stats stats() const;
  Session& session() { return session_; }

 private:
  bool receive();
  bool is_quiet(bool received);
  void handle(const native::Request& packet);
  void handle_ack(std::span<const std::byte> body);
  void handle_open_ack(std::span<const std::byte> body);
  void handle_sub_ack(std::span<const std::byte> body);
  void handle_close_ack(std::span<const std::byte> body);
  void handle_error(std::span<const std::byte> body);
  std::uint32_t deliver(mr_handler handler, void* context, std::uint32_t records_max);
  bool take_push();
  void recover();
  void poll_requests();
  void keep_house();

  static constexpr std::uint64_t house_interval_ns = 10 * base::ms_ns;
  // A program that does not poll for longer than this has not been waiting.
  static constexpr std::uint64_t house_elapsed_max_ns = 10 * house_interval_ns;
  static constexpr std::uint32_t bursts_max = 8;  // received in one poll
  // Of empty polls, one in so many does everything, and so does one after this time.
  static constexpr std::uint32_t quiet_polls_max = 8;
  static constexpr std::uint64_t quiet_ns_max = 10 * base::us_ns;

  ClientOptions options_;
  DatagramChannel channel_;
  Session session_;
  std::vector<std::unique_ptr<Producer>> producers_;
  std::vector<std::unique_ptr<Subscription>> subscriptions_;
  Subscription* delivering_ = nullptr;  // its batch is in the first PUSH held
  bool polling_ = false;
  std::array<Received, port::burst_max> burst_{};  // being received
  std::uint64_t house_kept_ns_ = 0;
  std::uint32_t quiet_polls_ = 0;
  std::uint64_t quiet_until_ns_ = 0;
  std::uint64_t wall_aligned_ns_ = 0;
};

}  // namespace millrace::client

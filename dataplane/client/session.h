// Session: what all producers and subscriptions of one client share.
// Core:  the client's thread.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/base/units.h"
#include "dataplane/client/connection.h"
#include "dataplane/client/handle_table.h"
#include "dataplane/client/lane.h"
#include "dataplane/client/request.h"
#include "dataplane/client/send_queue.h"

namespace millrace::client {

class Client;
class Subscription;

struct Session {
  // A stream or subscription that is not wanted any more.
  struct Closing {
    native::PacketType type = native::PacketType::close;
    std::uint32_t handle = 0;
    Request request;
  };

  Session(DatagramChannel& channel, base::Clock& system_clock, const ConnectionOptions& options)
      : clock(system_clock), connection(channel, options), queue(connection) {
    read_clock();
    align_wall();
  }

  std::uint64_t read_clock() { return now_ns = clock.monotonic_ns(); }
  void align_wall() { wall_ahead_ns = clock.wall_ns() - now_ns; }
  std::int64_t wall_ms() const {
    return static_cast<std::int64_t>((now_ns + wall_ahead_ns) / base::ms_ns);
  }
  // The node remembers the answers to the last few ids, so no id may run ahead of an older one
  // that is not answered.
  bool may_ask() const { return next_request_id - first_unanswered_id < native::requests_max; }
  void ask(Request& request) {
    if (request.state == Request::State::wanted) {
      request.id = next_request_id++;
      unanswered[request.id % native::requests_max] = true;
    }
    request.asked(now_ns);
  }
  // It is answered, or no longer wanted.
  void withdraw(Request& request) {
    if (request.state == Request::State::pending)
      unanswered[request.id % native::requests_max] = false;
    request.state = Request::State::idle;
    while (first_unanswered_id != next_request_id &&
           !unanswered[first_unanswered_id % native::requests_max])
      ++first_unanswered_id;
  }
  void restart_requests() {
    unanswered = {};
    first_unanswered_id = next_request_id = 1;
    requests_due_ns = 0;
  }
  // A request became wanted: look at them in the next poll.
  void want_requests() { requests_due_ns = 0; }
  void close_handle(native::PacketType type, std::uint32_t handle) {
    if (!connection.established() || handle == 0) return;
    closing.push_back({type, handle, {}});
    closing.back().request.want(now_ns);
    want_requests();
  }

  Client* client = nullptr;  // whose it is
  base::Clock& clock;
  Connection connection;
  SendQueue queue;
  HandleTable<Lane> streams;
  HandleTable<Subscription> subscriptions;
  std::vector<Closing> closing;
  std::uint64_t now_ns = 0;
  std::uint64_t wall_ahead_ns = 0;  // wall clock minus monotonic
  std::uint64_t requests_due_ns = 0;
  std::uint32_t pending_batches = 0;  // sealed and not acknowledged
  std::uint32_t next_request_id = 1;  // counts up in each session
  std::uint32_t first_unanswered_id = 1;
  std::array<bool, native::requests_max> unanswered{};
};

}  // namespace millrace::client

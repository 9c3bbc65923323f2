// Pusher: what a subscriber is sent: batches from the log as PUSH packets, their repair, BEATs.
// Core:  the sessions'.
//
// Nothing of a batch is kept here. A subscription is a cursor; the shard pushes from it as far as
// it was granted bytes, and ranges that cannot be sent now are forgotten and granted again from the
// cursor when the window opens. A packet that was lost is read from the log again.
#pragma once

#include <cstdint>

#include "dataplane/protocol/native/tables.h"

namespace millrace::native {

class Pusher {
 public:
  explicit Pusher(Tables& tables) : tables_(tables) {}

  // Each adds at most one command.
  void on_batch(const shard::Event& event, std::uint64_t now_ns, protocol::Effects& effects);
  void on_ended(const shard::Event& event, protocol::Effects& effects);
  // Sends, at the end of a turn. False when buffers or command slots ran out.
  bool send_repairs(Session& session, std::uint64_t now_ns, protocol::Effects& effects);
  bool grant_credit(Session& session, std::uint64_t now_ns, protocol::Effects& effects);
  void send_beats(std::uint64_t now_ns, protocol::Effects& effects);

 private:
  // Sends as much of the range as it can and moves the cursor.
  void push(Session& session, Subscription& subscription, const shard::Event& event,
            std::uint64_t now_ns, protocol::Effects& effects);
  void on_repair(const shard::Event& event, protocol::Effects& effects);
  bool send_gone(Session& session, std::uint64_t pkt_seq, std::uint16_t header_flags,
                 protocol::Effects& effects);
  void close_at_shard(const Subscription& subscription, protocol::Effects& effects);
  void end(Subscription& subscription, Status status);

  Tables& tables_;
};

}  // namespace millrace::native

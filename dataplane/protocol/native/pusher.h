// Pusher: what a subscriber is sent: batches from the log as PUSH packets, their repair, BEATs.
// Core:  the sessions'.
//
// Nothing of a batch is kept here. A subscription is a cursor; the shard pushes from it as far as
// it was granted bytes, and ranges that cannot be sent now are forgotten and granted again from the
// cursor when the window opens. Small batches of one turn share a packet. A packet that was lost is
// read from the log again, batch after batch.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dataplane/protocol/native/tables.h"

namespace millrace::native {

class Pusher {
 public:
  explicit Pusher(Tables& tables);

  // Each adds at most one command.
  void on_batch(const shard::Event& event, std::uint64_t now_ns, protocol::Effects& effects);
  void on_ended(const shard::Event& event, protocol::Effects& effects);
  // Sends, at the end of a turn. False when buffers or command slots ran out.
  bool send_repairs(Session& session, std::uint64_t now_ns, protocol::Effects& effects);
  bool grant_credit(Session& session, std::uint64_t now_ns, protocol::Effects& effects);
  void send_beats(std::uint64_t now_ns, protocol::Effects& effects);

 private:
  // A packet of several batches that is read again, one after the other.
  struct Rebuilt {
    std::uint32_t session = 0;
    std::uint64_t pkt_seq = 0;
    std::uint32_t byte_count = 0;  // that are here
    base::Offset next_offset = 0;  // of the batch that follows
    std::vector<std::byte> bytes;
  };
  // More that are lost at once wait until they are asked for again.
  static constexpr std::uint32_t rebuilt_max = 8;

  // Sends as much of the range as it can and moves the cursor.
  void push(Session& session, Subscription& subscription, const shard::Event& event,
            std::uint64_t now_ns, protocol::Effects& effects);
  bool add_to_open(Session& session, const Subscription& subscription, const shard::Event& event,
                   protocol::Effects& effects);
  std::uint32_t send_pushes(Session& session, Subscription& subscription, const shard::Event& event,
                            std::uint64_t now_ns, protocol::Effects& effects);
  void on_repair(const shard::Event& event, protocol::Effects& effects);
  void repair(Session& session, const Subscription& subscription, std::uint64_t pkt_seq,
              protocol::Effects& effects);
  void read_again(const Session& session, const Subscription& subscription, std::uint64_t pkt_seq,
                  const Rebuilt* rebuilt, protocol::Effects& effects);
  bool add_to_rebuilt(Rebuilt& rebuilt, const SentPush& sent, const shard::Event& event);
  Rebuilt* find_rebuilt(std::uint32_t session, std::uint64_t pkt_seq);
  Rebuilt* claim_rebuilt(std::uint32_t session, std::uint64_t pkt_seq);
  // False when there is no buffer for it; it stays wanted.
  bool send_again(Session& session, std::uint64_t pkt_seq, const std::byte* bytes,
                  protocol::Effects& effects);
  void give_up(Session& session, std::uint64_t pkt_seq, shard::Status status,
               protocol::Effects& effects);
  bool send_gone(Session& session, std::uint64_t pkt_seq, std::uint16_t header_flags,
                 protocol::Effects& effects);
  void close_at_shard(const Subscription& subscription, protocol::Effects& effects);
  void end(Subscription& subscription, Status status);

  Tables& tables_;
  std::array<Rebuilt, rebuilt_max> rebuilt_;
};

}  // namespace millrace::native

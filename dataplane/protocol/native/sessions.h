// Sessions: the server side of the native protocol, for all peers of one core.
// Core:  the one whose ports the peers come through.
// Owns:  the sessions, streams and subscriptions of these peers; memory from the core's arena.
// Step:  4 (handle_request) and 9 (encode_reply) of the walk.
//
// One turn of the core's loop: handle_request for each datagram, encode_reply for each event,
// poll, flush. Each adds commands and packets to the effects as far as there is room and keeps the
// rest for the next turn. README.md is the specification.
#pragma once

#include <cstdint>

#include "dataplane/protocol/native/handshake.h"
#include "dataplane/protocol/native/intake.h"
#include "dataplane/protocol/native/pusher.h"
#include "dataplane/protocol/native/requests.h"
#include "dataplane/protocol/native/tables.h"

namespace millrace::native {

class Sessions {
 public:
  Sessions(const SessionsOptions& options, base::Arena& arena)
      : tables_(options, arena),
        handshake_(tables_),
        intake_(tables_),
        requests_(tables_, intake_),
        pusher_(tables_) {}
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;

  // Arena bytes that the constructor takes.
  static std::uint64_t arena_bytes(const SessionsOptions& options) {
    return Tables::arena_bytes(options);
  }

  // request: what decode_request made of the datagram.
  protocol::Disposition handle_request(const Request& request, const protocol::Datagram& datagram,
                                       std::uint64_t now_ns, protocol::Effects& effects);
  // effects.commands has a free slot: one event adds at most one command. The event's bytes are
  // used within the call.
  void encode_reply(const shard::Event& event, std::uint64_t now_ns, protocol::Effects& effects);
  // Held packets that there is room for now, and whatever is due. Cheap when nothing is.
  void poll(std::uint64_t now_ns, protocol::Effects& effects);
  // End of the turn: ACKs, NAKs, repairs and credit of the sessions that this turn touched.
  void flush(std::uint64_t now_ns, protocol::Effects& effects);

  // When poll() has something to do next; 0: at once; never_ns: not before a packet or an event.
  std::uint64_t next_deadline_ns() const;
  // Ends every session with this status, over the next flushes; the peers connect elsewhere or
  // again.
  void end_all(Status status);

  std::uint32_t session_count() const { return tables_.sessions.count(); }
  std::uint32_t stream_count() const { return tables_.streams.count(); }
  std::uint32_t subscription_count() const { return tables_.subscriptions.count(); }
  const SessionsFigures& figures() const { return tables_.figures; }

 private:
  Session* find(const protocol::Datagram& datagram, const Header& header);
  protocol::Disposition handle_control(Session& session, const protocol::Datagram& datagram,
                                       const Request& request, std::uint64_t now_ns,
                                       protocol::Effects& effects);
  base::DropReason on_ping(Session& session, const Ping& ping, std::uint64_t now_ns,
                           protocol::Effects& effects);
  void tell_unknown_session(const protocol::Datagram& datagram, std::uint32_t session,
                            std::uint64_t now_ns, protocol::Effects& effects);
  void on_deadline(Session& session, std::uint64_t now_ns, protocol::Effects& effects);
  // False when something is left for the next turn.
  bool serve(Session& session, std::uint64_t now_ns, protocol::Effects& effects);
  bool send_nak(Session& session, std::uint64_t now_ns, protocol::Effects& effects);
  void begin_end(Session& session, Status status);
  bool finish(Session& session, protocol::Effects& effects);
  bool release_held(Session& session, protocol::Effects& effects);

  Tables tables_;
  Handshake handshake_;
  Intake intake_;
  Requests requests_;
  Pusher pusher_;
  std::uint32_t stalled_turn_ = 0;
  std::uint64_t unknown_interval_ns_ = 0;  // of the answers to unknown sessions
  std::uint32_t unknown_left_ = 0;
};

}  // namespace millrace::native

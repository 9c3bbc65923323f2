// Tables: all sessions, streams and subscriptions of one core, and the lists of who needs service.
// Core:  the sessions'.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/base/arena.h"
#include "dataplane/base/units.h"
#include "dataplane/protocol/native/cookie.h"
#include "dataplane/protocol/native/deadline_heap.h"
#include "dataplane/protocol/native/pending_acks.h"
#include "dataplane/protocol/native/reassembly.h"
#include "dataplane/protocol/native/session.h"
#include "dataplane/protocol/native/slot_table.h"
#include "dataplane/protocol/protocol.h"

namespace millrace::native {

struct PortLimits {
  std::uint32_t credits = 0;  // packets that can wait unread: receive descriptors to share
  std::uint32_t payload_bytes_max = 0;  // biggest UDP payload the port carries
};

struct SessionsOptions {
  base::CoreId core{};
  std::uint32_t sessions_max = 256;
  std::uint32_t streams_max = 4096;
  std::uint32_t subscriptions_max = 1024;
  std::uint32_t shard_count = 1;
  std::uint32_t pending_acks_max = 16384;                // per shard, a power of two
  std::uint32_t reassembly_buffers = 8;                  // of 1 MiB
  std::uint64_t idle_timeout_ns = 10 * base::second_ns;  // where the client has no wish
  std::uint64_t idle_timeout_max_ns = 60 * base::second_ns;
  Secret secret{};  // random, new with every start
  std::array<PortLimits, protocol::ports_max> ports{};
};

struct SessionsFigures {
  std::uint64_t sessions_opened = 0;
  std::uint64_t packets_repaired = 0;
};

struct Tables {
  Tables(const SessionsOptions& options, base::Arena& arena);
  static std::uint64_t arena_bytes(const SessionsOptions& options);

  // --- sessions ---
  // The session of a peer that did this handshake, or null.
  Session* find_session(const base::Endpoint& peer, const Nonce& nonce);
  // Enters it under its peer and nonce.
  void enter_session(Session& session);
  void remove_session(Session& session);

  // --- streams and subscriptions of a session ---
  Stream* take_stream(Session& session);
  Stream* find_stream(const Session& session, std::uint32_t handle);
  // The slot is free when the last append of it has been answered.
  void close_stream(Stream& stream);
  Subscription* take_subscription(Session& session);
  Subscription* find_subscription(const Session& session, std::uint32_t handle);
  void remove_subscription(Subscription& subscription);
  // Its watermarks, or its refusal, are told at the end of this turn.
  void mark_dirty(Stream& stream);
  // Nobody waits for them: they are told with the next ACK, or so much later.
  static constexpr std::uint64_t late_ns = 100 * base::ms_ns;
  void mark_dirty_late(Stream& stream, std::uint64_t now_ns);
  void mark_error(Stream& stream);
  // It waits for credit of the shard, or to tell its end.
  void mark_wanting(Subscription& subscription);
  Subscription* take_wanting(Session& session);
  Session& session_of(const Stream& stream) { return sessions.at(stream.session); }
  Session& session_of(const Subscription& subscription) {
    return sessions.at(subscription.session);
  }

  // The session is served at the end of this turn.
  void want_service(Session& session) {
    if (session.on_worklist) return;
    session.on_worklist = true;
    worklist[worklist_count++] = sessions.index_of(session);
  }
  // A session holds as many frames as it was charged for. Those that got credit where none was left
  // hold a quarter of the port's descriptors together: a frame that is held is not received into,
  // and what it waits for has to come.
  bool may_hold(const Session& session) const {
    const std::uint16_t port = session.peer.port_index;
    return is_charged(session) || uncharged_held[port] < options.ports[port].credits / 4;
  }
  void count_held(const Session& session) {
    if (!is_charged(session)) ++uncharged_held[session.peer.port_index];
  }
  void count_released(const Session& session) {
    if (!is_charged(session)) --uncharged_held[session.peer.port_index];
  }
  void set_stalled(Session& session);
  void clear_stalled(Session& session);

  SessionsOptions options;
  SlotTable<Session> sessions;
  SlotTable<Stream> streams;
  SlotTable<Subscription> subscriptions;
  PendingAcks pending_acks;
  Reassembly reassembly;
  DeadlineHeap session_deadlines;  // by session slot
  DeadlineHeap beats;              // by subscription slot
  std::array<std::uint32_t, protocol::ports_max> credits_left{};
  std::array<std::uint32_t, protocol::ports_max> uncharged_held{};  // frames
  SessionsFigures figures;

  std::span<std::uint32_t> worklist;  // session slots
  std::uint32_t worklist_count = 0;
  std::span<std::uint32_t> stalled;  // session slots
  std::uint32_t stalled_count = 0;

 private:
  static bool is_charged(const Session& session) {
    return session.charged_credit == session.granted_credit;
  }
  std::uint32_t& bucket_of(const base::Endpoint& peer, const Nonce& nonce);
  void link_dirty(Session& session, Stream& stream);
  void unlink_marks(Stream& stream);
  void unlink_wanting(Subscription& subscription);

  std::span<std::uint32_t> buckets_;  // first session of each hash
};

// The header of a packet to the peer.
inline Header header_to(Session& session, PacketType type) {
  session.acked_upto = session.receive.ack_upto();
  session.told_credit = session.receive.credit();
  return {type, session.peer_session, 0, 0, session.acked_upto, session.told_credit};
}

inline protocol::Packet* begin_packet(const Session& session, protocol::Effects& effects) {
  return effects.writer(session.peer).begin(session.peer, session.local_port);
}
inline void commit_packet(const Session& session, protocol::Effects& effects,
                          protocol::Packet& packet, std::uint32_t bytes) {
  packet.bytes = bytes;
  effects.writer(session.peer).commit();
}

// A packet of one struct, or false when the port has no buffer this turn.
template <typename Body>
bool send_packet(Session& session, PacketType type, const Body& body, protocol::Effects& effects) {
  protocol::Packet* packet = begin_packet(session, effects);
  if (packet == nullptr) return false;
  commit_packet(session, effects, *packet, encode(packet->payload, header_to(session, type), body));
  return true;
}

}  // namespace millrace::native

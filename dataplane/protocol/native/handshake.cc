#include "dataplane/protocol/native/handshake.h"

#include <algorithm>

namespace millrace::native {

namespace {

using base::DropReason;

template <typename Body>
bool answer(const protocol::Datagram& datagram, const Hello& hello, PacketType type,
            const Body& body, protocol::Effects& effects) {
  protocol::PacketWriter& writer = effects.writer(datagram.peer);
  protocol::Packet* packet = writer.begin(datagram.peer, datagram.local_port);
  if (packet == nullptr) return false;
  packet->bytes = encode(packet->payload, {.type = type, .session = hello.session}, body);
  writer.commit();
  return true;
}

}  // namespace

protocol::Disposition Handshake::on_hello(const protocol::Datagram& datagram,
                                          const Request& request, std::uint64_t now_ns,
                                          protocol::Effects& effects) {
  const Hello hello = load_hello(request.body);
  const auto refused = [&](Status status, DropReason reason) -> protocol::Disposition {
    const ErrorReply error{status, 0, 0, name(status)};
    return {.reason = answer(datagram, hello, PacketType::error, error, effects)
                          ? reason
                          : DropReason::busy};
  };
  if (hello.version_min > version || hello.version_max < version) {
    return refused(Status::unsupported_version, DropReason::bad_version);
  }
  if (hello.payload_bytes_max < payload_bytes_min) {
    return refused(Status::bad_request, DropReason::malformed);
  }
  if (!cookies_.valid(hello.cookie, datagram.peer, hello.nonce, now_ns)) {
    const CookieReply reply{hello.nonce, cookies_.make(datagram.peer, hello.nonce, now_ns)};
    if (!answer(datagram, hello, PacketType::cookie, reply, effects)) {
      return {.reason = DropReason::busy};
    }
    return {.reason = hello.cookie == Cookie{} ? DropReason::none : DropReason::bad_cookie};
  }
  Session* session = tables_.find_session(datagram.peer, hello.nonce);
  if (session == nullptr) session = begin_session(datagram, hello, now_ns);
  if (session == nullptr || session->ending) {
    return refused(Status::session_table_full, DropReason::session_table_full);
  }
  const Welcome welcome{
      .payload_bytes_max = session->payload_bytes_max,
      .credit = session->granted_credit,
      .session = session->id,
      .idle_timeout_ms = static_cast<std::uint32_t>(session->idle_timeout_ns / base::ms_ns),
      .nonce = hello.nonce,
      .server_ns = now_ns};
  // Without a buffer the client asks again and finds its session.
  const bool answered = answer(datagram, hello, PacketType::welcome, welcome, effects);
  return {.reason = answered ? DropReason::none : DropReason::busy};
}

Session* Handshake::begin_session(const protocol::Datagram& datagram, const Hello& hello,
                                  std::uint64_t now_ns) {
  // A quarter of what is left, so that late sessions find some; never so little that a lost packet
  // stops the session, though then packets of many may find no descriptor and be sent again.
  constexpr std::uint32_t credit_min = 2;
  std::uint32_t& left = tables_.credits_left[datagram.peer.port_index];
  Session* session = tables_.sessions.take();
  if (session == nullptr) return nullptr;
  const std::uint32_t granted = std::clamp(left / 4, credit_min, window_packets);
  session->charged_credit = static_cast<std::uint16_t>(std::min(left, granted));
  left -= session->charged_credit;

  const SessionsOptions& options = tables_.options;
  const std::uint64_t wish_ns = std::uint64_t{hello.idle_timeout_ms} * base::ms_ns;
  session->peer_session = hello.session;
  session->peer = datagram.peer;
  session->local_port = datagram.local_port;
  session->payload_bytes_max = static_cast<std::uint16_t>(std::min<std::uint32_t>(
      hello.payload_bytes_max, options.ports[datagram.peer.port_index].payload_bytes_max));
  session->granted_credit = static_cast<std::uint16_t>(granted);
  session->last_heard_ns = now_ns;
  session->idle_timeout_ns =
      wish_ns == 0 ? options.idle_timeout_ns
                   : std::clamp(wish_ns, 100 * base::ms_ns, options.idle_timeout_max_ns);
  session->nonce = hello.nonce;
  session->receive.reset(granted);
  session->send.reset(hello.credit, now_ns);
  session->told_credit = session->granted_credit;
  tables_.enter_session(*session);
  tables_.session_deadlines.set(tables_.sessions.index_of(*session),
                                now_ns + session->idle_timeout_ns);
  ++tables_.figures.sessions_opened;
  return session;
}

}  // namespace millrace::native

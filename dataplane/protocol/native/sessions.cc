#include "dataplane/protocol/native/sessions.h"

#include <algorithm>

namespace millrace::native {

namespace {

constexpr std::uint64_t assembly_timeout_ns = 5 * base::second_ns;
using base::DropReason;

static_assert(static_cast<int>(shard::Status::not_ready) == static_cast<int>(Status::not_ready));
static_assert(static_cast<int>(shard::Status::fenced) == static_cast<int>(Status::fenced));
static_assert(static_cast<int>(shard::Status::journal_full) ==
              static_cast<int>(Status::journal_full));
static_assert(static_cast<int>(shard::Status::offset_out_of_range) ==
              static_cast<int>(Status::offset_out_of_range));
static_assert(static_cast<int>(shard::StartAt::time) == static_cast<int>(StartAt::time));

constexpr std::uint32_t unknown_replies_max = 64;  // per millisecond
constexpr std::uint64_t round_trip_max_ns = 10 * base::second_ns;

}  // namespace

protocol::Disposition Sessions::handle_request(const Request& request,
                                               const protocol::Datagram& datagram,
                                               std::uint64_t now_ns, protocol::Effects& effects) {
  if (request.header.type == PacketType::hello) {
    return handshake_.on_hello(datagram, request, now_ns, effects);
  }
  Session* session = find(datagram, request.header);
  if (session == nullptr) {
    tell_unknown_session(datagram, request.header.session, now_ns, effects);
    return {.reason = DropReason::unknown_session};
  }
  session->last_heard_ns = now_ns;
  if (session->send.on_ack(request.header.ack_upto, request.header.credit, now_ns) &&
      session->first_wanting != no_slot) {
    tables_.want_service(*session);
  }
  if (request.header.type == PacketType::data) {
    session->last_data_ns = now_ns;
    return intake_.on_data(*session, datagram, request, now_ns, effects);
  }
  return handle_control(*session, datagram, request, now_ns, effects);
}

Session* Sessions::find(const protocol::Datagram& datagram, const Header& header) {
  Session* session = tables_.sessions.find(header.session);
  if (session == nullptr || session->ending || session->local_port != datagram.local_port ||
      !(session->peer == datagram.peer)) {
    return nullptr;
  }
  return session;
}

protocol::Disposition Sessions::handle_control(Session& session, const protocol::Datagram& datagram,
                                               const Request& request, std::uint64_t now_ns,
                                               protocol::Effects& effects) {
  switch (request.header.type) {
    case PacketType::ack:
      return {};
    case PacketType::nak:
      for (std::uint32_t i = 0; i < nak_range_count(request.body); ++i) {
        session.send.on_nak(load_nak_range(request.body, i));
      }
      tables_.want_service(session);
      return {};
    case PacketType::ping:
      session.peer.mac = datagram.peer.mac;  // the peer's next hop may have changed
      return {.reason = on_ping(session, load_ping(request.body), now_ns, effects)};
    case PacketType::pong: {
      const Pong pong = load_pong(request.body);
      if (pong.sent_ns > now_ns || now_ns - pong.sent_ns > round_trip_max_ns) {
        return {.reason = DropReason::malformed};
      }
      session.send.add_sample(now_ns - pong.sent_ns);
      return {};
    }
    case PacketType::open:
      return {.reason = requests_.on_open(session, load_open(request.body), effects)};
    case PacketType::close:
      return {.reason = requests_.on_close(session, load_close(request.body), effects)};
    case PacketType::subscribe:
      return {.reason = requests_.on_subscribe(session, load_subscribe(request.body), effects)};
    case PacketType::unsubscribe:
      return {.reason = requests_.on_unsubscribe(session, load_close(request.body), effects)};
    case PacketType::end:
      begin_end(session, Status::ok);
      return {};
    default:
      return {.reason = DropReason::unknown_type};  // one that only servers send
  }
}

DropReason Sessions::on_ping(Session& session, const Ping& ping, std::uint64_t now_ns,
                             protocol::Effects& effects) {
  // Buffers for fragments are few: who began a batch and sends no more of it is not kept by pings
  // alone.
  if (session.assembly != Reassembly::none && !session.stalled &&
      now_ns - session.last_data_ns >= assembly_timeout_ns) {
    begin_end(session, Status::idle_timeout);
    return DropReason::none;
  }
  session.peer_srtt_ns = std::min(ping.srtt_ns, round_trip_max_ns);
  intake_.report_again(session);
  tables_.want_service(session);
  const Pong pong{ping.sent_ns, now_ns};
  return send_packet(session, PacketType::pong, pong, effects) ? DropReason::none
                                                               : DropReason::busy;
}

void Sessions::tell_unknown_session(const protocol::Datagram& datagram, std::uint32_t session,
                                    std::uint64_t now_ns, protocol::Effects& effects) {
  if (datagram.bytes < error_overhead_bytes) return;  // never more than was sent
  if (now_ns - unknown_interval_ns_ >= base::ms_ns) {
    unknown_interval_ns_ = now_ns;
    unknown_left_ = unknown_replies_max;
  }
  if (unknown_left_ == 0) return;
  --unknown_left_;
  protocol::PacketWriter& writer = effects.writer(datagram.peer);
  protocol::Packet* packet = writer.begin(datagram.peer, datagram.local_port);
  if (packet == nullptr) return;
  packet->bytes = encode(packet->payload, {.type = PacketType::error},
                         ErrorReply{Status::unknown_session, session, 0, {}});
  writer.commit();
}

void Sessions::encode_reply(const shard::Event& event, std::uint64_t now_ns,
                            protocol::Effects& effects) {
  switch (event.kind) {
    case shard::EventKind::appended:
      intake_.on_appended(event);
      return;
    case shard::EventKind::durable:
      intake_.on_durable(event, now_ns);
      return;
    case shard::EventKind::batch:
      pusher_.on_batch(event, now_ns, effects);
      return;
    case shard::EventKind::opened:
      requests_.on_opened(event, effects);
      return;
    case shard::EventKind::subscribed:
      requests_.on_subscribed(event, now_ns, effects);
      return;
    case shard::EventKind::ended:
      if (event.subscription != 0) {
        pusher_.on_ended(event, effects);
      } else if (Stream* stream = tables_.streams.find(event.stream);
                 stream != nullptr &&
                 (stream->state == StreamState::open || stream->state == StreamState::refused)) {
        intake_.refuse(*stream, event.status == shard::Status::ok
                                    ? Status::partition_gone
                                    : static_cast<Status>(event.status));
      }
      return;
  }
}

void Sessions::poll(std::uint64_t now_ns, protocol::Effects& effects) {
  const std::uint32_t attempts = tables_.stalled_count;
  for (std::uint32_t i = 0; i < attempts && tables_.stalled_count != 0; ++i) {
    if (effects.commands.full() || effects.append_room_bytes == 0) break;
    // Another one is first in the next turn.
    const std::uint32_t at = (stalled_turn_ + i) % tables_.stalled_count;
    intake_.deliver_held(tables_.sessions.at(tables_.stalled[at]), effects);
  }
  ++stalled_turn_;
  std::uint32_t slot = 0;
  while (tables_.session_deadlines.take_due(now_ns, slot)) {
    on_deadline(tables_.sessions.at(slot), now_ns, effects);
  }
  pusher_.send_beats(now_ns, effects);
}

void Sessions::on_deadline(Session& session, std::uint64_t now_ns, protocol::Effects& effects) {
  tables_.want_service(session);
  if (now_ns - session.last_heard_ns >= session.idle_timeout_ns) {
    begin_end(session, Status::idle_timeout);
    return;
  }
  session.send.on_deadline(now_ns);
  if (session.ping_at_ns > now_ns) return;
  const Ping ping{now_ns, session.send.srtt_known() ? session.send.srtt_ns() : 0};
  send_packet(session, PacketType::ping, ping, effects);
  session.ping_interval_ns = std::min(session.ping_interval_ns * 2, timeout_max_ns);
  session.ping_at_ns = now_ns + session.ping_interval_ns;
}

void Sessions::flush(std::uint64_t now_ns, protocol::Effects& effects) {
  const std::uint32_t count = tables_.worklist_count;
  std::uint32_t kept = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t slot = tables_.worklist[i];
    Session& session = tables_.sessions.at(slot);
    if (serve(session, now_ns, effects)) {
      session.on_worklist = false;
    } else {
      tables_.worklist[kept++] = slot;
    }
  }
  CHECK(tables_.worklist_count == count);
  tables_.worklist_count = kept;
}

bool Sessions::serve(Session& session, std::uint64_t now_ns, protocol::Effects& effects) {
  if (session.ending) return finish(session, effects);
  bool done = intake_.send_errors(session, effects) && intake_.send_acks(session, effects);
  if (session.receive.nak_due_ns() <= now_ns) done = send_nak(session, now_ns, effects) && done;
  if (session.send.in_flight() != 0) done = pusher_.send_repairs(session, now_ns, effects) && done;
  if (session.first_wanting != no_slot) {
    done = pusher_.grant_credit(session, now_ns, effects) && done;
  }
  const std::uint64_t deadline_ns =
      std::min({session.last_heard_ns + session.idle_timeout_ns, session.receive.nak_due_ns(),
                session.send.deadline_ns(), session.ping_at_ns});
  tables_.session_deadlines.set(tables_.sessions.index_of(session), deadline_ns);
  return done;
}

bool Sessions::send_nak(Session& session, std::uint64_t now_ns, protocol::Effects& effects) {
  protocol::Packet* packet = begin_packet(session, effects);
  if (packet == nullptr) return false;
  const std::uint64_t srtt_ns = session.peer_srtt_ns != 0   ? session.peer_srtt_ns
                                : session.send.srtt_known() ? session.send.srtt_ns()
                                                            : srtt_initial_ns;
  std::array<PacketRange, nak_ranges_max> ranges;
  const std::uint32_t count = session.receive.missing_packets(now_ns, srtt_ns, ranges);
  if (count == 0) return true;
  commit_packet(session, effects, *packet,
                encode(packet->payload, header_to(session, PacketType::nak),
                       std::span<const PacketRange>(ranges.data(), count)));
  return true;
}

void Sessions::begin_end(Session& session, Status status) {
  if (session.ending) return;
  session.ending = true;
  session.end_status = status;
  tables_.clear_stalled(session);
  tables_.want_service(session);
}

bool Sessions::finish(Session& session, protocol::Effects& effects) {
  if (!session.end_told) {
    // Once; who misses it learns from the answer to an unknown session.
    session.end_told = true;
    send_packet(session, PacketType::end, End{session.end_status}, effects);
  }
  while (session.first_subscription != no_slot) {
    Subscription& subscription = tables_.subscriptions.at(session.first_subscription);
    if (subscription.state == SubscriptionState::active) {
      if (effects.commands.full()) return false;
      effects.commands.push({.kind = shard::CommandKind::close,
                             .core = tables_.options.core,
                             .session = session.id,
                             .stream = subscription.id,
                             .partition = subscription.partition,
                             .subscription = subscription.at_shard});
    }
    tables_.remove_subscription(subscription);
  }
  while (session.first_stream != no_slot) {
    tables_.close_stream(tables_.streams.at(session.first_stream));
  }
  intake_.drop_assembly(session);
  if (!release_held(session, effects)) return false;
  tables_.credits_left[session.peer.port_index] += session.charged_credit;
  tables_.remove_session(session);
  return true;
}

bool Sessions::release_held(Session& session, protocol::Effects& effects) {
  const ReceiveWindow& window = session.receive;
  for (; session.release_next <= window.highest_seq(); ++session.release_next) {
    if (!window.holds(session.release_next)) continue;
    if (effects.released.full()) return false;
    const HeldFrame& held = session.held[window_slot(session.release_next)];
    effects.released.push({.data = held.data,
                           .bytes = held.bytes,
                           .local_port = session.local_port,
                           .peer = session.peer,
                           .frame = held.frame});
    tables_.count_released(session);
  }
  return true;
}

void Sessions::end_all(Status status) {
  for (std::uint32_t slot = 0; slot < tables_.sessions.capacity(); ++slot) {
    Session& session = tables_.sessions.at(slot);
    if (session.id != 0) begin_end(session, status);
  }
}

std::uint64_t Sessions::next_deadline_ns() const {
  if (tables_.worklist_count != 0 || tables_.stalled_count != 0) return 0;
  return std::min(tables_.session_deadlines.next_ns(), tables_.beats.next_ns());
}

}  // namespace millrace::native

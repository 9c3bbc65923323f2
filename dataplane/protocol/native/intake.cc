#include "dataplane/protocol/native/intake.h"

#include <algorithm>

namespace millrace::native {

namespace {

using base::DropReason;

constexpr std::uint16_t whole_batch = fragment_first | fragment_last;

// How far past what the stream has accepted a 31-bit sequence number ends, negative for old ones.
std::int64_t distance(std::uint64_t accepted, std::int32_t last_sequence) {
  const auto next = (static_cast<std::uint32_t>(last_sequence) + 1) & 0x7fff'ffffU;
  const auto ahead = (next - static_cast<std::uint32_t>(accepted)) & 0x7fff'ffffU;
  return ahead < 0x4000'0000U ? std::int64_t{ahead} : std::int64_t{ahead} - 0x8000'0000LL;
}

}  // namespace

protocol::Disposition Intake::hold(Session& session, const protocol::Datagram& datagram,
                                   std::uint64_t pkt_seq) {
  session.held[window_slot(pkt_seq)] = {datagram.data, datagram.frame, datagram.bytes};
  tables_.count_held(session);
  return {.held = true};
}

protocol::Disposition Intake::on_data(Session& session, const protocol::Datagram& datagram,
                                      const Request& request, std::uint64_t now_ns,
                                      protocol::Effects& effects) {
  const std::uint64_t pkt_seq = request.header.pkt_seq;
  tables_.want_service(session);
  if ((request.header.flags & flag_ack_now) != 0) session.ack_due = true;
  if (!tables_.may_hold(session)) return on_data_unheld(session, request, now_ns, effects);
  switch (session.receive.arrive(pkt_seq, now_ns)) {
    case ReceiveWindow::Arrival::duplicate:
      session.ack_due = true;
      return {.reason = DropReason::duplicate_packet};
    case ReceiveWindow::Arrival::outside:
      session.ack_due = true;
      return {.reason = DropReason::outside_window};
    case ReceiveWindow::Arrival::held:
      return hold(session, datagram, pkt_seq);
    case ReceiveWindow::Arrival::next:
      break;
  }
  const Delivery delivery = deliver(session, request.body, effects);
  if (delivery.blocked) {
    tables_.set_stalled(session);
    return hold(session, datagram, pkt_seq);
  }
  session.receive.delivered();
  if (session.receive.deliverable()) deliver_held(session, effects);
  return {.reason = delivery.reason};
}

// Takes the next packet if it can be used at once; any other comes again.
protocol::Disposition Intake::on_data_unheld(Session& session, const Request& request,
                                             std::uint64_t now_ns, protocol::Effects& effects) {
  ReceiveWindow& window = session.receive;
  const std::uint64_t pkt_seq = request.header.pkt_seq;
  Delivery delivery{.blocked = true};
  if (pkt_seq == window.next_seq() && !window.deliverable()) {
    delivery = deliver(session, request.body, effects);
  }
  if (delivery.blocked) {
    session.ack_due = true;
    return {.reason = DropReason::outside_window};
  }
  window.arrive(pkt_seq, now_ns);
  window.delivered();
  if (window.deliverable()) deliver_held(session, effects);
  return {.reason = delivery.reason};
}

void Intake::deliver_held(Session& session, protocol::Effects& effects) {
  ReceiveWindow& window = session.receive;
  bool blocked = false;
  while (window.deliverable()) {
    const HeldFrame& held = session.held[window_slot(window.next_seq())];
    blocked =
        effects.released.full() ||
        deliver(session, {held.data + header_bytes, held.bytes - header_bytes}, effects).blocked;
    if (blocked) break;
    effects.released.push({.data = held.data,
                           .bytes = held.bytes,
                           .local_port = session.local_port,
                           .peer = session.peer,
                           .frame = held.frame});
    tables_.count_released(session);
    window.delivered();
  }
  tables_.want_service(session);
  if (blocked) {
    tables_.set_stalled(session);
  } else {
    tables_.clear_stalled(session);
  }
}

Intake::Delivery Intake::deliver(Session& session, std::span<const std::byte> body,
                                 protocol::Effects& effects) {
  const DataHeader data = load_data(body);
  Stream* stream = tables_.find_stream(session, data.stream);
  if (stream == nullptr || !stream->publishes || stream->state == StreamState::opening) {
    return {.reason = DropReason::unknown_stream};
  }
  if (stream->state == StreamState::refused) {
    tables_.mark_error(*stream);
    return {.reason = DropReason::stream_refused};
  }
  const auto payload = data_payload(body);
  if ((data.flags & whole_batch) != whole_batch) {
    return add_fragment(session, *stream, data, payload, effects);
  }
  return {.blocked = !append(session, *stream, data, payload, effects)};
}

bool Intake::has_room(const Stream& stream, std::uint64_t bytes,
                      const protocol::Effects& effects) const {
  return !effects.commands.full() && bytes <= effects.append_room_bytes &&
         tables_.pending_acks.has_room(stream.shard);
}

bool Intake::append(Session& session, Stream& stream, const DataHeader& data,
                    std::span<const std::byte> batch, protocol::Effects& effects) {
  if (!has_room(stream, batch.size(), effects)) return false;
  tables_.pending_acks.reserve(stream.shard);
  effects.append_room_bytes -= batch.size();
  const bool wants_durable = (data.flags & data_durable) != 0;
  stream.awaits_device |= wants_durable;
  effects.commands.push({.kind = shard::CommandKind::append,
                         .wants_durable = wants_durable,
                         .core = tables_.options.core,
                         .session = session.id,
                         .stream = stream.id,
                         .partition = stream.partition,
                         .byte_count = static_cast<std::uint32_t>(batch.size()),
                         .bytes = batch.data()});
  ++stream.appends_sent;
  ++session.appends_in_flight;
  return true;
}

Intake::Delivery Intake::add_fragment(Session& session, Stream& stream, const DataHeader& data,
                                      std::span<const std::byte> fragment,
                                      protocol::Effects& effects) {
  Reassembly& reassembly = tables_.reassembly;
  if ((data.flags & fragment_first) != 0) {
    drop_assembly(session);
    session.assembly = reassembly.acquire();
    if (session.assembly == Reassembly::none) return {.blocked = true};
    session.assembly_stream = stream.id;
  } else if (session.assembly == Reassembly::none || session.assembly_stream != stream.id) {
    return {.reason = DropReason::malformed};
  }
  const std::uint32_t buffer = session.assembly;
  const bool last = (data.flags & fragment_last) != 0;
  const std::uint64_t bytes = reassembly.bytes(buffer).size() + fragment.size();
  if (last && bytes <= storage::batch_bytes_max && !has_room(stream, bytes, effects)) {
    return {.blocked = true};
  }
  if (!reassembly.add(buffer, fragment)) {
    drop_assembly(session);
    refuse(stream, Status::too_large);
    return {.reason = DropReason::stream_refused};
  }
  if (!last) return {};
  const bool appended = append(session, stream, data, reassembly.bytes(buffer), effects);
  CHECK(appended);
  reassembly.hand_over(buffer, stream.id, stream.appends_sent);
  session.assembly = Reassembly::none;
  return {};
}

void Intake::drop_assembly(Session& session) {
  if (session.assembly == Reassembly::none) return;
  tables_.reassembly.release(session.assembly);
  session.assembly = Reassembly::none;
}

void Intake::on_appended(const shard::Event& event) {
  Stream* stream = tables_.streams.find(event.stream);
  if (stream == nullptr) return;
  CHECK(stream->appends_answered != stream->appends_sent);
  tables_.pending_acks.unreserve(stream->shard);
  ++stream->appends_answered;
  tables_.reassembly.on_appended(stream->id, stream->appends_answered);
  if (stream->state == StreamState::closing) {
    if (stream->appends_answered == stream->appends_sent) tables_.streams.give_back(*stream);
    return;
  }
  --tables_.session_of(*stream).appends_in_flight;
  if (event.status != shard::Status::ok && event.status != shard::Status::duplicate) {
    refuse(*stream, static_cast<Status>(event.status));
    return;
  }
  const std::int64_t ahead = distance(stream->accepted, event.sequence);
  const std::uint64_t end = ahead < 0 && static_cast<std::uint64_t>(-ahead) > stream->accepted
                                ? 0
                                : stream->accepted + static_cast<std::uint64_t>(ahead);
  stream->accepted = std::max(stream->accepted, end);
  if (!tables_.pending_acks.push(stream->shard, {event.position, end, stream->id})) {
    stream->durable = std::max(stream->durable, end);
  }
  tables_.mark_dirty(*stream);
}

void Intake::on_durable(const shard::Event& event, std::uint64_t now_ns) {
  tables_.pending_acks.set_durable(event.shard, event.position);
  PendingAck pending;
  while (tables_.pending_acks.pop(event.shard, pending)) {
    Stream* stream = tables_.streams.find(pending.stream);
    if (stream == nullptr || stream->state == StreamState::closing) continue;
    stream->durable = std::max(stream->durable, pending.sequence);
    if (stream->awaits_device) {
      tables_.mark_dirty(*stream);
    } else {
      tables_.mark_dirty_late(*stream, now_ns);
    }
  }
}

void Intake::refuse(Stream& stream, Status status) {
  if (stream.state != StreamState::refused) {
    stream.state = StreamState::refused;
    stream.refusal = status;
  }
  tables_.mark_error(stream);
}

bool Intake::send_errors(Session& session, protocol::Effects& effects) {
  while (session.first_error != no_slot) {
    Stream& stream = tables_.streams.at(session.first_error);
    const ErrorReply error{stream.refusal, stream.id, stream.accepted, name(stream.refusal)};
    if (!send_packet(session, PacketType::error, error, effects)) return false;
    session.first_error = stream.next_error;
    stream.error_due = false;
  }
  return true;
}

bool Intake::send_acks(Session& session, protocol::Effects& effects) {
  const ReceiveWindow& window = session.receive;
  if (!session.ack_due && session.first_dirty == no_slot) {
    const std::uint64_t news =
        std::max(window.ack_upto() - session.acked_upto,
                 window.ack_upto() + window.credit() - (session.acked_upto + session.told_credit));
    // An append on its way brings its own ACK.
    const std::uint64_t wanted =
        session.appends_in_flight == 0 ? 1 : std::max(1, session.granted_credit / 4);
    if (news < wanted) return true;
  }
  const std::uint32_t entries_max = ack_entries_max(session.payload_bytes_max);
  do {
    protocol::Packet* packet = begin_packet(session, effects);
    if (packet == nullptr) return false;
    std::uint32_t count = 0;
    for (; count < entries_max && session.first_dirty != no_slot; ++count) {
      Stream& stream = tables_.streams.at(session.first_dirty);
      // A node without replicas is a quorum of one: replicated is memory.
      store_ack_entry(packet->payload, count,
                      {stream.id, stream.accepted, stream.accepted, stream.durable});
      session.first_dirty = stream.next_dirty;
      stream.dirty = false;
    }
    commit_packet(session, effects, *packet,
                  finish_ack(packet->payload, header_to(session, PacketType::ack), count));
    session.ack_due = false;
  } while (session.first_dirty != no_slot);
  return true;
}

void Intake::report_again(Session& session) {
  session.ack_due = true;
  if (session.first_stream == no_slot) return;
  // Two packets' worth; a session with more streams is told the rest by the next PINGs.
  const std::uint32_t count_max = 2 * ack_entries_max(session.payload_bytes_max);
  std::uint32_t slot = session.report_next == no_slot ? session.first_stream : session.report_next;
  for (std::uint32_t i = 0; i < count_max && slot != no_slot; ++i) {
    Stream& stream = tables_.streams.at(slot);
    if (stream.publishes && stream.state != StreamState::opening) tables_.mark_dirty(stream);
    if (stream.state == StreamState::refused) tables_.mark_error(stream);
    slot = stream.next;
  }
  session.report_next = slot;
}

}  // namespace millrace::native

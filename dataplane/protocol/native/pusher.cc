#include "dataplane/protocol/native/pusher.h"

#include <algorithm>
#include <cstring>

namespace millrace::native {

namespace {

// What one grant fills at most: enough to keep a link busy, little enough that one turn can send
// it.
constexpr std::uint32_t grant_packets = 65;

bool is_whole(const shard::Event& event) {
  return event.skip_bytes == 0 && event.byte_count == event.batch_bytes;
}

std::uint16_t fragment_flags(std::uint32_t skip_bytes, std::uint32_t bytes,
                             std::uint32_t batch_bytes) {
  const auto first = skip_bytes == 0 ? fragment_first : std::uint16_t{0};
  const auto last = skip_bytes + bytes == batch_bytes ? fragment_last : std::uint16_t{0};
  return static_cast<std::uint16_t>(first | last);
}

// Does the range start at the subscription's next byte, or a batch that was begun begin again?
// Others were on their way when the cursor was set anew.
bool continues(const Subscription& subscription, const shard::Event& event) {
  if (event.skip_bytes != 0) {
    return event.skip_bytes == subscription.skip_bytes && event.offset == subscription.offset;
  }
  return event.asked_offset <= subscription.offset &&
         subscription.offset < event.offset + std::int64_t{event.offset_count};
}

}  // namespace

Pusher::Pusher(Tables& tables) : tables_(tables) {
  std::uint32_t payload_bytes_max = 0;
  for (const PortLimits& port : tables.options.ports) {
    payload_bytes_max = std::max(payload_bytes_max, port.payload_bytes_max);
  }
  for (Rebuilt& one : rebuilt_) one.bytes.resize(payload_bytes_max);
}

void Pusher::on_batch(const shard::Event& event, std::uint64_t now_ns, protocol::Effects& effects) {
  if (event.subscription == 0) {
    on_repair(event, effects);
    return;
  }
  Subscription* subscription = tables_.subscriptions.find(event.stream);
  if (subscription == nullptr || subscription->state != SubscriptionState::active ||
      subscription->at_shard != event.subscription) {
    return;
  }
  CHECK(event.status == shard::Status::ok);
  CHECK(event.byte_count != 0 && event.skip_bytes <= event.batch_bytes);
  CHECK(event.byte_count <= event.batch_bytes - event.skip_bytes);
  subscription->log_end = std::max(subscription->log_end, event.log_end);
  if (subscription->granted_bytes == 0 || !continues(*subscription, event)) return;
  if (event.skip_bytes != 0 && event.batch_bytes != subscription->batch_bytes) {
    // Compaction has made another batch of it: it is sent again from its beginning.
    subscription->skip_bytes = 0;
    subscription->granted_bytes = 0;
    tables_.mark_wanting(*subscription);
    return;
  }
  push(tables_.session_of(*subscription), *subscription, event, now_ns, effects);
}

void Pusher::push(Session& session, Subscription& subscription, const shard::Event& event,
                  std::uint64_t now_ns, protocol::Effects& effects) {
  const std::uint32_t sent_bytes = add_to_open(session, subscription, event, effects)
                                       ? event.byte_count
                                       : send_pushes(session, subscription, event, now_ns, effects);
  if (event.skip_bytes + sent_bytes == event.batch_bytes) {
    subscription.offset = event.offset + std::int64_t{event.offset_count};
    subscription.skip_bytes = 0;
  } else if (sent_bytes != 0) {
    subscription.offset = event.offset;
    subscription.skip_bytes = event.skip_bytes + sent_bytes;
    subscription.batch_bytes = event.batch_bytes;
  }
  // A range that did not go out whole: the rest is granted again from the cursor.
  subscription.granted_bytes =
      sent_bytes < event.byte_count
          ? 0
          : subscription.granted_bytes - std::min(subscription.granted_bytes, sent_bytes);
  if (subscription.granted_bytes == 0) tables_.mark_wanting(subscription);
  subscription.beat_interval_ns = beat_first_ns;
  subscription.beat_at_ns = now_ns + beat_first_ns;
  tables_.beats.set(tables_.subscriptions.index_of(subscription), subscription.beat_at_ns);
  tables_.want_service(session);
}

// Into the packet with the batches before it, while that waits to be sent.
bool Pusher::add_to_open(Session& session, const Subscription& subscription,
                         const shard::Event& event, protocol::Effects& effects) {
  if (subscription.open_seq == 0 || !is_whole(event)) return false;
  protocol::Packet* packet = effects.writer(session.peer).waiting(subscription.open_packet);
  if (packet == nullptr || packet->bytes + event.byte_count > session.payload_bytes_max) {
    return false;
  }
  std::memcpy(packet->payload + packet->bytes, event.bytes, event.byte_count);
  packet->bytes += event.byte_count;
  SentPush& sent = session.sent[window_slot(subscription.open_seq)];
  sent.end_offset = event.offset + std::int64_t{event.offset_count};
  sent.batch_bytes += event.byte_count;
  sent.bytes = static_cast<std::uint16_t>(sent.batch_bytes);
  store_push_batch_bytes(packet->payload, sent.batch_bytes);
  return true;
}

// In packets of its own, as far as window and buffers go; how much of it.
std::uint32_t Pusher::send_pushes(Session& session, Subscription& subscription,
                                  const shard::Event& event, std::uint64_t now_ns,
                                  protocol::Effects& effects) {
  const std::uint32_t room_bytes = session.payload_bytes_max - push_overhead_bytes;
  std::uint32_t sent_bytes = 0;
  while (sent_bytes < event.byte_count && session.send.can_send()) {
    protocol::Packet* packet = begin_packet(session, effects);
    if (packet == nullptr) break;
    const std::uint32_t bytes = std::min(room_bytes, event.byte_count - sent_bytes);
    const std::uint32_t skip_bytes = event.skip_bytes + sent_bytes;
    const std::uint64_t pkt_seq = session.send.take_seq(now_ns);
    Header header = header_to(session, PacketType::push);
    header.pkt_seq = pkt_seq;
    store_push(packet->payload, header,
               {subscription.id, fragment_flags(skip_bytes, bytes, event.batch_bytes), event.offset,
                skip_bytes, event.batch_bytes});
    std::memcpy(packet->payload + push_overhead_bytes, event.bytes + sent_bytes, bytes);
    commit_packet(session, effects, *packet, push_overhead_bytes + bytes);
    session.sent[window_slot(pkt_seq)] = {
        .base_offset = event.offset,
        .end_offset = event.offset + std::int64_t{event.offset_count},
        .subscription = subscription.id,
        .skip_bytes = skip_bytes,
        .batch_bytes = event.batch_bytes,
        .bytes = static_cast<std::uint16_t>(bytes)};
    sent_bytes += bytes;
    subscription.open_packet = effects.writer(session.peer).committed();
    subscription.open_seq = bytes == event.batch_bytes ? pkt_seq : 0;
  }
  return sent_bytes;
}

bool Pusher::grant_credit(Session& session, std::uint64_t now_ns, protocol::Effects& effects) {
  while (session.first_wanting != no_slot) {
    const std::uint32_t room = session.send.room();
    if (room == 0) {
      if (session.send.in_flight() == 0 && session.ping_at_ns == never_ns) {
        session.ping_interval_ns = timeout_min_ns;
        session.ping_at_ns = now_ns + session.ping_interval_ns;
      }
      return true;  // the peer's next ACK brings the session back
    }
    session.ping_at_ns = never_ns;
    Subscription& subscription = tables_.subscriptions.at(session.first_wanting);
    if (subscription.state == SubscriptionState::ended) {
      if (effects.writer(session.peer).room() == 0) return false;
      const std::uint64_t pkt_seq = session.send.take_seq(now_ns);
      session.sent[window_slot(pkt_seq)] = {
          .base_offset = subscription.offset,
          .subscription = subscription.id,
          .skip_bytes = static_cast<std::uint32_t>(subscription.end_status),
          .gone = true};
      send_gone(session, pkt_seq, 0, effects);
    } else {
      if (effects.commands.full()) return false;
      // Packets of small batches may be left half empty, and those at either end hold a piece of
      // one: what one subscription is granted fits all the same, and is not read twice.
      const std::uint32_t packets = std::max(1U, (std::min(room, grant_packets) - 1) / 2);
      subscription.granted_bytes = packets * (session.payload_bytes_max - push_overhead_bytes);
      effects.commands.push({.kind = shard::CommandKind::credit,
                             .core = tables_.options.core,
                             .session = session.id,
                             .stream = subscription.id,
                             .partition = subscription.partition,
                             .byte_count = subscription.granted_bytes,
                             .offset = subscription.offset,
                             .skip_bytes = subscription.skip_bytes,
                             .subscription = subscription.at_shard});
    }
    tables_.take_wanting(session);
  }
  return true;
}

bool Pusher::send_gone(Session& session, std::uint64_t pkt_seq, std::uint16_t header_flags,
                       protocol::Effects& effects) {
  protocol::Packet* packet = begin_packet(session, effects);
  if (packet == nullptr) return false;
  const SentPush& sent = session.sent[window_slot(pkt_seq)];
  Header header = header_to(session, PacketType::push);
  header.pkt_seq = pkt_seq;
  header.flags = header_flags;
  store_push(packet->payload, header,
             {sent.subscription, push_gone, sent.base_offset, sent.skip_bytes, 0});
  commit_packet(session, effects, *packet, push_overhead_bytes);
  return true;
}

bool Pusher::send_repairs(Session& session, std::uint64_t now_ns, protocol::Effects& effects) {
  for (std::uint32_t i = 0; i < window_packets; ++i) {
    if (effects.commands.full() || effects.writer(session.peer).room() == 0) return false;
    const std::uint64_t pkt_seq = session.send.take_repair(now_ns);
    if (pkt_seq == 0) return true;
    ++tables_.figures.packets_repaired;
    SentPush& sent = session.sent[window_slot(pkt_seq)];
    const Subscription* subscription = tables_.find_subscription(session, sent.subscription);
    if (subscription == nullptr && !sent.gone) {  // nobody reads it, but its number must arrive
      sent.gone = true;
      sent.skip_bytes = static_cast<std::uint32_t>(Status::unknown_subscription);
    }
    if (sent.gone) {
      send_gone(session, pkt_seq, flag_repair, effects);
    } else {
      repair(session, *subscription, pkt_seq, effects);
    }
  }
  return true;
}

// From where an earlier one got to: a peer asks again before many batches have been read.
void Pusher::repair(Session& session, const Subscription& subscription, std::uint64_t pkt_seq,
                    protocol::Effects& effects) {
  Rebuilt* rebuilt = find_rebuilt(session.id, pkt_seq);
  if (rebuilt == nullptr || rebuilt->byte_count != session.sent[window_slot(pkt_seq)].batch_bytes) {
    read_again(session, subscription, pkt_seq, rebuilt, effects);
  } else if (send_again(session, pkt_seq, rebuilt->bytes.data(), effects)) {
    rebuilt->session = 0;
  }
}

// The token says how much of the packet was there, so that a read that was repeated is known.
void Pusher::read_again(const Session& session, const Subscription& subscription,
                        std::uint64_t pkt_seq, const Rebuilt* rebuilt, protocol::Effects& effects) {
  const SentPush& sent = session.sent[window_slot(pkt_seq)];
  const std::uint32_t had_bytes = rebuilt == nullptr ? 0 : rebuilt->byte_count;
  effects.commands.push({.kind = shard::CommandKind::read,
                         .core = tables_.options.core,
                         .session = session.id,
                         .stream = subscription.id,
                         .partition = subscription.partition,
                         .byte_count = sent.bytes - had_bytes,
                         .offset = had_bytes == 0 ? sent.base_offset : rebuilt->next_offset,
                         .skip_bytes = sent.skip_bytes,
                         .token = pkt_seq | std::uint64_t{had_bytes} << 48});
}

void Pusher::on_repair(const shard::Event& event, protocol::Effects& effects) {
  const std::uint64_t pkt_seq = event.token & sequence_max;
  Session* session = tables_.sessions.find(event.session);
  if (session == nullptr || session->ending || !session->send.is_in_flight(pkt_seq)) return;
  const SentPush& sent = session->sent[window_slot(pkt_seq)];
  const Subscription* subscription = tables_.find_subscription(*session, sent.subscription);
  if (sent.gone || sent.subscription != event.stream || subscription == nullptr) return;

  Rebuilt* rebuilt = find_rebuilt(session->id, pkt_seq);
  const std::uint64_t had_bytes = event.token >> 48;
  if (had_bytes != (rebuilt == nullptr ? 0 : rebuilt->byte_count)) return;  // answered before
  if (event.status != shard::Status::ok) return give_up(*session, pkt_seq, event.status, effects);
  const bool is_start = event.offset == sent.base_offset && event.skip_bytes == sent.skip_bytes;
  if (is_start && event.batch_bytes == sent.batch_bytes) {
    if (event.byte_count >= sent.bytes) {
      send_again(*session, pkt_seq, event.bytes, effects);
    } else {
      session->send.return_repair(pkt_seq);
      tables_.want_service(*session);
    }
    return;
  }
  // Retention took its bytes, or compaction did; or else it has more batches than this one.
  if (sent.is_piece() || (had_bytes == 0 && !is_start)) {
    return give_up(*session, pkt_seq, shard::Status::offset_out_of_range, effects);
  }
  if (rebuilt == nullptr) rebuilt = claim_rebuilt(session->id, pkt_seq);
  if (rebuilt == nullptr) return;
  if (!add_to_rebuilt(*rebuilt, sent, event)) {
    return give_up(*session, pkt_seq, shard::Status::offset_out_of_range, effects);
  }
  repair(*session, *subscription, pkt_seq, effects);
}

// False when it cannot be what was sent.
bool Pusher::add_to_rebuilt(Rebuilt& rebuilt, const SentPush& sent, const shard::Event& event) {
  const std::uint32_t left_bytes = sent.bytes - rebuilt.byte_count;
  if (!is_whole(event) || event.byte_count > left_bytes) return false;
  std::memcpy(rebuilt.bytes.data() + rebuilt.byte_count, event.bytes, event.byte_count);
  rebuilt.byte_count += event.byte_count;
  rebuilt.next_offset = event.offset + std::int64_t{event.offset_count};
  return (rebuilt.byte_count == sent.bytes) == (rebuilt.next_offset == sent.end_offset);
}

Pusher::Rebuilt* Pusher::find_rebuilt(std::uint32_t session, std::uint64_t pkt_seq) {
  for (Rebuilt& one : rebuilt_) {
    if (one.session == session && one.pkt_seq == pkt_seq) return &one;
  }
  return nullptr;
}

// Null while all are at work.
Pusher::Rebuilt* Pusher::claim_rebuilt(std::uint32_t session, std::uint64_t pkt_seq) {
  for (Rebuilt& one : rebuilt_) {
    const Session* of = tables_.sessions.find(one.session);
    const bool is_wanted = of != nullptr && !of->ending && of->send.is_in_flight(one.pkt_seq) &&
                           !of->sent[window_slot(one.pkt_seq)].gone;
    if (is_wanted) continue;
    one.session = session;
    one.pkt_seq = pkt_seq;
    one.byte_count = 0;
    return &one;
  }
  return nullptr;
}

bool Pusher::send_again(Session& session, std::uint64_t pkt_seq, const std::byte* bytes,
                        protocol::Effects& effects) {
  const SentPush& sent = session.sent[window_slot(pkt_seq)];
  protocol::Packet* packet = begin_packet(session, effects);
  if (packet == nullptr) {
    session.send.return_repair(pkt_seq);
    tables_.want_service(session);
    return false;
  }
  Header header = header_to(session, PacketType::push);
  header.pkt_seq = pkt_seq;
  header.flags = flag_repair;
  store_push(packet->payload, header,
             {sent.subscription, fragment_flags(sent.skip_bytes, sent.bytes, sent.batch_bytes),
              sent.base_offset, sent.skip_bytes, sent.batch_bytes});
  std::memcpy(packet->payload + push_overhead_bytes, bytes, sent.bytes);
  commit_packet(session, effects, *packet, push_overhead_bytes + sent.bytes);
  return true;
}

// What was sent cannot be read any more: the subscription ends with it.
void Pusher::give_up(Session& session, std::uint64_t pkt_seq, shard::Status status,
                     protocol::Effects& effects) {
  SentPush& sent = session.sent[window_slot(pkt_seq)];
  sent.gone = true;
  sent.skip_bytes = static_cast<std::uint32_t>(status);
  Subscription* subscription = tables_.find_subscription(session, sent.subscription);
  if (subscription != nullptr && subscription->state == SubscriptionState::active) {
    // By a packet of its own, too: the one that was to be repaired may have arrived after all.
    end(*subscription, static_cast<Status>(status));
    tables_.want_service(session);
    close_at_shard(*subscription, effects);
  }
  if (!send_gone(session, pkt_seq, flag_repair, effects)) {
    session.send.return_repair(pkt_seq);
    tables_.want_service(session);
  }
}

void Pusher::on_ended(const shard::Event& event, protocol::Effects& effects) {
  Subscription* subscription = tables_.subscriptions.find(event.stream);
  if (subscription == nullptr || subscription->state != SubscriptionState::active ||
      subscription->at_shard != event.subscription) {
    return;
  }
  const bool is_met_there = event.status == shard::Status::partition_damaged ||
                            event.status == shard::Status::offset_out_of_range;
  if (is_met_there) {
    // What lies before it was pushed, and there may have been no room to send it.
    if (event.offset > subscription->offset) return tables_.mark_wanting(*subscription);
    close_at_shard(*subscription, effects);
  }
  end(*subscription, event.status == shard::Status::ok ? Status::partition_gone
                                                       : static_cast<Status>(event.status));
}

void Pusher::close_at_shard(const Subscription& subscription, protocol::Effects& effects) {
  effects.commands.push({.kind = shard::CommandKind::close,
                         .core = tables_.options.core,
                         .session = tables_.session_of(subscription).id,
                         .stream = subscription.id,
                         .partition = subscription.partition,
                         .subscription = subscription.at_shard});
}

void Pusher::end(Subscription& subscription, Status status) {
  subscription.state = SubscriptionState::ended;
  subscription.end_status = status;
  tables_.beats.erase(tables_.subscriptions.index_of(subscription));
  tables_.mark_wanting(subscription);
}

void Pusher::send_beats(std::uint64_t now_ns, protocol::Effects& effects) {
  std::uint32_t slot = 0;
  while (tables_.beats.take_due(now_ns, slot)) {
    Subscription& subscription = tables_.subscriptions.at(slot);
    if (subscription.beat_at_ns <= now_ns) {
      const Beat beat{subscription.id, subscription.offset, subscription.log_end};
      send_packet(tables_.session_of(subscription), PacketType::beat, beat, effects);
      subscription.beat_interval_ns = std::min(subscription.beat_interval_ns * 2, beat_last_ns);
      subscription.beat_at_ns = now_ns + subscription.beat_interval_ns;
    }
    tables_.beats.set(slot, subscription.beat_at_ns);
  }
}

}  // namespace millrace::native

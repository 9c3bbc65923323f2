#include "dataplane/protocol/native/requests.h"

#include <algorithm>

namespace millrace::native {

namespace {

using base::DropReason;

DropReason busy_unless(bool sent) { return sent ? DropReason::none : DropReason::busy; }

SeenRequest* find_seen(Session& session, std::uint32_t request_id, std::uint32_t handle) {
  SeenRequest& seen = session.seen[request_id % seen_requests_max];
  return seen.request_id == request_id && seen.handle == handle ? &seen : nullptr;
}

}  // namespace

SeenRequest* Requests::begin_request(Session& session, std::uint32_t request_id, PacketType type,
                                     protocol::Effects& effects, DropReason& reason) {
  SeenRequest& seen = session.seen[request_id % seen_requests_max];
  if (request_id == 0) {
    reason = DropReason::malformed;
  } else if (seen.request_id == request_id) {
    reason = seen.type == type ? answer(session, seen, effects) : DropReason::malformed;
  } else if (seen.request_id > request_id) {
    reason = DropReason::duplicate_packet;
  } else if (effects.commands.full()) {
    reason = DropReason::busy;
  } else {
    reason = DropReason::none;
    seen = {.request_id = request_id, .handle = 0, .type = type, .status = Status::ok};
    return &seen;
  }
  return nullptr;
}

DropReason Requests::answer(Session& session, const SeenRequest& request,
                            protocol::Effects& effects) {
  if (request.type == PacketType::open) {
    const Stream* stream = tables_.find_stream(session, request.handle);
    if (stream != nullptr && stream->state == StreamState::opening) return DropReason::none;
    return busy_unless(answer_open(session, request, stream, effects));
  }
  const Subscription* subscription = tables_.find_subscription(session, request.handle);
  if (subscription != nullptr && subscription->state == SubscriptionState::subscribing) {
    return DropReason::none;
  }
  return busy_unless(answer_subscribe(session, request, subscription, effects));
}

bool Requests::answer_open(Session& session, const SeenRequest& request, const Stream* stream,
                           protocol::Effects& effects) {
  OpenAck ack{.request_id = request.request_id, .status = request.status};
  if (stream != nullptr) {
    ack.partition_count = stream->partition_count;
    ack.stream = stream->id;
    ack.last_sequence = stream->last_sequence;
    ack.producer_epoch = stream->producer_epoch;
    ack.log_start = stream->log_start;
    ack.log_end = stream->log_end;
    ack.accepted = stream->opened_at;
  } else if (ack.status == Status::ok) {
    ack.status = Status::unknown_stream;  // opened and closed since
  }
  return send_packet(session, PacketType::open_ack, ack, effects);
}

bool Requests::answer_subscribe(Session& session, const SeenRequest& request,
                                const Subscription* subscription, protocol::Effects& effects) {
  SubAck ack{.request_id = request.request_id, .status = request.status};
  if (subscription != nullptr) {
    ack.subscription = subscription->id;
    ack.next_offset = subscription->first_offset;
    ack.log_end = subscription->first_log_end;
  } else if (ack.status == Status::ok) {
    ack.status = Status::unknown_subscription;
  }
  return send_packet(session, PacketType::sub_ack, ack, effects);
}

DropReason Requests::on_open(Session& session, const Open& open, protocol::Effects& effects) {
  DropReason reason = DropReason::none;
  SeenRequest* request = begin_request(session, open.request_id, PacketType::open, effects, reason);
  if (request == nullptr) return reason;
  if (Stream* replaced = tables_.find_stream(session, open.replaces); replaced != nullptr) {
    if (session.assembly_stream == open.replaces) intake_.drop_assembly(session);
    tables_.close_stream(*replaced);
  }
  Stream* stream = tables_.take_stream(session);
  if (stream == nullptr) {
    request->status = Status::too_many_streams;
    return answer(session, *request, effects);
  }
  request->handle = stream->id;
  stream->request_id = open.request_id;
  stream->publishes = open.producer_id != base::no_producer_id;
  effects.commands.push({.kind = shard::CommandKind::open,
                         .core = tables_.options.core,
                         .partition_index = open.partition_index,
                         .session = session.id,
                         .stream = stream->id,
                         .byte_count = static_cast<std::uint32_t>(open.topic.size()),
                         .bytes = reinterpret_cast<const std::byte*>(open.topic.data()),
                         .producer_id = open.producer_id,
                         .producer_epoch = open.producer_epoch});
  return DropReason::none;
}

void Requests::on_opened(const shard::Event& event, protocol::Effects& effects) {
  Stream* stream = tables_.streams.find(event.stream);
  if (stream == nullptr || stream->state != StreamState::opening) return;
  Session& session = tables_.session_of(*stream);
  SeenRequest* request = find_seen(session, stream->request_id, stream->id);
  if (event.status == shard::Status::ok) {
    CHECK(base::raw(event.shard) < tables_.options.shard_count);
    stream->state = StreamState::open;
    stream->shard = event.shard;
    stream->partition = event.partition;
    stream->partition_count = event.partition_count;
    stream->producer_epoch = event.producer_epoch;
    stream->last_sequence = event.sequence;
    stream->accepted = static_cast<std::uint64_t>(std::int64_t{event.sequence} + 1);
    stream->opened_at = stream->accepted;
    stream->log_start = event.offset;
    stream->log_end = event.log_end;
  } else {
    if (request != nullptr) {
      request->handle = 0;
      request->status = static_cast<Status>(event.status);
    }
    tables_.close_stream(*stream);
  }
  // When there is no buffer the client asks again.
  if (request != nullptr) answer(session, *request, effects);
}

DropReason Requests::on_close(Session& session, const Close& close, protocol::Effects& effects) {
  if (Stream* stream = tables_.find_stream(session, close.handle); stream != nullptr) {
    if (session.assembly_stream == close.handle) intake_.drop_assembly(session);
    tables_.close_stream(*stream);
  }
  const CloseAck ack{close.request_id, Status::ok};
  return busy_unless(send_packet(session, PacketType::close_ack, ack, effects));
}

DropReason Requests::on_subscribe(Session& session, const Subscribe& subscribe,
                                  protocol::Effects& effects) {
  DropReason reason = DropReason::none;
  SeenRequest* request =
      begin_request(session, subscribe.request_id, PacketType::subscribe, effects, reason);
  if (request == nullptr) return reason;
  const Stream* stream = tables_.find_stream(session, subscribe.stream);
  if (stream == nullptr || stream->state == StreamState::opening) {
    request->status = Status::unknown_stream;
    return answer(session, *request, effects);
  }
  Subscription* subscription = tables_.take_subscription(session);
  if (subscription == nullptr) {
    request->status = Status::too_many_subscriptions;
    return answer(session, *request, effects);
  }
  request->handle = subscription->id;
  subscription->request_id = subscribe.request_id;
  subscription->stream = stream->id;
  subscription->partition = stream->partition;
  effects.commands.push({.kind = shard::CommandKind::subscribe,
                         .start_at = static_cast<shard::StartAt>(subscribe.start_at),
                         .core = tables_.options.core,
                         .session = session.id,
                         .stream = subscription->id,
                         .partition = stream->partition,
                         .offset = subscribe.value});
  return DropReason::none;
}

void Requests::on_subscribed(const shard::Event& event, std::uint64_t now_ns,
                             protocol::Effects& effects) {
  Subscription* subscription = tables_.subscriptions.find(event.stream);
  if (subscription == nullptr) {  // given up meanwhile
    if (event.status != shard::Status::ok) return;
    effects.commands.push({.kind = shard::CommandKind::close,
                           .core = tables_.options.core,
                           .session = event.session,
                           .stream = event.stream,
                           .partition = event.partition,
                           .subscription = event.subscription});
    return;
  }
  if (subscription->state != SubscriptionState::subscribing) return;
  Session& session = tables_.session_of(*subscription);
  SeenRequest* request = find_seen(session, subscription->request_id, subscription->id);
  if (event.status == shard::Status::ok) {
    subscription->state = SubscriptionState::active;
    subscription->at_shard = event.subscription;
    subscription->offset = subscription->first_offset = event.offset;
    subscription->log_end = subscription->first_log_end = event.log_end;
    tables_.mark_wanting(*subscription);
    subscription->beat_interval_ns = beat_first_ns;
    subscription->beat_at_ns = now_ns + beat_first_ns;
    tables_.beats.set(tables_.subscriptions.index_of(*subscription), subscription->beat_at_ns);
  } else {
    if (request != nullptr) {
      request->handle = 0;
      request->status = static_cast<Status>(event.status);
    }
    tables_.remove_subscription(*subscription);
  }
  if (request != nullptr) answer(session, *request, effects);
}

DropReason Requests::on_unsubscribe(Session& session, const Close& unsubscribe,
                                    protocol::Effects& effects) {
  Subscription* subscription = tables_.find_subscription(session, unsubscribe.handle);
  if (subscription != nullptr) {
    if (subscription->state == SubscriptionState::active) {
      if (effects.commands.full()) return DropReason::busy;
      effects.commands.push({.kind = shard::CommandKind::close,
                             .core = tables_.options.core,
                             .session = session.id,
                             .stream = subscription->id,
                             .partition = subscription->partition,
                             .subscription = subscription->at_shard});
    }
    tables_.remove_subscription(*subscription);
  }
  const CloseAck ack{unsubscribe.request_id, Status::ok};
  return busy_unless(send_packet(session, PacketType::unsub_ack, ack, effects));
}

}  // namespace millrace::native

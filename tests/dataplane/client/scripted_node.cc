#include "tests/dataplane/client/scripted_node.h"

#include <algorithm>
#include <cstring>

#include "storage/crc32c.h"

namespace millrace::client {

using native::PacketType;
using native::Status;

native::Header ScriptedNode::header(PacketType type) const {
  return {type, session_.client_id, 0, 0, session_.in.ack_upto(), session_.in.credit()};
}

void ScriptedNode::receive(const PacketBytes& packet, std::uint64_t now_ns) {
  native::Request request;
  const auto reason =
      native::decode_request(packet.data(), static_cast<std::uint32_t>(packet.size()), request);
  CHECK(reason == base::DropReason::none);  // the client never sends nonsense
  if (request.header.type == PacketType::hello) return receive_hello(request, now_ns);
  if (request.header.session != session_.id || session_.id == 0) {
    if (silent_unknown) return;
    PacketBytes error(native::control_bytes_max);
    native::ErrorReply body{Status::unknown_session, request.header.session, 0, {}};
    error.resize(native::encode(error.data(), {PacketType::error}, body));
    return say(std::move(error));
  }
  session_.out.on_ack(request.header.ack_upto, request.header.credit, now_ns);
  switch (request.header.type) {
    case PacketType::data:
      ++data_packets_;
      return receive_data(packet, request, now_ns);
    case PacketType::open:
    case PacketType::close:
    case PacketType::subscribe:
    case PacketType::unsubscribe:
      return receive_request(request);
    case PacketType::ping:
      say(make(PacketType::pong, native::Pong{native::load_ping(request.body).sent_ns, now_ns}));
      session_.ack_due = true;
      return;
    case PacketType::nak:
      for (std::uint32_t i = 0; i < native::nak_range_count(request.body); ++i)
        session_.out.on_nak(native::load_nak_range(request.body, i));
      return;
    case PacketType::end:
      ++ended_;
      session_ = Session();
      return;
    default:
      return;
  }
}

void ScriptedNode::receive_hello(const native::Request& packet, std::uint64_t now_ns) {
  const native::Hello hello = native::load_hello(packet.body);
  PacketBytes reply(native::control_bytes_max);
  const native::Header to_client{PacketType::cookie, hello.session};
  const native::Cookie cookie{hello.nonce[0] ^ 0x1234, generation_};
  if (refuse_hello != Status::ok) {
    const native::Header refusal{PacketType::error, hello.session};
    reply.resize(native::encode(reply.data(), refusal, native::ErrorReply{refuse_hello, 0, 0, {}}));
    return say(std::move(reply));
  }
  if (hello.cookie != cookie) {
    reply.resize(native::encode(reply.data(), to_client, native::CookieReply{hello.nonce, cookie}));
    return say(std::move(reply));
  }
  if (session_.nonce != hello.nonce) {
    session_ = Session();
    session_.nonce = hello.nonce;
    session_.id = native::make_id(7, ++generation_);
    session_.client_id = hello.session;
    session_.in.reset(credit);
    session_.out.reset(hello.credit, now_ns);
  }
  native::Welcome welcome;
  welcome.payload_bytes_max = std::min<std::uint16_t>(hello.payload_bytes_max, 1472);
  welcome.credit = credit;
  welcome.session = session_.id;
  welcome.idle_timeout_ms = hello.idle_timeout_ms;
  welcome.nonce = hello.nonce;
  reply.resize(native::encode(reply.data(), {PacketType::welcome, hello.session}, welcome));
  say(std::move(reply));
}

void ScriptedNode::receive_request(const native::Request& packet) {
  const auto id = base::load_le<std::uint32_t>(packet.body.data());
  const auto known = session_.answers.find(id);
  if (known != session_.answers.end()) return say(known->second);
  PacketBytes answer;
  if (packet.header.type == PacketType::open) {
    answer = answer_open(native::load_open(packet.body));
  } else if (packet.header.type == PacketType::subscribe) {
    answer = answer_subscribe(native::load_subscribe(packet.body));
  } else {
    const native::Close close = native::load_close(packet.body);
    const bool stream = packet.header.type == PacketType::close;
    if (stream)
      session_.streams.erase(close.handle);
    else
      session_.cursors.erase(close.handle);
    answer = make(stream ? PacketType::close_ack : PacketType::unsub_ack,
                  native::CloseAck{id, Status::ok});
  }
  session_.answers[id] = answer;
  say(std::move(answer));
}

PacketBytes ScriptedNode::answer_open(const native::Open& open) {
  native::OpenAck ack;
  ack.request_id = open.request_id;
  const auto topic = topics_.find(std::string(open.topic));
  if (refuse_open != Status::ok) {
    ack.status = refuse_open;
  } else if (topic == topics_.end() || open.partition_index >= topic->second.size()) {
    ack.status = Status::unknown_topic;
  } else {
    session_.streams.erase(open.replaces);
    Log& log = topic->second[open.partition_index];
    Stream stream;
    stream.topic = topic->first;
    stream.partition = open.partition_index;
    stream.producer_id = open.producer_id;
    if (open.producer_id >= 0) stream.memory = log.accepted[open.producer_id];
    ack.partition_count = static_cast<std::uint16_t>(topic->second.size());
    ack.stream = native::make_id(++handles_, 3);
    ack.accepted = stream.memory & 0x7fff'ffff;
    stream.memory = ack.accepted;
    ack.last_sequence = static_cast<std::int32_t>(ack.accepted) - 1;
    ack.log_end = log.end;
    session_.streams[ack.stream] = stream;
  }
  return make(PacketType::open_ack, ack);
}

PacketBytes ScriptedNode::answer_subscribe(const native::Subscribe& subscribe) {
  native::SubAck ack;
  ack.request_id = subscribe.request_id;
  ack.status = refuse_subscribe;
  const auto stream = session_.streams.find(subscribe.stream);
  if (stream == session_.streams.end()) ack.status = Status::unknown_stream;
  if (ack.status == Status::ok) {
    const Log& log = this->log(stream->second.topic, stream->second.partition);
    ack.log_end = log.end;
    ack.subscription = native::make_id(++handles_, 5);
    if (subscribe.start_at == native::StartAt::latest) ack.next_offset = log.end;
    if (subscribe.start_at == native::StartAt::offset) ack.next_offset = subscribe.value;
    session_.cursors[ack.subscription] = {subscribe.stream, ack.next_offset, 0};
  }
  return make(PacketType::sub_ack, ack);
}

void ScriptedNode::receive_data(const PacketBytes& packet, const native::Request& request,
                                std::uint64_t now_ns) {
  const std::uint64_t seq = request.header.pkt_seq;
  session_.ack_due = true;
  switch (session_.in.arrive(seq, now_ns)) {
    case native::ReceiveWindow::Arrival::next:
    case native::ReceiveWindow::Arrival::held:
      session_.held[native::window_slot(seq)] = packet;
      break;
    default:
      return;
  }
  while (!hold_memory && session_.in.deliverable()) {
    const PacketBytes next = std::move(session_.held[native::window_slot(session_.in.next_seq())]);
    session_.in.delivered();
    take_data(next);
  }
}

void ScriptedNode::take_data(const PacketBytes& packet) {
  native::Request request;
  CHECK(native::decode_request(packet.data(), static_cast<std::uint32_t>(packet.size()), request) ==
        base::DropReason::none);
  const native::DataHeader data = native::load_data(request.body);
  const auto found = session_.streams.find(data.stream);
  if (found == session_.streams.end() || found->second.refused) return;
  Stream& stream = found->second;
  const auto bytes = native::data_payload(request.body);
  if ((data.flags & native::fragment_first) != 0) stream.assembly.clear();
  stream.assembly.insert(stream.assembly.end(), bytes.begin(), bytes.end());
  if ((data.flags & native::fragment_last) != 0)
    append(found->first, stream, std::move(stream.assembly));
}

void ScriptedNode::append(std::uint32_t handle, Stream& stream, PacketBytes batch) {
  CHECK(storage::check_batch(batch) == storage::BatchFault::none);
  const storage::BatchView view(batch.data());
  CHECK(view.producer_id() == stream.producer_id);
  Log& log = this->log(stream.topic, stream.partition);
  if (refuse_append != Status::ok) {
    stream.refused = true;
    return send_error(refuse_append, handle);
  }
  std::uint64_t& accepted = log.accepted[stream.producer_id];
  const auto sequence = static_cast<std::uint64_t>(view.base_sequence());
  const auto count = static_cast<std::uint64_t>(view.record_count());
  if (sequence == (accepted & 0x7fff'ffff)) {
    storage::stamp_batch(batch.data(), log.end, 0);
    log.end += view.record_count();
    log.batches.push_back(std::move(batch));
    accepted += count;
    stream.memory += count;
  } else if (sequence < (accepted & 0x7fff'ffff)) {
    ++log.duplicates;
  } else {
    stream.refused = true;
    send_error(Status::out_of_order, handle);
  }
}

void ScriptedNode::send_error(Status code, std::uint32_t handle) {
  say(make(PacketType::error, native::ErrorReply{code, handle, 0, "scripted"}));
}

void ScriptedNode::send_ping(std::uint64_t now_ns) {
  say(make(PacketType::ping, native::Ping{now_ns, 0}));
}

void ScriptedNode::send_end() {
  say(make(PacketType::end, native::End{Status::shutting_down}));
  session_ = Session();
}

std::uint32_t ScriptedNode::stream_of(const std::string& topic) const {
  for (const auto& [handle, stream] : session_.streams)
    if (stream.topic == topic) return handle;
  return 0;
}

void ScriptedNode::send_acks() {
  session_.ack_due = false;
  PacketBytes packet(1472);
  std::uint32_t count = 0;
  const auto finish = [&] {
    PacketBytes whole = packet;
    whole.resize(native::finish_ack(whole.data(), header(PacketType::ack), count));
    say(std::move(whole));
    count = 0;
  };
  for (auto& [handle, stream] : session_.streams) {
    if (stream.producer_id < 0) continue;
    if (!hold_durable) stream.durable = stream.memory;
    native::store_ack_entry(packet.data(), count++,
                            {handle, stream.memory, stream.memory, stream.durable});
    if (count == native::ack_entries_max(1472)) finish();
  }
  finish();
}

void ScriptedNode::poll(std::uint64_t now_ns) {
  if (session_.id == 0) return;
  if (now_ns >= session_.in.nak_due_ns()) {
    std::array<native::PacketRange, native::nak_ranges_max> ranges;
    const std::uint32_t count = session_.in.missing_packets(now_ns, session_.out.srtt_ns(), ranges);
    if (count != 0)
      say(make(PacketType::nak, std::span<const native::PacketRange>(ranges.data(), count)));
  }
  push(now_ns);
  if (session_.out.in_flight() != 0 && now_ns >= session_.out.deadline_ns())
    session_.out.on_deadline(now_ns);
  while (const std::uint64_t seq = session_.out.take_repair(now_ns))
    say(session_.sent[native::window_slot(seq)]);
  for (const auto& [handle, stream] : session_.streams)
    session_.ack_due |= !hold_durable && stream.durable != stream.memory;
  if (session_.ack_due) send_acks();
}

void ScriptedNode::push(std::uint64_t now_ns) {
  for (auto& [handle, cursor] : session_.cursors)
    while (session_.out.can_send() && push_piece(handle, cursor, now_ns)) {
    }
}

bool ScriptedNode::push_piece(std::uint32_t handle, Cursor& cursor, std::uint64_t now_ns) {
  const Stream& stream = session_.streams.at(cursor.stream);
  const Log& log = this->log(stream.topic, stream.partition);
  const auto found = std::find_if(log.batches.begin(), log.batches.end(), [&](const auto& batch) {
    return storage::BatchView(batch.data()).last_offset() >= cursor.next;
  });
  if (found == log.batches.end()) return false;
  PacketBytes batch = *found;
  if (push_attributes != 0) {
    base::store_be<std::uint16_t>(batch.data() + storage::batch_field::attributes, push_attributes);
    base::store_be(batch.data() + storage::batch_field::crc,
                   storage::crc32c(std::span<const std::byte>(batch).subspan(21)));
  }
  if (push_corrupt) batch.back() ^= std::byte{1};
  const base::Offset base_offset = storage::BatchView(batch.data()).base_offset();
  base::Offset last_offset = storage::BatchView(batch.data()).last_offset();
  const std::uint32_t room = 1472 - native::push_overhead_bytes;
  for (std::uint32_t i = 1; i < batches_per_push; ++i) {
    const auto next = found + i;
    if (next == log.batches.end() || batch.size() + next->size() > room) break;
    batch.insert(batch.end(), next->begin(), next->end());
    last_offset = storage::BatchView(next->data()).last_offset();
  }
  const auto whole = static_cast<std::uint32_t>(batch.size());
  const std::uint32_t bytes = std::min(room, whole - cursor.skip_bytes);
  const bool last = cursor.skip_bytes + bytes == whole;
  native::PushHeader push{handle, 0, base_offset, cursor.skip_bytes, whole};
  push.flags = static_cast<std::uint16_t>((cursor.skip_bytes == 0 ? native::fragment_first : 0) |
                                          (last ? native::fragment_last : 0));
  native::Header head = header(PacketType::push);
  head.pkt_seq = session_.out.take_seq(now_ns);
  PacketBytes packet(native::push_overhead_bytes + bytes);
  native::store_push(packet.data(), head, push);
  std::memcpy(packet.data() + native::push_overhead_bytes, batch.data() + cursor.skip_bytes, bytes);
  session_.sent[native::window_slot(head.pkt_seq)] = packet;
  say(std::move(packet));
  ++push_packets_;
  cursor.skip_bytes = last ? 0 : cursor.skip_bytes + bytes;
  if (last) cursor.next = last_offset + 1;
  return true;
}

}  // namespace millrace::client

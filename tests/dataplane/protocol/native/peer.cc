#include "tests/dataplane/protocol/native/peer.h"

#include <algorithm>
#include <cstring>

#include "dataplane/base/check.h"
#include "storage/batch.h"

namespace millrace::testing {

using namespace native;

Bytes make_batch(base::ProducerId producer, std::int32_t base_sequence, std::uint32_t records,
                 std::uint32_t value_bytes) {
  static Bytes buffer(storage::batch_bytes_max);
  storage::BatchBuilder builder(buffer);
  for (std::uint32_t i = 0; i < records; ++i) {
    const std::string value(value_bytes, static_cast<char>('a' + (base_sequence + i) % 26));
    CHECK(builder.add(std::nullopt, value, 1000));
  }
  const auto batch = builder.finish(producer, 0, base_sequence);
  return {batch.begin(), batch.end()};
}

void Peer::open(std::string topic, std::uint16_t partition_index) {
  const Open open{.request_id = next_request_,
                  .producer_id = producer_,
                  .partition_index = partition_index,
                  .topic = topic};
  const auto bytes = encode(scratch_.data(), header(PacketType::open), open);
  requests_.push_back({next_request_++, control(bytes, scratch_.data()), 0});
}

void Peer::subscribe(StartAt start_at, std::int64_t value) {
  const Subscribe subscribe{next_request_, opened.at(0).stream, start_at, value};
  const auto bytes = encode(scratch_.data(), header(PacketType::subscribe), subscribe);
  requests_.push_back({next_request_++, control(bytes, scratch_.data()), 0});
}

void Peer::publish(const Bytes& batch, std::uint32_t records, std::uint16_t flags) {
  const std::size_t room = 1472 - data_overhead_bytes;
  for (std::size_t at = 0; at < batch.size(); at += room) {
    const std::size_t bytes = std::min(room, batch.size() - at);
    std::uint16_t fragment = flags;
    if (at == 0) fragment |= fragment_first;
    if (at + bytes == batch.size()) fragment |= fragment_last;
    Bytes packet(data_overhead_bytes + bytes);
    store_data(packet.data(), header(PacketType::data),
               {opened.at(0).stream, static_cast<std::uint16_t>(records), fragment});
    std::memcpy(packet.data() + data_overhead_bytes, batch.data() + at, bytes);
    queue_.push_back(std::move(packet));
  }
}

bool Peer::answered(std::uint32_t request_id) {
  return std::erase_if(requests_,
                       [&](const Request& request) { return request.id == request_id; }) != 0;
}

void Peer::on_packet(std::span<const std::byte> bytes, std::uint64_t now_ns) {
  native::Request packet;
  CHECK(decode_request(bytes.data(), static_cast<std::uint32_t>(bytes.size()), packet) ==
        base::DropReason::none);
  ++received[packet.header.type];
  if (session != 0) send_.on_ack(packet.header.ack_upto, packet.header.credit, now_ns);
  switch (packet.header.type) {
    case PacketType::cookie:
      cookie_ = load_cookie(packet.body).cookie;
      hello_again_ns_ = 0;
      return;
    case PacketType::welcome:
      if (session != 0) return;
      welcome = load_welcome(packet.body);
      session = welcome.session;
      send_.reset(welcome.credit, now_ns);
      receive_.reset(push_credit);
      for (Request& request : requests_) base::store_le(request.packet.data() + 2, session);
      return;
    case PacketType::open_ack: {
      const OpenAck ack = load_open_ack(packet.body);
      if (answered(ack.request_id)) opened.push_back(ack);
      return;
    }
    case PacketType::sub_ack: {
      const SubAck ack = load_sub_ack(packet.body);
      if (answered(ack.request_id)) subscribed.push_back(ack);
      return;
    }
    case PacketType::ack:
      for (std::uint32_t i = 0; i < ack_entry_count(packet.body); ++i) {
        const AckEntry entry = load_ack_entry(packet.body, i);
        AckEntry& known = watermarks[entry.stream];
        known.stream = entry.stream;
        known.memory = std::max(known.memory, entry.memory);
        known.replicated = std::max(known.replicated, entry.replicated);
        known.durable = std::max(known.durable, entry.durable);
      }
      return;
    case PacketType::nak:
      for (std::uint32_t i = 0; i < nak_range_count(packet.body); ++i) {
        send_.on_nak(load_nak_range(packet.body, i));
      }
      return;
    case PacketType::ping:
      ack_due_ = true;
      return;
    case PacketType::push:
      return on_push(bytes, packet.header, now_ns);
    case PacketType::beat:
      last_beat = load_beat(packet.body);
      return;
    case PacketType::error: {
      const ErrorReply error = load_error(packet.body);
      errors.push_back({error.code, error.handle, error.sequence});
      return;
    }
    case PacketType::end:
      ended = true;
      return;
    default:
      return;
  }
}

void Peer::on_push(std::span<const std::byte> bytes, const Header& header, std::uint64_t now_ns) {
  ack_due_ = true;
  const auto arrival = receive_.arrive(header.pkt_seq, now_ns);
  CHECK(impersonated || arrival != ReceiveWindow::Arrival::outside);
  if (arrival != ReceiveWindow::Arrival::next && arrival != ReceiveWindow::Arrival::held) return;
  held_[window_slot(header.pkt_seq)].assign(bytes.begin(), bytes.end());
  while (receive_.deliverable()) {
    deliver(held_[window_slot(receive_.next_seq())]);
    receive_.delivered();
  }
}

void Peer::deliver(std::span<const std::byte> packet) {
  const auto body = packet.subspan(header_bytes);
  const PushHeader push = load_push(body);
  if (gone.contains(push.subscription)) return;
  if ((push.flags & push_gone) != 0) {
    gone[push.subscription] = static_cast<Status>(push.skip_bytes);
    return;
  }
  Bytes& batch = assembling_[push.subscription];
  if ((push.flags & fragment_first) != 0) batch.clear();
  CHECK(batch.size() == push.skip_bytes);
  const auto payload = push_payload(body);
  batch.insert(batch.end(), payload.begin(), payload.end());
  if ((push.flags & fragment_last) == 0) return;
  CHECK(batch.size() == push.batch_bytes);
  CHECK(storage::BatchView(batch.data()).base_offset() == push.base_offset);
  for (std::span<const std::byte> left = batch; !left.empty();) {
    const storage::BatchView one(left.data());
    CHECK(one.bytes() <= left.size());
    delivered.push_back(
        {push.subscription, one.base_offset(), Bytes(left.data(), left.data() + one.bytes())});
    left = left.subspan(one.bytes());
  }
}

void Peer::send_data(std::uint64_t now_ns, std::vector<Bytes>& out) {
  if (send_.deadline_ns() <= now_ns) send_.on_deadline(now_ns);
  while (const std::uint64_t seq = send_.take_repair(now_ns)) {
    Bytes& packet = sent_[window_slot(seq)];
    Header repair = header(PacketType::data);
    repair.pkt_seq = seq;
    repair.flags = flag_repair;
    store_header(packet.data(), repair);
    out.push_back(packet);
  }
  while (!queue_.empty() && send_.can_send()) {
    Header data = header(PacketType::data);
    data.pkt_seq = send_.take_seq(now_ns);
    store_header(queue_.front().data(), data);
    out.push_back(queue_.front());
    sent_[window_slot(data.pkt_seq)] = std::move(queue_.front());
    queue_.pop_front();
  }
}

std::vector<Bytes> Peer::step(std::uint64_t now_ns) {
  std::vector<Bytes> out;
  if (ended) return out;
  if (session == 0) {
    if (hello_again_ns_ > now_ns) return out;
    const Hello hello{.payload_bytes_max = 1472,
                      .credit = push_credit,
                      .session = 77,
                      .nonce = nonce_,
                      .cookie = cookie_};
    out.push_back(
        control(encode(scratch_.data(), {.type = PacketType::hello}, hello), scratch_.data()));
    hello_again_ns_ = now_ns + 2 * base::ms_ns;
    return out;
  }
  for (Request& request : requests_) {
    if (request.again_ns > now_ns) continue;
    request.again_ns = now_ns + 2 * base::ms_ns;
    out.push_back(request.packet);
  }
  send_data(now_ns, out);
  if (receive_.nak_due_ns() <= now_ns) {
    std::array<PacketRange, nak_ranges_max> ranges;
    const auto count = receive_.missing_packets(now_ns, 50'000, ranges);
    if (count != 0) {
      out.push_back(control(encode(scratch_.data(), header(PacketType::nak),
                                   std::span<const PacketRange>(ranges.data(), count)),
                            scratch_.data()));
    }
  }
  if (ack_due_) {
    ack_due_ = false;
    out.push_back(
        control(finish_ack(scratch_.data(), header(PacketType::ack), 0), scratch_.data()));
  }
  if (ping_again_ns_ <= now_ns) {
    ping_again_ns_ = now_ns + 2 * base::ms_ns;
    out.push_back(
        control(encode(scratch_.data(), header(PacketType::ping), Ping{now_ns, send_.srtt_ns()}),
                scratch_.data()));
  }
  if (want_end_) {
    out.push_back(
        control(encode(scratch_.data(), header(PacketType::end), End{}), scratch_.data()));
  }
  return out;
}

}  // namespace millrace::testing

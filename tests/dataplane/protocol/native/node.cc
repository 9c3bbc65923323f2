#include "tests/dataplane/protocol/native/node.h"

#include "dataplane/base/check.h"

namespace millrace::testing {

namespace {

base::Arena make_arena(const native::SessionsOptions& options) {
  auto arena = base::Arena::create(
      {.bytes = native::Sessions::arena_bytes(options), .huge_pages = false, .touch = false});
  CHECK(arena.has_value());
  return std::move(*arena);
}

// As with every start of a process.
native::SessionsOptions with_new_secret(native::SessionsOptions options, FakeShard& shard) {
  options.secret[0] += ++shard.starts;
  return options;
}

}  // namespace

Node::Node(FakeShard& shard, const native::SessionsOptions& options)
    : shard_(shard),
      arena_(make_arena(options)),
      sessions_(std::make_unique<native::Sessions>(with_new_secret(options, shard), arena_)),
      effects_(std::make_unique<protocol::Effects>()) {
  prepare();
}

void Node::prepare() {
  protocol::PacketWriter& writer = effects_->writers[0];
  writer.reset();
  for (std::uint32_t i = 0; i < packets_per_turn; ++i) {
    writer.slots()[i].payload = buffers_[i].data();
    writer.slots()[i].capacity = 1472;
  }
  writer.set_prepared(packets_per_turn);
  effects_->append_room_bytes = append_room_bytes;
}

void Node::apply_commands() {
  for (const shard::Command& command : effects_->commands.items()) shard_.apply(command);
  effects_->commands.clear();
  shard_.push_batches();
  for (const protocol::Datagram& released : effects_->released.items()) {
    CHECK(frames_.erase(released.frame) == 1);
  }
  effects_->released.clear();
}

void Node::collect() {
  for (const protocol::Packet& packet : effects_->writers[0].filled()) {
    CHECK(packet.local_port == native::default_udp_port);
    sent_.push_back({packet.to, {packet.payload, packet.payload + packet.bytes}});
  }
  prepare();
}

protocol::Disposition Node::receive(const base::Endpoint& peer, std::span<const std::byte> bytes,
                                    std::uint64_t now_ns) {
  auto frame = std::make_unique<Bytes>(bytes.begin(), bytes.end());
  const std::uint64_t id = next_frame_++;
  ++received_;
  const protocol::Datagram datagram{.data = frame->data(),
                                    .bytes = static_cast<std::uint32_t>(frame->size()),
                                    .local_port = native::default_udp_port,
                                    .peer = peer,
                                    .frame = id};
  native::Request request;
  protocol::Disposition disposition{
      .reason = native::decode_request(datagram.data, datagram.bytes, request)};
  if (disposition.reason == base::DropReason::none) {
    disposition = sessions_->handle_request(request, datagram, now_ns, *effects_);
  }
  CHECK(!disposition.held || disposition.reason == base::DropReason::none);
  ++drops_[static_cast<std::size_t>(disposition.reason)];
  if (disposition.held) frames_[id] = std::move(frame);
  apply_commands();
  collect();
  return disposition;
}

std::vector<Outgoing> Node::turn(std::uint64_t now_ns) {
  // What an answer asks of the shard is answered in the next turn.
  shard::Event event;
  for (std::size_t left = shard_.event_count(); left != 0 && shard_.next_event(event); --left) {
    sessions_->encode_reply(event, now_ns, *effects_);
    apply_commands();
  }
  return quiet_turn(now_ns);
}

std::vector<Outgoing> Node::quiet_turn(std::uint64_t now_ns) {
  sessions_->poll(now_ns, *effects_);
  sessions_->flush(now_ns, *effects_);
  apply_commands();
  collect();
  return std::move(sent_);
}

}  // namespace millrace::testing

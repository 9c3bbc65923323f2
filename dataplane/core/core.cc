#include "dataplane/core/core.h"

#include <algorithm>
#include <utility>

#include "dataplane/base/units.h"
#include "dataplane/net/headers.h"
#include "dataplane/net/write.h"

namespace millrace::core {
namespace {

// What a port needs to know a frame again.
port::RxFrame frame_of(const protocol::Datagram& datagram) {
  port::RxFrame frame;
  frame.cookie = datagram.frame;
  return frame;
}

}  // namespace

// The walk: each function on all that the one before it brought.
bool Core::run_turn() {
  const std::uint64_t last_ns = std::exchange(now_ns_, clock_.monotonic_ns());
  block_.turns.add();
  if (!rested_ && now_ns_ - last_ns > turn_budget_ns) block_.slow_turns.add();
  rested_ = false;
  worked_ = uring_.reap(256) > 0;
  worked_ |= drain_mailbox();
  for (std::uint16_t i = 0; i < port_count(); ++i) worked_ |= receive(ports_[i], i) > 0;
  worked_ |= run_shards();
  worked_ |= reply_to_events();
  flush_sessions();
  send_packets();
  run_timers();
  release_held();
  for (ShardState& state : shards_) state.log->journal().submit_writes(now_ns_);
  uring_.submit();
  if (worked_) block_.busy_turns.add();
  if (now_ns_ >= publish_at_ns_) publish();
  return worked_;
}

// What the kernel received is announced by the Uring, so only the other ports are asked.
bool Core::has_input() {
  for (PortState& state : ports_) {
    if (!state.announced && has_frames(state)) return true;
  }
  return uring_.has_completions() || has_messages();
}

bool Core::has_messages() const {
  const auto waits = [](auto& ring) { return ring.peek() != nullptr; };
  return std::ranges::any_of(commands_.row(options_.id), waits) ||
         std::ranges::any_of(events_.row(options_.id), waits);
}

// --- steps 1 to 5: packets to commands ---

std::uint32_t Core::receive(PortState& state, std::uint16_t index) {
  // A full way in is not read: packets wait in the descriptors, and the credit we granted keeps
  // them few. One packet may fill it (it closes a gap that hundreds wait behind), so the rest of a
  // burst may have to wait for a later turn.
  if (!has_room_to_settle() || !has_frames(state)) return 0;
  effects_->append_room_bytes = append_room_bytes();
  const std::uint32_t first = state.rx_next;
  while (state.rx_next < state.rx_count && has_room_to_settle()) {
    const port::RxFrame& frame = state.rx_frames[state.rx_next++];
    if (state.rx_next < state.rx_count) __builtin_prefetch(state.rx_frames[state.rx_next].data);
    deliver(state, index, frame);
  }
  flush_given_back();
  return state.rx_next - first;
}

// Takes the next burst when the last one is used up.
bool Core::has_frames(PortState& state) {
  if (state.rx_next != state.rx_count) return true;
  state.rx_next = 0;
  state.rx_count = state.port->receive_frames(state.rx_frames);
  return state.rx_count != 0;
}

void Core::deliver(PortState& state, std::uint16_t index, const port::RxFrame& frame) {
  protocol::Datagram datagram;
  datagram.frame = frame.cookie;
  if (!state.ethernet) {
    datagram.data = frame.data;
    datagram.bytes = frame.bytes;
    datagram.local_port = frame.local_port;
    datagram.peer = frame.peer;
    datagram.peer.port_index = index;
    return deliver_datagram(state, datagram, frame);
  }
  const net::Parsed parsed =
      net::parse_frame({frame.data, frame.bytes}, state.identity, frame.checksum_good);
  switch (parsed.kind) {
    case net::FrameKind::udp:
      datagram.data = parsed.payload.data();
      datagram.bytes = static_cast<std::uint32_t>(parsed.payload.size());
      datagram.local_port = parsed.local_port;
      datagram.peer = parsed.peer;
      datagram.peer.port_index = index;
      return deliver_datagram(state, datagram, frame);
    case net::FrameKind::arp_request:
      answer_arp(state, parsed);
      state.block->delivered[static_cast<std::size_t>(base::Delivery::arp)].add();
      return give_back(state, frame);
    case net::FrameKind::icmp_echo:
      answer_echo(state, parsed);
      state.block->delivered[static_cast<std::size_t>(base::Delivery::icmp)].add();
      return give_back(state, frame);
    case net::FrameKind::arp_reply:
      state.block->delivered[static_cast<std::size_t>(base::Delivery::arp)].add();
      return give_back(state, frame);
    case net::FrameKind::dropped:
      return drop(state, frame, parsed.reason);
  }
}

void Core::deliver_datagram(PortState& state, const protocol::Datagram& datagram,
                            const port::RxFrame& frame) {
  make_room_for_packets();
  protocol::Disposition disposition;
  ProtocolId protocol = ProtocolId::native;
  base::Delivery delivery = base::Delivery::native;
  if (datagram.local_port == options_.native_udp_port) {
    native::Request request;
    disposition.reason = native::decode_request(datagram.data, datagram.bytes, request);
    if (disposition.reason == base::DropReason::none) {
      disposition = protocols_.sessions.handle_request(request, datagram, now_ns_, *effects_);
    }
  } else {
    protocol = ProtocolId::datagram;
    delivery = base::Delivery::listener;
    disposition =
        protocols_.listeners.handle_request(datagram, clock_.wall_ns() / base::ms_ns, *effects_);
  }
  if (disposition.reason == base::DropReason::none) {
    state.block->delivered[static_cast<std::size_t>(delivery)].add();
  } else {
    state.block->dropped[static_cast<std::size_t>(disposition.reason)].add();
  }
  settle(protocol, disposition.held ? nullptr : &frame, datagram.peer.port_index);
}

void Core::drop(PortState& state, const port::RxFrame& frame, base::DropReason reason) {
  state.block->dropped[static_cast<std::size_t>(reason)].add();
  give_back(state, frame);
}

// Routes what a protocol's call brought about. `done`, and the frames it released, are free once
// those commands have been consumed.
void Core::settle(ProtocolId protocol, const port::RxFrame* done, std::uint16_t done_port) {
  protocol::Effects& effects = *effects_;
  if (effects.commands.empty() && group_head_ == group_tail_) {
    if (done != nullptr) give_back(ports_[done_port], *done);
    for (const protocol::Datagram& datagram : effects.released.items()) {
      give_back(ports_[datagram.peer.port_index], frame_of(datagram));
    }
    effects.released.clear();
    return;
  }
  for (shard::Command& command : effects.commands.items()) {
    command.protocol = static_cast<std::uint8_t>(protocol);
    route_command(command);
  }
  effects.commands.clear();
  const std::uint64_t held_before = held_tail_;
  if (done != nullptr) hold(done_port, *done);
  for (const protocol::Datagram& datagram : effects.released.items()) {
    hold(datagram.peer.port_index, frame_of(datagram));
  }
  effects.released.clear();
  if (held_tail_ == held_before) return;
  CHECK(group_tail_ - group_head_ < release_groups_max);
  ReleaseGroup& group = release_groups_[group_tail_++ % release_groups_max];
  group.frame_count = static_cast<std::uint32_t>(held_tail_ - held_before);
  for (std::uint16_t to = 0; to < options_.core_count; ++to) {
    group.marks[to] = commands_.ring(options_.id, base::CoreId{to}).pushed_count();
  }
}

void Core::route_command(shard::Command& command) {
  command.core = options_.id;
  if (command.kind == shard::CommandKind::open) return route_open(command);
  const base::CoreId to = core_of(shard_of(command.partition));
  CHECK(commands_.ring(options_.id, to).push(command));
}

// A topic's name becomes a partition here; an unknown one is answered on the spot.
void Core::route_open(shard::Command& command) {
  const std::string_view name(reinterpret_cast<const char*>(command.bytes), command.byte_count);
  const shard::Topic* topic = topics_.find(name);
  if (topic != nullptr && command.partition_index < topic->partition_count) {
    command.partition = topic->partition(command.partition_index);
    command.partition_count = static_cast<std::uint16_t>(topic->partition_count);
    command.bytes = nullptr;
    CHECK(commands_.ring(options_.id, core_of(shard_of(command.partition))).push(command));
    return;
  }
  if (topic == nullptr && catalog_complete() && now_ns_ >= wanted_at_ns_) {
    link::ControlEvent wanted;
    wanted.kind = link::ControlEventKind::topic_wanted;
    wanted.text.set(name);
    if (block_.events.push(wanted)) wanted_at_ns_ = now_ns_ + base::second_ns / 4;
  }
  shard::Event event;
  event.kind = shard::EventKind::opened;
  event.status = catalog_complete() ? shard::Status::unknown_topic : shard::Status::not_ready;
  event.protocol = command.protocol;
  event.session = command.session;
  event.stream = command.stream;
  // A full ring drops the answer; the request is repeated by whoever misses it.
  static_cast<void>(events_.ring(options_.id, options_.id).push(event));
}

// --- steps 6 to 8: commands to the log ---

bool Core::run_shards() {
  bool worked = apply_commands();
  for (ShardState& state : shards_) {
    state.log->journal().reap_writes(now_ns_);
    worked |= state.log->take_messages();
    worked |= state.shard->push_events();
  }
  return worked;
}

bool Core::apply_commands() {
  bool worked = false;
  commands_blocked_ = false;
  for (CommandMesh::Ring& ring : commands_.row(options_.id)) {
    std::uint32_t applied = 0;
    while (applied < commands_per_turn) {
      const shard::Command* command = ring.peek();
      if (command == nullptr) break;
      if (!local_shard(command->partition).shard->apply_command(*command, now_ns_)) {
        commands_blocked_ = true;
        break;
      }
      ring.release(1);
      ++applied;
    }
    worked |= applied > 0;
  }
  return worked;
}

// --- steps 9 and 10: events to packets ---

bool Core::reply_to_events() {
  bool worked = false;
  for (EventMesh::Ring& ring : events_.row(options_.id)) {
    for (std::uint32_t i = 0; i < events_per_turn && has_room_to_settle(); ++i) {
      const shard::Event* event = ring.peek();
      if (event == nullptr) break;
      make_room_for_packets();
      if (event->protocol == static_cast<std::uint8_t>(ProtocolId::native)) {
        protocols_.sessions.encode_reply(*event, now_ns_, *effects_);
        settle(ProtocolId::native, nullptr, 0);
      } else {
        protocols_.listeners.encode_reply(*event);
      }
      ring.release(1);
      worked = true;
    }
  }
  for (ShardState& state : shards_) {
    for (std::uint16_t reader = 0; reader < options_.core_count; ++reader) {
      state.log->set_consumed(reader, outbox_.consumed(base::CoreId{reader}));
    }
  }
  return worked;
}

void Core::flush_sessions() {
  if (!has_room_to_settle()) return;
  // Room only changes when something happened; a quiet turn goes by what the last one knew.
  if (worked_) effects_->append_room_bytes = append_room_bytes();
  make_room_for_packets();
  protocols_.sessions.flush(now_ns_, *effects_);
  settle(ProtocolId::native, nullptr, 0);
}

// After the answers of this turn have left; what it brings about itself leaves behind them.
void Core::run_timers() {
  if (!has_room_to_settle()) return;
  make_room_for_packets();
  protocols_.sessions.poll(now_ns_, *effects_);
  protocols_.sessions.flush(now_ns_, *effects_);
  settle(ProtocolId::native, nullptr, 0);
  if (has_room_to_settle()) {
    protocols_.listeners.flush(*effects_);
    protocols_.listeners.poll(now_ns_, *effects_);
    settle(ProtocolId::datagram, nullptr, 0);
  }
  send_packets();
  if (serving_.get() == 0 && catalog_complete() && protocols_.listeners.settled()) serving_.set(1);
}

void Core::send_packets() {
  for (std::uint16_t i = 0; i < port_count(); ++i) {
    protocol::PacketWriter& writer = effects_->writers[i];
    const std::span<protocol::Packet> packets = writer.filled();
    if (packets.empty()) {
      if (writer.room() < writer.packets_max / 2) prepare_packets(ports_[i], i, 0);
      continue;
    }
    PortState& state = ports_[i];
    for (std::uint32_t p = 0; p < packets.size(); ++p) {
      port::TxFrame& frame = state.tx_frames[p];
      const protocol::Packet& packet = packets[p];
      if (state.ethernet) {
        frame.bytes = net::udp_headers_bytes + packet.bytes;
        net::write_udp_headers(frame.data, state.identity, packet.to, packet.local_port,
                               packet.bytes);
      } else {
        frame.bytes = packet.bytes;
        frame.to = packet.to;
        frame.local_port = packet.local_port;
      }
    }
    const auto used = static_cast<std::uint32_t>(packets.size());
    state.port->send_frames(std::span<const port::TxFrame>(state.tx_frames.data(), used));
    prepare_packets(state, i, used);
  }
}

// Every call to a protocol finds at least half of the packets free, as far as ports have buffers.
void Core::make_room_for_packets() {
  for (std::uint16_t i = 0; i < port_count(); ++i) {
    if (effects_->writers[i].room() < protocol::PacketWriter::packets_max / 2 &&
        !effects_->writers[i].filled().empty()) {
      return send_packets();
    }
  }
}

// Replaces the first `used` transmit frames, which were given away, and tells the writer what there
// is.
void Core::prepare_packets(PortState& state, std::uint16_t index, std::uint32_t used) {
  protocol::PacketWriter& writer = effects_->writers[index];
  const std::uint32_t got =
      state.port->allocate_frames(std::span<port::TxFrame>(state.tx_frames.data(), used));
  std::uint32_t filled = got;
  while (filled < used && state.tx_count > used) {
    state.tx_frames[filled++] = state.tx_frames[--state.tx_count];
  }
  if (filled < used) state.tx_count = filled;
  const std::uint32_t kept = state.tx_count;
  if (state.tx_count < writer.packets_max) {
    state.tx_count += state.port->allocate_frames(std::span<port::TxFrame>(
        state.tx_frames.data() + state.tx_count, writer.packets_max - state.tx_count));
  }
  const std::uint32_t headroom = state.ethernet ? net::udp_headers_bytes : 0;
  const std::uint32_t payload_max = state.port->payload_bytes_max();
  const auto describe = [&](std::uint32_t i) {
    protocol::Packet& packet = writer.slots()[i];
    packet.payload = state.tx_frames[i].data + headroom;
    packet.capacity = std::min(state.tx_frames[i].capacity - headroom, payload_max);
  };
  for (std::uint32_t i = 0; i < std::min(used, state.tx_count); ++i) describe(i);
  for (std::uint32_t i = kept; i < state.tx_count; ++i) describe(i);
  writer.reset();
  writer.set_prepared(state.tx_count);
}

void Core::answer_arp(PortState& state, const net::Parsed& parsed) {
  port::TxFrame frame;
  if (!state.answer_limit.take(now_ns_) || state.port->allocate_frames({&frame, 1}) == 0) return;
  frame.bytes = net::write_arp_reply(frame.data, state.identity, parsed.peer);
  state.port->send_frames({&frame, 1});
}

void Core::answer_echo(PortState& state, const net::Parsed& parsed) {
  port::TxFrame frame;
  if (!state.answer_limit.take(now_ns_) || state.port->allocate_frames({&frame, 1}) == 0) return;
  frame.bytes = net::write_icmp_echo_reply({frame.data, frame.capacity}, state.identity,
                                           parsed.peer, parsed.payload);
  if (frame.bytes == 0) return state.port->discard_frames({&frame, 1});
  state.port->send_frames({&frame, 1});
}

// --- frames in use ---

void Core::hold(std::uint16_t port_index, const port::RxFrame& frame) {
  CHECK(held_tail_ - held_head_ < frames_held_max);
  held_frames_[held_tail_++ % frames_held_max] = {frame, port_index};
}

void Core::release_held() {
  while (group_head_ != group_tail_) {
    const ReleaseGroup& group = release_groups_[group_head_ % release_groups_max];
    for (std::uint16_t to = 0; to < options_.core_count; ++to) {
      if (commands_.ring(options_.id, base::CoreId{to}).consumed_count() < group.marks[to]) {
        return flush_given_back();
      }
    }
    for (std::uint32_t i = 0; i < group.frame_count; ++i) {
      const HeldFrame& held = held_frames_[held_head_++ % frames_held_max];
      give_back(ports_[held.port_index], held.frame);
    }
    ++group_head_;
  }
  // With none in use the rings start over: their first places are still in the cache.
  held_head_ = held_tail_ = group_head_ = group_tail_ = 0;
  flush_given_back();
}

void Core::give_back(PortState& state, const port::RxFrame& frame) {
  if (state.free_count == state.free_frames.size()) {
    state.port->release_frames(state.free_frames);
    state.free_count = 0;
  }
  state.free_frames[state.free_count++] = frame;
}

void Core::flush_given_back() {
  for (PortState& state : ports_) {
    if (state.free_count == 0) continue;
    state.port->release_frames(
        std::span<const port::RxFrame>(state.free_frames.data(), state.free_count));
    state.free_count = 0;
  }
}

// For all that one call to a protocol may bring about.
bool Core::has_room_to_settle() {
  for (std::uint16_t to = 0; to < options_.core_count; ++to) {
    if (commands_.ring(options_.id, base::CoreId{to}).free_slots() < protocol::commands_max)
      return false;
  }
  // One frame is done, and as many as there are commands may be released with it.
  return group_tail_ - group_head_ < release_groups_max &&
         held_tail_ - held_head_ + protocol::commands_max < frames_held_max;
}

std::uint64_t Core::append_room_bytes() {
  if (commands_blocked_) return 0;
  std::uint64_t room = ~0ULL;
  for (const ShardState& state : shards_) room = std::min(room, state.shard->append_room_bytes());
  return room;
}

}  // namespace millrace::core

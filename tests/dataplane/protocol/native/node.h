// Node: Sessions on a FakeShard, turned by hand: datagrams in, packets out, virtual time.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "dataplane/base/arena.h"
#include "dataplane/protocol/native/sessions.h"
#include "tests/support/shard/fake_shard.h"

namespace millrace::testing {

using Bytes = std::vector<std::byte>;

struct Outgoing {
  base::Endpoint to;
  Bytes bytes;
};

inline native::SessionsOptions small_options() {
  native::SessionsOptions options;
  options.sessions_max = 16;
  options.streams_max = 64;
  options.subscriptions_max = 32;
  options.pending_acks_max = 1024;
  options.reassembly_buffers = 2;
  options.secret = {0x0123456789abcdefULL, 0xfedcba9876543210ULL};
  options.ports[0] = {.credits = 1024, .payload_bytes_max = 1472};
  return options;
}

inline base::Endpoint endpoint(std::uint16_t udp_port) {
  return {.ipv4 = 0x0a000002, .udp_port = udp_port, .port_index = 0};
}

class Node {
 public:
  explicit Node(FakeShard& shard, const native::SessionsOptions& options = small_options());

  // One datagram, handled at once with its commands; how it ended.
  protocol::Disposition receive(const base::Endpoint& peer, std::span<const std::byte> bytes,
                                std::uint64_t now_ns);
  // Events, poll and flush. What was sent since the last call comes back.
  std::vector<Outgoing> turn(std::uint64_t now_ns);
  // A turn in which the shard says nothing: its events wait.
  std::vector<Outgoing> quiet_turn(std::uint64_t now_ns);

  native::Sessions& sessions() { return *sessions_; }
  std::size_t held_frames() const { return frames_.size(); }
  std::uint64_t dropped(base::DropReason reason) const {
    return drops_[static_cast<std::size_t>(reason)];
  }
  std::uint64_t received() const { return received_; }

  std::uint64_t append_room_bytes = 64 << 20;
  std::uint32_t packets_per_turn = 64;

 private:
  void prepare();
  void apply_commands();
  void collect();

  FakeShard& shard_;
  base::Arena arena_;
  std::unique_ptr<native::Sessions> sessions_;
  std::unique_ptr<protocol::Effects> effects_;
  std::array<std::array<std::byte, 1472>, protocol::PacketWriter::packets_max> buffers_;
  std::map<std::uint64_t, std::unique_ptr<Bytes>> frames_;  // held
  std::vector<Outgoing> sent_;
  std::array<std::uint64_t, base::drop_reason_count> drops_{};
  std::uint64_t next_frame_ = 1;
  std::uint64_t received_ = 0;
};

}  // namespace millrace::testing

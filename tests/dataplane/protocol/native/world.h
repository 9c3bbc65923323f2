// World: a Node and Peers joined by a link that may drop, double and delay, in virtual time.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "tests/dataplane/protocol/native/peer.h"

namespace millrace::testing {

// Node and peers joined by a link that may drop, double and delay.
class World {
 public:
  explicit World(std::uint64_t seed = 1, std::uint32_t trouble_percent = 0,
                 const native::SessionsOptions& options = small_options())
      : node(shard, options), random_(seed), trouble_percent_(trouble_percent) {
    shard.add_topic("t", 4);
  }

  Peer& add_peer(base::ProducerId producer = 100) {
    const auto udp_port = static_cast<std::uint16_t>(40000 + peers_.size());
    return *peers_.emplace_back(std::make_unique<Peer>(udp_port, producer));
  }

  void step() {
    now_ns += 10'000;
    for (auto& peer : peers_) {
      for (Bytes& packet : peer->step(now_ns)) send({peer->at(), std::move(packet)}, true);
    }
    std::vector<Transit> due;
    std::erase_if(transit_, [&](Transit& transit) {
      if (transit.at_ns > now_ns) return false;
      due.push_back(std::move(transit));
      return true;
    });
    for (Transit& transit : due) {
      if (transit.to_node) {
        node.receive(transit.packet.to, transit.packet.bytes, now_ns);
        continue;
      }
      for (auto& peer : peers_) {
        if (peer->at() == transit.packet.to) peer->on_packet(transit.packet.bytes, now_ns);
      }
    }
    for (Outgoing& packet : node.turn(now_ns)) send(std::move(packet), false);
  }

  bool run_until(const std::function<bool()>& done, std::uint32_t steps_max = 200'000) {
    for (std::uint32_t i = 0; i < steps_max; ++i) {
      if (done()) return true;
      step();
    }
    return done();
  }
  void run(std::uint32_t steps) {
    for (std::uint32_t i = 0; i < steps; ++i) step();
  }
  bool connect(Peer& peer) {
    peer.open("t");
    return run_until([&] { return peer.opened.size() == 1; });
  }
  std::uint64_t durable(const Peer& peer) {
    const auto found = peer.watermarks.find(peer.opened.at(0).stream);
    return found == peer.watermarks.end() ? 0 : found->second.durable;
  }
  std::uint64_t memory(const Peer& peer) {
    const auto found = peer.watermarks.find(peer.opened.at(0).stream);
    return found == peer.watermarks.end() ? 0 : found->second.memory;
  }

  FakeShard shard;
  Node node;
  std::uint64_t now_ns = 1'000'000;

 private:
  struct Transit {
    std::uint64_t at_ns;
    bool to_node;
    Outgoing packet;
  };

  bool chance() { return random_() % 100 < trouble_percent_; }
  void send(Outgoing packet, bool to_node) {
    if (chance()) return;
    if (chance()) transit_.push_back({now_ns + 20'000, to_node, packet});
    const std::uint64_t delay_ns = chance() ? random_() % 200'000 : 0;
    transit_.push_back({now_ns + delay_ns, to_node, std::move(packet)});
  }

  std::vector<std::unique_ptr<Peer>> peers_;
  std::vector<Transit> transit_;
  std::mt19937_64 random_;
  std::uint32_t trouble_percent_;
};

}  // namespace millrace::testing

// Guests of a TestNode: the real client on a port joined to a core's, and scripted peers whose
// packets are put into the core's port one by one.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "dataplane/base/alloc_guard.h"
#include "dataplane/client/client.h"
#include "dataplane/net/checksum.h"
#include "dataplane/net/write.h"
#include "tests/dataplane/core/test_node.h"
#include "tests/dataplane/protocol/native/peer.h"

namespace millrace::core {

using testing::Bytes;
using testing::Peer;

// The real client, by cable.
class ClientGuest {
 public:
  ClientGuest(TestNode& node, base::Clock& clock, std::size_t core = 0)
      : port_(port_options(node.options.port, core)),
        client(join(node.port(core)), clock, client_options(node, core)) {}

  void poll() {
    client.poll(
        [](void* context, const mr_record* record) {
          static_cast<ClientGuest*>(context)->records.emplace_back(
              static_cast<const char*>(record->value), record->value_bytes);
        },
        this, 1'000'000);
  }

 private:
  static test::FakePortOptions port_options(test::FakePortOptions options, std::size_t core) {
    options.mac = {2, 0, 0, 0, 1, static_cast<std::uint8_t>(core)};
    options.ipv4 = 0x0a000100 + static_cast<std::uint32_t>(core);
    options.udp_port = 40000;
    return options;
  }
  static client::ClientOptions client_options(const TestNode& node, std::size_t core) {
    client::ClientOptions options;
    options.server = {.ipv4 = node.options.port.ipv4, .udp_port = 7070};
    options.local_port = 40000;
    options.connection.seed = core + 1;
    return options;
  }
  port::Port& join(test::FakePort& node_port) {
    test::FakePort::join(port_, node_port);
    return port_;
  }

  test::FakePort port_;

 public:
  client::Client client;
  std::vector<std::string> records;
};

// Scripted peers of one core with datagram or Ethernet framing.
class PeerGuests {
 public:
  explicit PeerGuests(TestNode& node, std::size_t core = 0) : node_(node), core_(core) {}

  Peer& add(base::ProducerId producer = 100) {
    const auto udp_port = static_cast<std::uint16_t>(40000 + peers_.size());
    return *peers_.emplace_back(std::make_unique<Peer>(udp_port, producer));
  }
  // Puts a UDP payload into the port as if it came from there.
  bool deliver(std::span<const std::byte> payload, const base::Endpoint& from,
               std::uint16_t local_port = 7070) {
    if (node_.options.port.framing == port::Framing::datagram) {
      return node_.port(core_).deliver(payload, from, local_port);
    }
    return node_.port(core_).deliver(udp_frame(payload, from, local_port));
  }
  Bytes udp_frame(std::span<const std::byte> payload, const base::Endpoint& from,
                  std::uint16_t local_port) const {
    Bytes frame(net::udp_headers_bytes + payload.size());
    base::Endpoint to;
    to.ipv4 = node_.options.port.ipv4;
    to.udp_port = local_port;
    to.mac = node_.options.port.mac;
    net::write_udp_headers(frame.data(), identity_of(from), to, from.udp_port,
                           static_cast<std::uint32_t>(payload.size()));
    std::copy(payload.begin(), payload.end(), frame.begin() + net::udp_headers_bytes);
    return frame;
  }
  static net::Identity identity_of(const base::Endpoint& guest) {
    return {.mac = {2, 0, 0, 0, 0, 2}, .ipv4 = guest.ipv4};
  }

  // One turn of the core, sealed: it must not allocate.
  void step(std::uint64_t ns = 10'000) {
    node_.clock.advance(ns);
    for (auto& peer : peers_) {
      for (Bytes& packet : peer->step(now())) on_send(packet, *peer);
    }
    for (auto& core : node_.cores) {
      base::seal();
      core->core.run_turn();
      base::unseal();
    }
    take_sent();
  }
  void take_sent() {
    while (const auto sent = node_.port(core_).take_sent()) {
      std::span<const std::byte> payload = sent->bytes;
      std::uint16_t udp_port = sent->to.udp_port;
      if (node_.options.port.framing == port::Framing::ethernet) {
        const auto parsed =
            net::parse_frame(sent->bytes, identity_of({.ipv4 = testing::endpoint(0).ipv4}), false);
        if (parsed.kind != net::FrameKind::udp) {
          other_frames.push_back(sent->bytes);
          continue;
        }
        payload = parsed.payload;
        udp_port = parsed.local_port;
      }
      for (auto& peer : peers_) {
        if (peer->at().udp_port == udp_port) peer->on_packet(payload, now());
      }
    }
  }
  bool run_until(const std::function<bool()>& done, int steps_max = 200'000) {
    for (int i = 0; i < steps_max && !done(); ++i) step();
    return done();
  }
  // Peers that are connected and have the topic open.
  bool connect(std::uint16_t partition_index = 0) {
    for (auto& peer : peers_) {
      if (peer->opened.empty()) peer->open("t", partition_index);
    }
    return run_until([&] {
      return std::all_of(peers_.begin(), peers_.end(),
                         [](const auto& peer) { return peer->opened.size() == 1; });
    });
  }
  std::uint64_t durable(const Peer& peer) const {
    const auto found = peer.watermarks.find(peer.opened.at(0).stream);
    return found == peer.watermarks.end() ? 0 : found->second.durable;
  }
  std::uint64_t now() const { return node_.clock.monotonic_ns(); }
  std::vector<std::unique_ptr<Peer>>& peers() { return peers_; }

  // What becomes of a peer's packet; by default it is delivered.
  std::function<void(Bytes& packet, Peer& peer)> on_send = [this](Bytes& packet, Peer& peer) {
    deliver(packet, peer.at());
  };
  std::vector<Bytes> other_frames;  // Ethernet: neither UDP nor for a peer

 private:
  TestNode& node_;
  std::size_t core_;
  std::vector<std::unique_ptr<Peer>> peers_;
};

}  // namespace millrace::core

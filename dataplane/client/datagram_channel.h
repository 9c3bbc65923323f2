// DatagramChannel: datagrams to and from one server through one port, whatever the port's framing.
// Core:  the client's thread.
// Owns:  transmit frames taken ahead and received frames to give back; the port is borrowed.
//
// On an Ethernet port it writes and checks the headers, finds the server's MAC and answers ARP and
// ping, so that the layer above sees UDP payloads only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/base/endpoint.h"
#include "dataplane/net/arp_resolver.h"
#include "dataplane/net/parse.h"
#include "dataplane/port/port.h"

namespace millrace::client {

// A received UDP payload; frame goes back with release().
struct Received {
  const std::byte* data = nullptr;
  std::uint32_t bytes = 0;
  port::RxFrame frame;
};

class DatagramChannel {
 public:
  // local_port: the UDP port to send from and to receive at.
  DatagramChannel(port::Port& port, const base::Endpoint& server, std::uint16_t local_port);
  ~DatagramChannel();
  DatagramChannel(const DatagramChannel&) = delete;
  DatagramChannel& operator=(const DatagramChannel&) = delete;

  // Biggest payload of a packet.
  std::uint32_t payload_bytes_max() const { return port_.payload_bytes_max(); }
  std::uint32_t receive_descriptors() const { return port_.receive_descriptors(); }

  // Memory for the payload of one packet (payload_bytes_max of it), or null: no buffer, or the
  // server's MAC is not known yet. Asking again without commit() gives the same memory.
  std::byte* begin() {
    if (next_ == taken_ && !take_frames()) return nullptr;
    return frames_[next_].data + headers_bytes_;
  }
  // The packet begun is complete; it leaves with flush(), or when a burst is full.
  void commit(std::uint32_t payload_bytes);
  void flush();
  bool has_filled() const { return next_ != 0; }

  // What the server sent, at most out.size(), which is at most burst_max. All else is dropped or
  // answered here.
  std::uint32_t receive(std::span<Received> out);
  void release(const port::RxFrame& frame);

  // Address resolution; when it next wants a call.
  void poll(std::uint64_t now_ns);
  std::uint64_t deadline_ns() const;
  // The server has been silent: its MAC may have changed.
  void look_again();

  std::uint64_t dropped_packets() const { return dropped_packets_; }
  port::Port& port() const { return port_; }

 private:
  bool take_frames();
  bool parse(Received& received);
  void answer(const net::Parsed& parsed);
  bool from_server(const base::Endpoint& peer) const {
    return peer.ipv4 == server_.ipv4 && peer.udp_port == server_.udp_port;
  }

  port::Port& port_;
  base::Endpoint server_;
  std::uint16_t local_port_;
  bool ethernet_;
  std::uint32_t headers_bytes_;
  net::Identity identity_;
  net::ArpResolver resolver_;
  std::uint32_t next_ = 0;   // frames_[0..next_) are filled
  std::uint32_t taken_ = 0;  // frames_[next_..taken_) are empty
  std::array<port::TxFrame, port::burst_max> frames_{};
  std::array<port::RxFrame, port::burst_max> burst_{};  // here, so that it is not cleared each time
  std::uint32_t used_count_ = 0;
  std::array<port::RxFrame, port::burst_max> used_{};  // to be given back
  std::uint64_t dropped_packets_ = 0;
};

}  // namespace millrace::client

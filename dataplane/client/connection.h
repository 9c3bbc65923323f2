// Connection: one session with a node after another: handshake, liveness, the packet windows of
// both directions. It knows packets, and nothing of producers or subscriptions.
// Core:  the client's thread. Bytes and now_ns in, packets out through the channel.
// Owns:  received PUSH frames until they are delivered.
//
//   greeting ──COOKIE──▶ greeting ──WELCOME──▶ established ──END, silence, node knows us not──▶
//   lost
//      ▲                                                                                        │
//      └────────────────────────── the owner has dropped what belonged to the session ──────────┘
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/base/units.h"
#include "dataplane/client/datagram_channel.h"
#include "dataplane/client/status.h"
#include "dataplane/protocol/native/codec.h"
#include "dataplane/protocol/native/packet_window.h"

namespace millrace::client {

struct ConnectionOptions {
  std::uint64_t silence_timeout_ns = 2 * base::second_ns;
  std::uint32_t idle_timeout_ms = 10'000;
  std::uint64_t seed = 1;  // of nonces and session ids
};

class Connection {
 public:
  enum class State : std::uint8_t { greeting, established, lost, closed };

  Connection(DatagramChannel& channel, const ConnectionOptions& options);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  State state() const { return state_; }
  bool established() const { return state_ == State::established; }

  // Takes one received packet and its frame. True when it is for the owner: an answer, an ACK, a
  // BEAT or an ERROR; packet.body then lives until release(). Everything else is done here.
  bool receive(const Received& received, std::uint64_t now_ns, native::Request& packet);

  // Timers. awaiting: the owner waits for an acknowledgement that the node may owe us already.
  void poll(std::uint64_t now_ns, bool awaiting);
  // Sends the acknowledgement that is due, if no other packet carried it.
  void acknowledge();
  // Something that was received may have brought about packets that have not left yet.
  bool owes_packets() const {
    return ack_due_ || channel_.has_filled() || send_window_.in_flight() != 0;
  }
  std::uint64_t deadline_ns(bool awaiting) const;

  // lost: the owner has forgotten the session; begins the next one.
  void restart(std::uint64_t now_ns);
  // Says goodbye.
  void close();

  // --- established ---
  // Biggest UDP payload agreed on; 0 before the first session.
  std::uint32_t payload_bytes() const { return payload_bytes_; }

  const native::SendWindow& send_window() const { return send_window_; }
  native::SendWindow& send_window() { return send_window_; }
  // The header of a packet that goes out now; it carries every acknowledgement due.
  native::Header header(native::PacketType type) {
    ack_due_ = false;
    return {type, server_session_, 0, 0, receive_window_.ack_upto(), receive_window_.credit()};
  }
  DatagramChannel& channel() { return channel_; }
  // A small packet; false when there was no buffer.
  template <typename Body>
  bool send(native::PacketType type, const Body& body) {
    std::byte* at = channel_.begin();
    if (at == nullptr) return false;
    channel_.commit(native::encode(at, header(type), body));
    return true;
  }

  // The next PUSH in order, its body without the header; empty when there is none.
  std::span<const std::byte> next_push() const {
    if (!receive_window_.deliverable()) return {};
    const Received& held = held_[native::window_slot(receive_window_.next_seq())];
    return {held.data + native::header_bytes, held.bytes - native::header_bytes};
  }
  void push_done();
  bool has_push() const { return receive_window_.deliverable(); }

  std::uint64_t sessions() const { return sessions_; }
  std::uint64_t dropped_packets() const { return dropped_packets_; }
  // MR_OK while established; else MR_NOT_CONNECTED, or why the node last refused a session.
  int status() const {
    if (established()) return MR_OK;
    return refusal_ == native::Status::ok ? MR_NOT_CONNECTED : to_status(refusal_);
  }

 private:
  void greet(std::uint64_t now_ns);
  bool receive_greeting(const native::Request& packet, std::uint64_t now_ns);
  void welcome(const native::Welcome& welcome, std::uint64_t now_ns);
  void receive_push(const Received& received, const native::Request& packet, std::uint64_t now_ns);
  bool receive_error(const native::Request& packet, std::uint64_t now_ns);
  void lose();
  void ask_missing(std::uint64_t now_ns);
  void ping(std::uint64_t now_ns);
  std::uint64_t ping_at_ns(bool awaiting) const;
  void drop(const Received& received) {
    ++dropped_packets_;
    channel_.release(received.frame);
  }

  DatagramChannel& channel_;
  ConnectionOptions options_;
  State state_ = State::greeting;
  bool ack_due_ = false;
  std::uint16_t receive_credit_;
  std::uint32_t payload_bytes_ = 0;
  std::uint32_t client_session_ = 0;  // in packets to us
  std::uint32_t server_session_ = 0;  // in packets to the node
  std::uint64_t random_state_;
  native::Nonce nonce_{};
  native::Cookie cookie_{};
  native::Status refusal_ = native::Status::ok;
  std::uint64_t greet_at_ns_ = 0;
  std::uint64_t greet_interval_ns_ = 0;
  std::uint64_t heard_ns_ = 0;
  std::uint64_t pinged_ns_ = 0;
  std::uint64_t unanswered_since_ns_ = 0;  // first PING since we heard something; 0: none
  std::uint32_t unanswered_pings_ = 0;
  std::uint64_t sessions_ = 0;
  std::uint64_t dropped_packets_ = 0;
  native::SendWindow send_window_;
  native::ReceiveWindow receive_window_;
  std::array<Received, native::window_packets> held_{};
};

}  // namespace millrace::client

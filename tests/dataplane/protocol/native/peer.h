// Peer: a scripted client: connects, opens, publishes, subscribes, and keeps what it was told.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "dataplane/protocol/native/packet_window.h"
#include "tests/dataplane/protocol/native/node.h"

namespace millrace::testing {

// `records` records of value_bytes each, from base_sequence on.
Bytes make_batch(base::ProducerId producer, std::int32_t base_sequence, std::uint32_t records,
                 std::uint32_t value_bytes);

class Peer {
 public:
  Peer(std::uint16_t udp_port, base::ProducerId producer) : producer_(producer) {
    at_ = endpoint(udp_port);
  }

  // Requests are repeated until answered; results appear in the public members.
  void open(std::string topic, std::uint16_t partition_index = 0);
  void subscribe(native::StartAt start_at, std::int64_t value = 0);
  // Queued; goes out as the window allows.
  void publish(const Bytes& batch, std::uint32_t records, std::uint16_t flags = 0);
  void end() { want_end_ = true; }

  void on_packet(std::span<const std::byte> bytes, std::uint64_t now_ns);
  std::vector<Bytes> step(std::uint64_t now_ns);

  const base::Endpoint& at() const { return at_; }
  bool idle() const { return queue_.empty() && send_.in_flight() == 0; }
  native::Header header(native::PacketType type) {
    return {type, session, 0, 0, receive_.ack_upto(), receive_.credit()};
  }

  std::uint32_t session = 0;
  native::Welcome welcome;
  std::map<native::PacketType, std::uint32_t> received;
  std::vector<native::OpenAck> opened;
  std::vector<native::SubAck> subscribed;
  std::map<std::uint32_t, native::AckEntry> watermarks;
  struct Error {
    native::Status code;
    std::uint32_t handle;
    std::uint64_t sequence;
  };
  std::vector<Error> errors;
  struct Delivered {
    std::uint32_t subscription;
    base::Offset base_offset;
    Bytes bytes;
  };
  std::vector<Delivered> delivered;
  std::map<std::uint32_t, native::Status> gone;  // by subscription
  native::Beat last_beat;
  std::uint16_t push_credit = 64;
  bool ended = false;
  // Others speak in its name, so what the node may send is not ours to say.
  bool impersonated = false;

 private:
  struct Request {
    std::uint32_t id;
    Bytes packet;
    std::uint64_t again_ns;
  };

  void on_push(std::span<const std::byte> bytes, const native::Header& header,
               std::uint64_t now_ns);
  void deliver(std::span<const std::byte> packet);
  // False when it was not asked, or was answered before.
  bool answered(std::uint32_t request_id);
  void send_data(std::uint64_t now_ns, std::vector<Bytes>& out);
  Bytes control(std::uint32_t bytes, const std::byte* from) { return {from, from + bytes}; }

  base::Endpoint at_;
  base::ProducerId producer_;
  native::Nonce nonce_{7, 9};
  native::Cookie cookie_{};
  std::uint64_t hello_again_ns_ = 0;
  std::uint64_t ping_again_ns_ = 0;
  std::uint32_t next_request_ = 1;
  std::vector<Request> requests_;
  std::deque<Bytes> queue_;  // DATA packets without header
  std::array<Bytes, native::window_packets> sent_;
  std::array<Bytes, native::window_packets> held_;
  std::map<std::uint32_t, Bytes> assembling_;
  native::SendWindow send_;
  native::ReceiveWindow receive_;
  std::vector<std::byte> scratch_ = std::vector<std::byte>(native::control_bytes_max);
  bool ack_due_ = false;
  bool want_end_ = false;
};

}  // namespace millrace::testing

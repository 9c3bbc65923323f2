// ScriptedNode: just enough of a node to answer one client, with knobs for everything that can go
// wrong. Logs outlive restart(); sessions do not.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/protocol/native/codec.h"
#include "dataplane/protocol/native/packet_window.h"
#include "storage/batch.h"
#include "tests/dataplane/client/link_port.h"

namespace millrace::client {

class ScriptedNode {
 public:
  struct Log {
    std::vector<PacketBytes> batches;
    base::Offset end = 0;
    std::map<base::ProducerId, std::uint64_t> accepted;  // by producer: records
    std::uint32_t duplicates = 0;
  };
  using Send = std::function<void(PacketBytes)>;

  explicit ScriptedNode(Send send) : send_(std::move(send)) { add_topic("t", 1); }

  void add_topic(const std::string& topic, std::uint16_t partition_count) {
    topics_[topic] = std::vector<Log>(partition_count);
  }
  Log& log(const std::string& topic, std::uint32_t partition = 0) {
    return topics_.at(topic)[partition];
  }
  void receive(const PacketBytes& packet, std::uint64_t now_ns);
  void poll(std::uint64_t now_ns);
  // Forgets every session, as a node that was started anew.
  void restart() {
    session_ = Session();
    ++generation_;
  }
  void send_error(native::Status code, std::uint32_t handle);
  void send_ping(std::uint64_t now_ns);
  void send_end();
  std::uint32_t stream_of(const std::string& topic) const;
  std::uint32_t subscription() const {
    return session_.cursors.empty() ? 0 : session_.cursors.begin()->first;
  }
  std::uint32_t open_streams() const { return static_cast<std::uint32_t>(session_.streams.size()); }
  std::uint32_t ended() const { return ended_; }
  std::uint32_t data_packets() const { return data_packets_; }
  std::uint32_t push_packets() const { return push_packets_; }

  // Knobs.
  bool mute = false;            // receives and says nothing
  bool hold_durable = false;    // the disk is slow: durable stays behind
  bool hold_memory = false;     // takes DATA packets but accepts nothing
  bool silent_unknown = false;  // says nothing to packets of old sessions
  std::uint16_t credit = native::window_packets;
  native::Status refuse_append = native::Status::ok;
  native::Status refuse_open = native::Status::ok;
  native::Status refuse_subscribe = native::Status::ok;
  native::Status refuse_hello = native::Status::ok;
  std::uint16_t push_attributes = 0;  // or-ed into pushed batches (their CRC is kept right)
  bool push_corrupt = false;
  std::uint32_t batches_per_push = 1;  // of those that fit in a packet whole

 private:
  struct Stream {
    std::string topic;
    std::uint32_t partition = 0;
    base::ProducerId producer_id = -1;
    bool refused = false;
    std::uint64_t memory = 0;
    std::uint64_t durable = 0;
    PacketBytes assembly;
  };
  struct Cursor {
    std::uint32_t stream = 0;
    base::Offset next = 0;
    std::uint32_t skip_bytes = 0;
  };
  struct Session {
    std::uint32_t id = 0;
    std::uint32_t client_id = 0;
    native::Nonce nonce{};
    native::ReceiveWindow in;
    native::SendWindow out;
    std::array<PacketBytes, native::window_packets> held;
    std::array<PacketBytes, native::window_packets> sent;
    std::map<std::uint32_t, Stream> streams;
    std::map<std::uint32_t, Cursor> cursors;
    std::map<std::uint32_t, PacketBytes> answers;  // by request id
    bool ack_due = false;
  };

  native::Header header(native::PacketType type) const;
  template <typename Body>
  PacketBytes make(native::PacketType type, const Body& body) const {
    PacketBytes packet(native::control_bytes_max);
    packet.resize(native::encode(packet.data(), header(type), body));
    return packet;
  }
  void say(PacketBytes packet) {
    if (!mute) send_(std::move(packet));
  }
  void receive_hello(const native::Request& packet, std::uint64_t now_ns);
  void receive_request(const native::Request& packet);
  PacketBytes answer_open(const native::Open& open);
  PacketBytes answer_subscribe(const native::Subscribe& subscribe);
  void receive_data(const PacketBytes& packet, const native::Request& request,
                    std::uint64_t now_ns);
  void take_data(const PacketBytes& packet);
  void append(std::uint32_t handle, Stream& stream, PacketBytes batch);
  void send_acks();
  void push(std::uint64_t now_ns);
  bool push_piece(std::uint32_t handle, Cursor& cursor, std::uint64_t now_ns);

  Send send_;
  std::map<std::string, std::vector<Log>> topics_;
  Session session_;
  std::uint32_t generation_ = 1;
  std::uint32_t handles_ = 0;
  std::uint32_t ended_ = 0;
  std::uint32_t data_packets_ = 0;
  std::uint32_t push_packets_ = 0;
};

}  // namespace millrace::client

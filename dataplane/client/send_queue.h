// SendQueue: batches on their way into DATA packets, in order, and which bytes each packet in
// flight carries, so that it can be sent again.
// Core:  the client's thread. The batches are borrowed from their producers.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/client/connection.h"
#include "dataplane/client/pending_batch.h"
#include "dataplane/protocol/native/packet_window.h"

namespace millrace::client {

class SendQueue {
 public:
  explicit SendQueue(Connection& connection) : connection_(connection) {}

  // Behind all others. The batch is sealed and its lane open.
  void push(PendingBatch* batch);
  // As many packets as the node's credit and the port's buffers allow, repairs after new data.
  void send(std::uint64_t now_ns);
  bool idle() const { return first_ == nullptr; }

  // The session is lost: nothing is in flight, nothing queued.
  void clear();
  // Takes the lane's batches out of the queue; packets in flight keep their bytes.
  void remove(const Lane* lane);
  // The batch's memory goes: packets that carry it and are still in flight become empty ones, so
  // that the window moves on.
  void forget(const PendingBatch* batch);

  std::uint64_t repaired_packets() const { return repaired_packets_; }

 private:
  struct Fragment {
    const PendingBatch* batch = nullptr;
    std::uint32_t stream = 0;  // as it was when first sent
    std::uint32_t offset = 0;  // into the batch
    std::uint32_t bytes = 0;
    std::uint16_t record_count = 0;
    std::uint16_t flags = 0;
  };

  bool send_fragment(std::uint64_t now_ns);
  bool write(std::uint64_t pkt_seq, const Fragment& fragment, std::uint16_t header_flags);
  void repair(std::uint64_t now_ns);
  void pop();

  Connection& connection_;
  PendingBatch* first_ = nullptr;
  PendingBatch* last_ = nullptr;
  std::uint32_t sent_bytes_ = 0;  // of first_
  std::uint64_t repaired_packets_ = 0;
  std::array<Fragment, native::window_packets> in_flight_{};
};

}  // namespace millrace::client

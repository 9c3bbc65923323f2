// What every datagram protocol takes and gives. Pure: bytes or events plus now_ns in, commands and
// packets out.
//
// The core hands each datagram to the protocol that owns its UDP port and afterwards routes the
// commands, sends the packets and gives the frames back to their ports. A protocol never sees a
// port, a shard or a clock.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/base/check.h"
#include "dataplane/base/drop_reason.h"
#include "dataplane/base/endpoint.h"
#include "dataplane/shard/command.h"

namespace millrace::protocol {

// A UDP payload in a frame that belongs to its port.
struct Datagram {
  const std::byte* data = nullptr;
  std::uint32_t bytes = 0;
  std::uint16_t local_port = 0;
  base::Endpoint peer;      // port_index says which port holds the frame
  std::uint64_t frame = 0;  // the port's handle of it
};

// A packet being made: payload points into a transmit frame.
struct Packet {
  std::byte* payload = nullptr;
  std::uint32_t capacity = 0;
  std::uint32_t bytes = 0;
  std::uint16_t local_port = 0;
  base::Endpoint to;
};

// A list with room for N, filled and emptied within a turn.
template <typename T, std::uint32_t N>
class Batch {
 public:
  bool full() const { return count_ == N; }
  bool empty() const { return count_ == 0; }
  std::uint32_t size() const { return count_; }
  std::uint32_t room() const { return N - count_; }
  void push(const T& item) {
    CHECK(count_ < N);
    items_[count_++] = item;
  }
  T& operator[](std::uint32_t i) { return items_[i]; }
  const T& operator[](std::uint32_t i) const { return items_[i]; }
  std::span<T> items() { return {items_.data(), count_}; }
  void clear() { count_ = 0; }

 private:
  std::uint32_t count_ = 0;
  std::array<T, N> items_;
};

// Transmit frames of one port, prepared by the core; the protocol fills them from the front.
class PacketWriter {
 public:
  // An empty packet of the port's full size, or null when the port has no more buffers this turn:
  // say less, the peer's retry brings it back.
  Packet* begin(const base::Endpoint& to, std::uint16_t local_port) {
    if (used_ == prepared_) return nullptr;
    Packet& packet = packets_[used_];
    packet.bytes = 0;
    packet.to = to;
    packet.local_port = local_port;
    return &packet;
  }
  // The packet last begun is complete.
  void commit() {
    DCHECK(used_ < prepared_ && packets_[used_].bytes <= packets_[used_].capacity);
    ++used_;
    ++committed_;
  }
  // Packets committed in all turns: the number of the last one.
  std::uint64_t committed() const { return committed_; }
  // The packet of that number while it waits to be sent, else null.
  Packet* waiting(std::uint64_t number) {
    const std::uint64_t behind = committed_ - number;
    return behind < used_ ? &packets_[used_ - 1 - behind] : nullptr;
  }
  std::uint32_t room() const { return prepared_ - used_; }

  // --- for the core ---
  static constexpr std::uint32_t packets_max = 64;
  std::span<Packet> slots() { return packets_; }
  std::span<Packet> filled() { return {packets_.data(), used_}; }
  void set_prepared(std::uint32_t count) { prepared_ = count; }
  std::uint32_t prepared() const { return prepared_; }
  void reset() { used_ = prepared_ = 0; }

 private:
  std::uint32_t used_ = 0;
  std::uint32_t prepared_ = 0;
  std::uint64_t committed_ = 0;
  std::array<Packet, packets_max> packets_;
};

inline constexpr std::uint32_t ports_max = 8;       // per core
inline constexpr std::uint32_t commands_max = 512;  // one call's worth

// What a call to a protocol brings about.
struct Effects {
  Batch<shard::Command, commands_max> commands;
  std::array<PacketWriter, ports_max> writers;  // by Endpoint::port_index
  // Frames that were held across calls and are no longer needed once `commands` have been
  // processed.
  Batch<Datagram, commands_max> released;
  // Bytes of batches that the shards can take now; a protocol that would exceed it holds the
  // datagram instead.
  std::uint64_t append_room_bytes = 0;

  PacketWriter& writer(const base::Endpoint& to) { return writers[to.port_index]; }
};

// How one datagram ended. reason is none for a packet that was understood, whatever is answered to
// it.
struct Disposition {
  // The protocol keeps the frame and will name it in Effects::released; else it is free as soon as
  // the commands of this call have been processed.
  bool held = false;
  base::DropReason reason = base::DropReason::none;
};

}  // namespace millrace::protocol

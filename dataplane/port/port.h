// Port: one place where packets come in and go out: a DPDK queue pair, a kernel UDP socket, a
// test's fake. Core:  the one that polls it; never shared.
//
// The concept every port fulfils. Work is done in bursts, so one indirect call serves up to
// burst_max packets. A received frame's memory belongs to the port until release_frames gives it
// back; receive order is kept. A transmit frame is taken empty with allocate_frames, filled, and
// given away with send_frames; one that is not needed goes back with discard_frames.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "dataplane/base/counter.h"
#include "dataplane/base/endpoint.h"

namespace millrace::port {

inline constexpr std::uint32_t burst_max = 32;

enum class Framing : std::uint8_t {
  ethernet,  // data is a whole Ethernet frame; ours to parse, answer ARP on, and build
  datagram,  // the kernel did that: data is a UDP payload, and peer and local_port are set
};

struct RxFrame {
  std::byte* data = nullptr;
  std::uint32_t bytes = 0;
  std::uint16_t local_port = 0;  // datagram framing: the UDP port it was sent to
  bool checksum_bad = false;     // the NIC or kernel found a wrong IP or UDP checksum
  bool checksum_good = false;    // the NIC checked it, so software need not
  base::Endpoint peer;           // datagram framing only
  std::uint64_t cookie = 0;      // the port's own
};

struct TxFrame {
  std::byte* data = nullptr;     // first byte of the Ethernet frame, or of the payload
  std::uint32_t capacity = 0;    // bytes that fit from data on
  std::uint32_t bytes = 0;       // filled
  std::uint16_t local_port = 0;  // datagram framing: the UDP port it is sent from
  base::Endpoint to;             // datagram framing only
  std::uint64_t cookie = 0;      // the port's own
};

// What a port itself lost or refused, beside what the layers above count.
struct PortCounters {
  base::Counter rx_packets;
  base::Counter rx_bytes;
  base::Counter tx_packets;
  base::Counter tx_bytes;
  base::Counter rx_missed;   // lost before we saw them: no descriptor, no buffer, socket overflow
  base::Counter rx_errors;   // broken on arrival, as the device reports
  base::Counter tx_refused;  // the device or socket did not take them; dropped here
};

class Port {
 public:
  virtual ~Port() = default;

  // Up to frames.size() received frames; does not block. 0 when there is nothing.
  virtual std::uint32_t receive_frames(std::span<RxFrame> frames) = 0;
  virtual void release_frames(std::span<const RxFrame> frames) = 0;

  // Empty frames to fill; fewer than asked when buffers run out.
  virtual std::uint32_t allocate_frames(std::span<TxFrame> frames) = 0;
  virtual void discard_frames(std::span<const TxFrame> frames) = 0;
  // All are taken; what the device refuses is counted in tx_refused and its buffer freed.
  virtual void send_frames(std::span<const TxFrame> frames) = 0;

  virtual Framing framing() const = 0;
  // Biggest UDP payload one packet carries here.
  virtual std::uint32_t payload_bytes_max() const = 0;
  // Packets that can wait unread before any is lost: what is shared out as credit. As many again
  // can be received while those are held.
  virtual std::uint32_t receive_descriptors() const = 0;
  // For people: "kernel-udp 0.0.0.0:7070", "dpdk net_memif0 (memif)".
  virtual std::string_view path() const = 0;
  // True when new packets wake Uring::wait() of the core's ring; false when only polling sees them.
  virtual bool wakes_uring() const = 0;
  // Refreshes what only the device knows (rx_missed, rx_errors); called about once a second.
  virtual void refresh_counters() = 0;

  // Ethernet framing: this port's own addresses.
  virtual std::array<std::uint8_t, 6> mac() const { return {}; }
  virtual std::uint32_t ipv4() const { return 0; }  // host byte order
  PortCounters& counters() { return counters_; }

 protected:
  PortCounters counters_;
};

}  // namespace millrace::port

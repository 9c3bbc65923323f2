// DpdkPort: one queue pair of a DPDK device.
// Core:  the one that polls it; its thread is registered with DpdkEnv. Never shared.
// Owns:  nothing: the device and the packet pool are its EthDevice's, which outlives it.
//
// A received frame is an mbuf lent until release_frames; a transmit frame is an mbuf until
// send_frames hands it to the device. Frames whose packet came in several segments are made one, or
// dropped and counted in rx_errors when they do not fit one buffer.
#pragma once

#include <cstdint>
#include <string>

#include "dataplane/port/burst_gate.h"
#include "dataplane/port/port.h"

struct rte_mempool;

namespace millrace::port {

struct DpdkPortOptions {
  std::uint16_t device = 0;  // DPDK's port id
  std::uint16_t queue = 0;
  rte_mempool* pool = nullptr;
  std::string path = {};
  std::array<std::uint8_t, 6> mac = {};
  std::uint32_t ipv4 = 0;
  std::uint32_t payload_bytes_max = 0;
  std::uint32_t receive_descriptors = 0;
  // Frames come from this host's memory, never over a wire: the sender may have left the checksum
  // to a NIC that does not exist (Linux does on veth), and there is nothing it could protect from.
  bool checksum_never_needed = false;
};

class DpdkPort final : public Port {
 public:
  explicit DpdkPort(DpdkPortOptions options) : options_(std::move(options)) {}

  std::uint32_t receive_frames(std::span<RxFrame> frames) override;
  void release_frames(std::span<const RxFrame> frames) override;
  std::uint32_t allocate_frames(std::span<TxFrame> frames) override;
  void discard_frames(std::span<const TxFrame> frames) override;
  // What the device does not take at once is offered tx_retries_max times more, then refused.
  void send_frames(std::span<const TxFrame> frames) override;
  static constexpr std::uint32_t tx_retries_max = 16;

  Framing framing() const override { return Framing::ethernet; }
  std::uint32_t payload_bytes_max() const override { return options_.payload_bytes_max; }
  std::uint32_t receive_descriptors() const override { return options_.receive_descriptors; }
  std::string_view path() const override { return options_.path; }
  bool wakes_uring() const override { return false; }
  // The device's counts are for all its queues, so queue 0 reports them.
  void refresh_counters() override;
  std::array<std::uint8_t, 6> mac() const override { return options_.mac; }
  std::uint32_t ipv4() const override { return options_.ipv4; }

  // Whether anything is at the other end: a cable, a memif peer.
  bool link_up() const;
  BurstGate& gate() { return gate_; }

 private:
  DpdkPortOptions options_;
  BurstGate gate_;
  std::uint64_t device_missed_ = 0;  // as last read
  std::uint64_t device_errors_ = 0;
};

}  // namespace millrace::port

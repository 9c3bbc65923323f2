// OpenPort: the port of one client, opened as its address says.
// Core:  the client's thread.
// Owns:  the port and what carries it: an io_uring, or a DPDK device.
#pragma once

#include <cstdint>
#include <memory>

#include "dataplane/base/result.h"
#include "dataplane/base/uring.h"
#include "dataplane/client/address.h"
#include "dataplane/port/eth_device.h"
#include "dataplane/port/kernel_udp_port.h"
#include "dataplane/port/port.h"

namespace millrace::client {

class OpenPort {
 public:
  // packet_buffers: of kernel UDP, in each direction; 0: the default. Errors say cause and fix.
  static base::Result<OpenPort> open(const Address& address, std::uint32_t packet_buffers = 0);

  port::Port& port() const;
  std::uint16_t local_port() const { return local_port_; }
  // Blocks until a packet may have come or timeout_ns has passed. False: this port cannot, look
  // again and again.
  bool wait(std::uint64_t timeout_ns);

 private:
  OpenPort() = default;

  // In this order: the ring outlives its port.
  std::unique_ptr<base::Uring> uring_;
  std::unique_ptr<port::KernelUdpPort> kernel_;
  std::unique_ptr<port::EthDevice> device_;
  std::uint16_t local_port_ = 0;
};

}  // namespace millrace::client

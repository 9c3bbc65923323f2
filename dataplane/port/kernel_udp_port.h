// KernelUdpPort: UDP through the kernel's sockets and io_uring, for hosts with nothing special.
// Core:  the one that owns the Uring; created, used and destroyed on its thread.
// Owns:  one socket per UDP port, one mapping with the receive and transmit buffers, one provided
// buffer ring. The Uring is shared with the core's storage and must outlive the port.
//
// Receive: one multishot recvmsg per socket takes buffers from the ring by itself, so a packet
// costs no submission. It ends when buffers run out (packets then wait in the socket) and is armed
// again as soon as some came back. Send: one sendmsg entry per frame, one submit per send_frames.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/base/uring.h"
#include "dataplane/port/port.h"

namespace millrace::port {

struct KernelUdpOptions {
  std::uint32_t ipv4 = 0;  // address to bind, host byte order; 0 is every address
  std::vector<std::uint16_t> local_ports = {};  // one socket each; 0 lets the kernel choose
  // A client's one peer: the sockets hear only it, and send only to it. mac and port_index are not
  // used.
  std::optional<base::Endpoint> connect_to = {};
  bool reuse_port = false;                 // several cores bind the same ports, the kernel spreads
  std::uint32_t payload_bytes_max = 1472;  // an Ethernet packet; loopback carries up to 8,952 well
  std::uint32_t rx_frames = 1024;          // powers of two, at most 32,768
  std::uint32_t tx_frames = 1024;
  std::uint32_t socket_buffer_bytes = 8 << 20;  // each way; without CAP_NET_ADMIN the kernel's
                                                // net.core.rmem_max and wmem_max cap it
};

class KernelUdpPort final : public Port, private base::CompletionHandler {
 public:
  // Errors name the port and the fix: taken, privileged, no such address.
  static base::Result<std::unique_ptr<KernelUdpPort>> create(base::Uring& uring,
                                                             const KernelUdpOptions& options);
  // Cancels what is in flight and waits for it; other handlers of the Uring may be called
  // meanwhile.
  ~KernelUdpPort() override;
  KernelUdpPort(const KernelUdpPort&) = delete;
  KernelUdpPort& operator=(const KernelUdpPort&) = delete;

  // Reaps the Uring when nothing is waiting, so other handlers' completions may be delivered here.
  std::uint32_t receive_frames(std::span<RxFrame> frames) override;
  void release_frames(std::span<const RxFrame> frames) override;
  std::uint32_t allocate_frames(std::span<TxFrame> frames) override;
  void discard_frames(std::span<const TxFrame> frames) override;
  // TxFrame::local_port must be one of ours, or 0 for the first. A full socket buffer refuses.
  void send_frames(std::span<const TxFrame> frames) override;

  Framing framing() const override { return Framing::datagram; }
  std::uint32_t payload_bytes_max() const override { return payload_bytes_max_; }
  std::uint32_t receive_descriptors() const override { return receive_descriptors_; }
  std::string_view path() const override { return path_; }
  bool wakes_uring() const override { return true; }
  void refresh_counters() override;

  // The UDP port that the index-th of local_ports got.
  std::uint16_t local_port(std::size_t index = 0) const { return sockets_[index].local_port; }
  // Bytes that the kernel granted for packets waiting in one socket (SO_RCVBUF).
  std::uint32_t socket_buffer_bytes() const { return socket_buffer_bytes_; }

 private:
  struct Socket {
    int fd = -1;
    std::uint16_t local_port = 0;
    bool armed = false;
    std::uint32_t kernel_drops = 0;  // as last read
  };
  struct TxSlot {
    msghdr message;
    iovec piece;
    sockaddr_in to;
    std::uint32_t bytes;
  };
  struct Waiting {  // received, not yet handed up
    std::uint32_t result_bytes;
    std::uint16_t buffer;
    std::uint16_t socket;
  };

  KernelUdpPort(base::Uring& uring, const KernelUdpOptions& options);
  base::Result<void> open_socket(const KernelUdpOptions& options, std::uint16_t local_port);
  base::Result<void> map_memory();
  base::Result<void> register_buffers();
  void name_path(const KernelUdpOptions& options);

  void on_completion(std::uint64_t token, std::int32_t result, std::uint32_t flags) override;
  void on_received(std::uint16_t socket, std::int32_t result, std::uint32_t flags);
  bool hand_up(const Waiting& waiting, RxFrame& frame);
  void arm_sockets();
  void give_back(std::uint16_t buffer);
  const Socket& socket_of(std::uint16_t local_port) const;
  std::byte* rx_buffer(std::uint32_t index) const { return rx_memory_ + index * rx_stride_bytes_; }
  std::byte* tx_buffer(std::uint32_t index) const { return tx_memory_ + index * tx_stride_bytes_; }

  base::Uring& uring_;
  std::uint8_t handler_ = 0;
  bool closing_ = false;
  bool buffers_registered_ = false;
  std::uint32_t payload_bytes_max_;
  std::uint32_t receive_descriptors_ = 0;
  std::uint32_t socket_buffer_bytes_ = 0;
  std::string path_;
  std::vector<Socket> sockets_;
  std::uint32_t unarmed_count_ = 0;
  std::uint32_t cancels_in_flight_ = 0;

  std::byte* mapping_ = nullptr;
  std::uint64_t mapping_bytes_ = 0;

  std::uint32_t rx_frames_;
  std::uint32_t rx_stride_bytes_;
  io_uring_buf_ring* rx_ring_ = nullptr;
  std::byte* rx_memory_ = nullptr;
  std::uint32_t rx_free_count_ = 0;  // buffers that the kernel may fill
  msghdr rx_shape_{};                // what a multishot recvmsg lays out in a buffer
  std::vector<Waiting> waiting_;     // a ring of rx_frames_
  std::uint32_t waiting_head_ = 0;
  std::uint32_t waiting_tail_ = 0;

  bool connected_;
  std::uint32_t tx_frames_;
  std::uint32_t tx_stride_bytes_;
  std::byte* tx_memory_ = nullptr;
  std::vector<TxSlot> tx_slots_;
  std::vector<std::uint32_t> tx_free_;  // a stack of slots
  std::uint32_t tx_free_count_ = 0;
  std::uint32_t tx_in_flight_ = 0;
};

}  // namespace millrace::port

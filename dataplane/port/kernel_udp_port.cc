#include "dataplane/port/kernel_udp_port.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/sock_diag.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "dataplane/base/check.h"
#include "dataplane/base/units.h"

namespace millrace::port {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::uint64_t tx_token = 1ULL << 32;      // a transmit slot; else a socket's index
constexpr std::uint64_t cancel_token = 1ULL << 33;  // the answer to a cancel; nothing to do
constexpr std::uint32_t reap_max = 2 * burst_max;   // a burst in, a burst out
constexpr std::uint32_t close_waits_max = 100;
constexpr std::uint64_t close_wait_ns = 10 * base::ms_ns;
constexpr std::uint32_t bind_waits_max = 40;
constexpr std::uint64_t bind_wait_ns = 50 * base::ms_ns;

// Before the payload in each receive buffer: the kernel's io_uring_recvmsg_out, then the address.
constexpr std::uint32_t rx_before_bytes = sizeof(io_uring_recvmsg_out) + sizeof(sockaddr_in);
static_assert(rx_before_bytes == 32);

// What a waiting packet is charged against SO_RCVBUF: its power-of-two allocation with headers and
// skb_shared_info (about 512 bytes), and the sk_buff (about 256).
constexpr std::uint32_t socket_charge_bytes(std::uint32_t payload_bytes) {
  return std::bit_ceil(payload_bytes + 512) + 256;
}

// A program that was killed keeps its port until the kernel has ended what its ring had in flight.
// Returns an errno, or 0.
int bind_patiently(int fd, const sockaddr_in& address) {
  for (std::uint32_t waits = 0;; ++waits) {
    if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return 0;
    if (errno != EADDRINUSE || waits == bind_waits_max) return errno;
    std::this_thread::sleep_for(std::chrono::nanoseconds(bind_wait_ns));
  }
}

std::string dotted(std::uint32_t ipv4) {
  return fmt::format("{}.{}.{}.{}", ipv4 >> 24, (ipv4 >> 16) & 0xff, (ipv4 >> 8) & 0xff,
                     ipv4 & 0xff);
}

sockaddr_in socket_address(std::uint32_t ipv4, std::uint16_t udp_port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(udp_port);
  address.sin_addr.s_addr = htonl(ipv4);
  return address;
}

Error bind_error(std::uint32_t ipv4, std::uint16_t local_port, int cause) {
  const std::string where = fmt::format("udp {}:{}", dotted(ipv4), local_port);
  switch (cause) {
    case EADDRINUSE:
      return Error(ErrorCode::already_exists,
                   "{} is taken by another program; find it with 'ss -lunp sport = :{}', or choose "
                   "another port (--port-offset)",
                   where, local_port);
    case EACCES:
      return Error(ErrorCode::permission,
                   "{} is a privileged port; give the program CAP_NET_BIND_SERVICE, lower sysctl "
                   "net.ipv4.ip_unprivileged_port_start, or choose a port from 1024 on",
                   where);
    case EADDRNOTAVAIL:
      return Error(ErrorCode::not_found,
                   "{}: this host has no such address; see 'ip -4 addr', or bind 0.0.0.0", where);
    default:
      return Error(ErrorCode::unavailable, "{}: bind: {}", where, std::strerror(cause));
  }
}

// The forced form may exceed net.core.*mem_max and needs CAP_NET_ADMIN; else take what is granted.
void set_socket_buffer(int fd, int forced, int plain, std::uint32_t bytes) {
  const int value = static_cast<int>(bytes);
  if (setsockopt(fd, SOL_SOCKET, forced, &value, sizeof value) != 0) {
    setsockopt(fd, SOL_SOCKET, plain, &value, sizeof value);
  }
}

}  // namespace

std::uint32_t KernelUdpPort::receive_frames(std::span<RxFrame> frames) {
  if (waiting_head_ == waiting_tail_) uring_.reap(reap_max);
  std::uint32_t count = 0;
  while (count < frames.size() && waiting_head_ != waiting_tail_) {
    const Waiting& waiting = waiting_[waiting_head_++ & (rx_frames_ - 1)];
    if (hand_up(waiting, frames[count])) ++count;
  }
  if (unarmed_count_ != 0) [[unlikely]]
    arm_sockets();
  return count;
}

// False when the packet is not whole; its buffer is then back with the kernel.
bool KernelUdpPort::hand_up(const Waiting& waiting, RxFrame& frame) {
  std::byte* buffer = rx_buffer(waiting.buffer);
  io_uring_recvmsg_out* out =
      io_uring_recvmsg_validate(buffer, static_cast<int>(waiting.result_bytes), &rx_shape_);
  if (out == nullptr || (out->flags & MSG_TRUNC) != 0 || out->namelen < sizeof(sockaddr_in))
      [[unlikely]] {
    counters_.rx_errors.add();
    give_back(waiting.buffer);
    return false;
  }
  const auto* from = static_cast<const sockaddr_in*>(io_uring_recvmsg_name(out));
  frame = RxFrame{};
  frame.data = static_cast<std::byte*>(io_uring_recvmsg_payload(out, &rx_shape_));
  frame.bytes = out->payloadlen;
  frame.local_port = sockets_[waiting.socket].local_port;
  frame.checksum_good = true;
  frame.peer.ipv4 = ntohl(from->sin_addr.s_addr);
  frame.peer.udp_port = ntohs(from->sin_port);
  frame.cookie = waiting.buffer;
  counters_.rx_packets.add();
  counters_.rx_bytes.add(frame.bytes);
  return true;
}

void KernelUdpPort::release_frames(std::span<const RxFrame> frames) {
  for (const RxFrame& frame : frames) give_back(static_cast<std::uint16_t>(frame.cookie));
  // Now, not on the next receive: the core may block on the Uring in between.
  if (unarmed_count_ != 0) [[unlikely]]
    arm_sockets();
}

void KernelUdpPort::give_back(std::uint16_t buffer) {
  CHECK(buffer < rx_frames_);
  CHECK(rx_free_count_ < rx_frames_);
  io_uring_buf_ring_add(rx_ring_, rx_buffer(buffer), rx_before_bytes + payload_bytes_max_, buffer,
                        static_cast<int>(rx_frames_ - 1), 0);
  io_uring_buf_ring_advance(rx_ring_, 1);
  ++rx_free_count_;
}

std::uint32_t KernelUdpPort::allocate_frames(std::span<TxFrame> frames) {
  if (tx_free_count_ < frames.size()) uring_.reap(reap_max);
  const auto count = std::min(static_cast<std::uint32_t>(frames.size()), tx_free_count_);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t slot = tx_free_[--tx_free_count_];
    frames[i] = TxFrame{};
    frames[i].data = tx_buffer(slot);
    frames[i].capacity = payload_bytes_max_;
    frames[i].cookie = slot;
  }
  return count;
}

void KernelUdpPort::discard_frames(std::span<const TxFrame> frames) {
  for (const TxFrame& frame : frames) {
    CHECK(frame.cookie < tx_frames_);
    CHECK(tx_free_count_ < tx_frames_);
    tx_free_[tx_free_count_++] = static_cast<std::uint32_t>(frame.cookie);
  }
}

void KernelUdpPort::send_frames(std::span<const TxFrame> frames) {
  for (const TxFrame& frame : frames) {
    CHECK(frame.cookie < tx_frames_);
    CHECK(frame.bytes <= payload_bytes_max_);
    const auto slot = static_cast<std::uint32_t>(frame.cookie);
    TxSlot& tx = tx_slots_[slot];
    tx.bytes = frame.bytes;
    io_uring_sqe* sqe = uring_.prepare();
    const int fd = socket_of(frame.local_port).fd;
    // A full socket buffer refuses the frame at once; waiting would hold its slot hostage to one
    // peer.
    if (connected_) {
      io_uring_prep_send(sqe, fd, frame.data, frame.bytes, MSG_DONTWAIT);
    } else {
      tx.to.sin_port = htons(frame.to.udp_port);
      tx.to.sin_addr.s_addr = htonl(frame.to.ipv4);
      tx.piece.iov_len = frame.bytes;
      io_uring_prep_sendmsg(sqe, fd, &tx.message, MSG_DONTWAIT);
    }
    base::Uring::tag(sqe, handler_, tx_token | slot);
    ++tx_in_flight_;
  }
  uring_.submit();
}

const KernelUdpPort::Socket& KernelUdpPort::socket_of(std::uint16_t local_port) const {
  if (local_port == 0) return sockets_.front();
  for (const Socket& socket : sockets_) {
    if (socket.local_port == local_port) return socket;
  }
  CHECK(!"a frame sent from a UDP port that is not bound here");
  __builtin_unreachable();
}

void KernelUdpPort::on_completion(std::uint64_t token, std::int32_t result, std::uint32_t flags) {
  if ((token & cancel_token) != 0) {
    --cancels_in_flight_;
    return;
  }
  if ((token & tx_token) == 0) {
    on_received(static_cast<std::uint16_t>(token), result, flags);
    return;
  }
  const auto slot = static_cast<std::uint32_t>(token & (tx_token - 1));
  CHECK(slot < tx_frames_);
  CHECK(tx_free_count_ < tx_frames_);
  tx_free_[tx_free_count_++] = slot;
  --tx_in_flight_;
  if (result < 0) {
    counters_.tx_refused.add();
    return;
  }
  counters_.tx_packets.add();
  counters_.tx_bytes.add(tx_slots_[slot].bytes);
}

void KernelUdpPort::on_received(std::uint16_t socket, std::int32_t result, std::uint32_t flags) {
  CHECK(socket < sockets_.size());
  if ((flags & IORING_CQE_F_MORE) == 0) {
    sockets_[socket].armed = false;
    ++unarmed_count_;
  }
  if ((flags & IORING_CQE_F_BUFFER) == 0) {
    // ENOBUFS leaves the packet in the socket; ECANCELED is our own close; ECONNREFUSED is a
    // connected peer that is not there (yet).
    const bool expected = result == -ENOBUFS || result == -ECANCELED || result == -ECONNREFUSED;
    if (result < 0 && !expected) counters_.rx_errors.add();
    return;
  }
  const auto buffer = static_cast<std::uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT);
  CHECK(buffer < rx_frames_);
  CHECK(rx_free_count_ > 0);
  --rx_free_count_;
  if (result < 0 || closing_) {
    give_back(buffer);
    return;
  }
  CHECK(waiting_tail_ - waiting_head_ < rx_frames_);
  waiting_[waiting_tail_++ & (rx_frames_ - 1)] = {static_cast<std::uint32_t>(result), buffer,
                                                  socket};
}

void KernelUdpPort::arm_sockets() {
  if (rx_free_count_ == 0) return;  // it would end at once
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    Socket& socket = sockets_[i];
    if (socket.armed) continue;
    io_uring_sqe* sqe = uring_.prepare();
    io_uring_prep_recvmsg_multishot(sqe, socket.fd, &rx_shape_, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = handler_;
    base::Uring::tag(sqe, handler_, i);
    socket.armed = true;
    --unarmed_count_;
  }
  uring_.submit();
}

// A getsockopt per socket about once a second: the count is there even when no later packet comes,
// and receiving pays nothing for it.
void KernelUdpPort::refresh_counters() {
  for (Socket& socket : sockets_) {
    std::uint32_t memory[SK_MEMINFO_VARS] = {};
    socklen_t bytes = sizeof memory;
    if (getsockopt(socket.fd, SOL_SOCKET, SO_MEMINFO, memory, &bytes) != 0) continue;
    const std::uint32_t drops = memory[SK_MEMINFO_DROPS];
    counters_.rx_missed.add(drops - socket.kernel_drops);  // the kernel's count wraps at 32 bits
    socket.kernel_drops = drops;
  }
}

// Start and end.

Result<std::unique_ptr<KernelUdpPort>> KernelUdpPort::create(base::Uring& uring,
                                                             const KernelUdpOptions& options) {
  CHECK(std::has_single_bit(options.rx_frames) && options.rx_frames <= 32768);
  CHECK(std::has_single_bit(options.tx_frames) && options.tx_frames <= 32768);
  CHECK(!options.local_ports.empty());
  CHECK(options.payload_bytes_max <= 65507);
  std::unique_ptr<KernelUdpPort> port(new KernelUdpPort(uring, options));
  for (const std::uint16_t local_port : options.local_ports) {
    if (auto opened = port->open_socket(options, local_port); !opened) return opened.error();
  }
  if (auto mapped = port->map_memory(); !mapped) return mapped.error();
  if (auto registered = port->register_buffers(); !registered) return registered.error();
  port->name_path(options);
  port->arm_sockets();
  return port;
}

KernelUdpPort::KernelUdpPort(base::Uring& uring, const KernelUdpOptions& options)
    : uring_(uring),
      payload_bytes_max_(options.payload_bytes_max),
      rx_frames_(options.rx_frames),
      rx_stride_bytes_(
          static_cast<std::uint32_t>(base::align_up(rx_before_bytes + payload_bytes_max_, 64))),
      connected_(options.connect_to.has_value()),
      tx_frames_(options.tx_frames),
      tx_stride_bytes_(static_cast<std::uint32_t>(base::align_up(payload_bytes_max_, 64))) {
  handler_ = uring_.add_handler(this);
  rx_shape_.msg_namelen = sizeof(sockaddr_in);
}

Result<void> KernelUdpPort::open_socket(const KernelUdpOptions& options, std::uint16_t local_port) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
  if (fd < 0) return Error(ErrorCode::no_space, "udp socket: {}", std::strerror(errno));
  sockets_.push_back({.fd = fd});
  ++unarmed_count_;
  set_socket_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, options.socket_buffer_bytes);
  set_socket_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, options.socket_buffer_bytes);
  if (options.reuse_port) {
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  }
  sockaddr_in address = socket_address(options.ipv4, local_port);
  if (const int cause = bind_patiently(fd, address); cause != 0) {
    return bind_error(options.ipv4, local_port, cause);
  }
  if (options.connect_to) {
    const auto to = socket_address(options.connect_to->ipv4, options.connect_to->udp_port);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
      return Error(ErrorCode::unavailable, "udp {}:{}: {}; see 'ip route get {}'",
                   dotted(options.connect_to->ipv4), options.connect_to->udp_port,
                   std::strerror(errno), dotted(options.connect_to->ipv4));
    }
  }
  socklen_t bytes = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &bytes);
  sockets_.back().local_port = ntohs(address.sin_port);

  int granted_bytes = 0;
  bytes = sizeof granted_bytes;
  getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted_bytes, &bytes);
  socket_buffer_bytes_ = static_cast<std::uint32_t>(granted_bytes);
  // As many again stay to be received into while those are held.
  receive_descriptors_ = std::clamp(socket_buffer_bytes_ / socket_charge_bytes(payload_bytes_max_),
                                    1U, rx_frames_ / 2);
  return {};
}

// One mapping: the buffer ring (page aligned, as the kernel asks), receive buffers, transmit
// buffers. Faulted in now, so that no turn of the loop does.
Result<void> KernelUdpPort::map_memory() {
  const std::uint64_t ring_bytes = base::align_up(rx_frames_ * sizeof(io_uring_buf), 4096);
  const std::uint64_t rx_bytes = std::uint64_t{rx_frames_} * rx_stride_bytes_;
  const std::uint64_t tx_bytes = std::uint64_t{tx_frames_} * tx_stride_bytes_;
  mapping_bytes_ = ring_bytes + rx_bytes + tx_bytes;
  void* at = mmap(nullptr, mapping_bytes_, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (at == MAP_FAILED) {
    return Error(ErrorCode::no_space, "{} KiB for udp buffers: {}", mapping_bytes_ / 1024,
                 std::strerror(errno));
  }
  mapping_ = static_cast<std::byte*>(at);
  rx_ring_ = reinterpret_cast<io_uring_buf_ring*>(mapping_);
  rx_memory_ = mapping_ + ring_bytes;
  tx_memory_ = rx_memory_ + rx_bytes;
  waiting_.resize(rx_frames_);
  tx_slots_.resize(tx_frames_);
  tx_free_.resize(tx_frames_);
  for (std::uint32_t slot = 0; slot < tx_frames_; ++slot) {
    TxSlot& tx = tx_slots_[slot];
    tx = TxSlot{};
    tx.to.sin_family = AF_INET;
    tx.piece.iov_base = tx_buffer(slot);
    tx.message.msg_name = &tx.to;
    tx.message.msg_namelen = sizeof tx.to;
    tx.message.msg_iov = &tx.piece;
    tx.message.msg_iovlen = 1;
    tx_free_[slot] = tx_frames_ - 1 - slot;
  }
  tx_free_count_ = tx_frames_;
  return {};
}

Result<void> KernelUdpPort::register_buffers() {
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(rx_ring_);
  registration.ring_entries = rx_frames_;
  registration.bgid = handler_;  // unique on this Uring
  const int status = io_uring_register_buf_ring(uring_.raw(), &registration, 0);
  if (status < 0) {
    return Error(ErrorCode::unavailable,
                 "io_uring buffer ring of {} entries: {}; Linux 6.1 or newer is needed, and room "
                 "under RLIMIT_MEMLOCK (ulimit -l)",
                 rx_frames_, std::strerror(-status));
  }
  buffers_registered_ = true;
  io_uring_buf_ring_init(rx_ring_);
  for (std::uint32_t i = 0; i < rx_frames_; ++i) give_back(static_cast<std::uint16_t>(i));
  return {};
}

void KernelUdpPort::name_path(const KernelUdpOptions& options) {
  path_ = fmt::format("kernel-udp {}:", dotted(options.ipv4));
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    path_ += fmt::format("{}{}", i == 0 ? "" : ",", sockets_[i].local_port);
  }
}

KernelUdpPort::~KernelUdpPort() {
  closing_ = true;
  for (const Socket& socket : sockets_) {
    if (!socket.armed) continue;
    io_uring_sqe* sqe = uring_.prepare();
    io_uring_prep_cancel_fd(sqe, socket.fd, IORING_ASYNC_CANCEL_ALL);
    base::Uring::tag(sqe, handler_, cancel_token);
    ++cancels_in_flight_;
  }
  // The kernel writes into our buffers until each multishot has ended and each send is done, and a
  // completion must not find this handler gone.
  for (std::uint32_t i = 0; i < close_waits_max; ++i) {
    if (unarmed_count_ == sockets_.size() && tx_in_flight_ == 0 && cancels_in_flight_ == 0) break;
    uring_.wait(close_wait_ns, reap_max);
  }
  CHECK(unarmed_count_ == sockets_.size());
  CHECK(tx_in_flight_ == 0);
  CHECK(cancels_in_flight_ == 0);
  if (buffers_registered_) io_uring_unregister_buf_ring(uring_.raw(), handler_);
  for (const Socket& socket : sockets_) close(socket.fd);
  if (mapping_ != nullptr) munmap(mapping_, mapping_bytes_);
}

}  // namespace millrace::port

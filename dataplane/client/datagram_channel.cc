#include "dataplane/client/datagram_channel.h"

#include <algorithm>

#include "dataplane/base/check.h"
#include "dataplane/net/write.h"

namespace millrace::client {

DatagramChannel::DatagramChannel(port::Port& port, const base::Endpoint& server,
                                 std::uint16_t local_port)
    : port_(port),
      server_(server),
      local_port_(local_port),
      ethernet_(port.framing() == port::Framing::ethernet),
      headers_bytes_(ethernet_ ? net::udp_headers_bytes : 0),
      identity_{port.mac(), port.ipv4()},
      resolver_(server.ipv4) {}

DatagramChannel::~DatagramChannel() {
  flush();
  port_.discard_frames({frames_.data() + next_, taken_ - next_});
  port_.release_frames({used_.data(), used_count_});
}

bool DatagramChannel::take_frames() {
  if (ethernet_ && !resolver_.mac()) return false;
  flush();
  taken_ = port_.allocate_frames(frames_);
  return taken_ != 0;
}

void DatagramChannel::commit(std::uint32_t payload_bytes) {
  DCHECK(next_ < taken_);
  port::TxFrame& frame = frames_[next_++];
  DCHECK(headers_bytes_ + payload_bytes <= frame.capacity);
  frame.bytes = headers_bytes_ + payload_bytes;
  frame.local_port = local_port_;
  frame.to = server_;
  if (ethernet_) net::write_udp_headers(frame.data, identity_, server_, local_port_, payload_bytes);
  if (next_ == taken_) flush();
}

void DatagramChannel::flush() {
  if (next_ == 0) return;
  port_.send_frames({frames_.data(), next_});
  std::copy(frames_.begin() + next_, frames_.begin() + taken_, frames_.begin());
  taken_ -= next_;
  next_ = 0;
}

std::uint32_t DatagramChannel::receive(std::span<Received> out) {
  DCHECK(out.size() <= port::burst_max);
  if (used_count_ != 0) {
    port_.release_frames({used_.data(), used_count_});
    used_count_ = 0;
  }
  const std::uint32_t count = port_.receive_frames({burst_.data(), out.size()});
  std::uint32_t kept = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    Received& received = out[kept];
    received = {burst_[i].data, burst_[i].bytes, burst_[i]};
    if (parse(received)) {
      ++kept;
    } else {
      release(burst_[i]);
    }
  }
  return kept;
}

// False: not a datagram of the server's; it has been answered or counted.
bool DatagramChannel::parse(Received& received) {
  if (!ethernet_) {
    if (from_server(received.frame.peer)) return true;
    ++dropped_packets_;
    return false;
  }
  const net::Parsed parsed =
      net::parse_frame({received.data, received.bytes}, identity_, received.frame.checksum_good);
  if (parsed.kind == net::FrameKind::udp && parsed.local_port == local_port_ &&
      from_server(parsed.peer)) {
    received.data = parsed.payload.data();
    received.bytes = static_cast<std::uint32_t>(parsed.payload.size());
    return true;
  }
  answer(parsed);
  return false;
}

void DatagramChannel::answer(const net::Parsed& parsed) {
  const bool arp =
      parsed.kind == net::FrameKind::arp_request || parsed.kind == net::FrameKind::arp_reply;
  if (arp && resolver_.learn(parsed)) server_.mac = *resolver_.mac();
  if (parsed.kind == net::FrameKind::udp || parsed.kind == net::FrameKind::dropped)
    ++dropped_packets_;
  if (parsed.kind != net::FrameKind::arp_request && parsed.kind != net::FrameKind::icmp_echo)
    return;
  port::TxFrame frame;
  if (port_.allocate_frames({&frame, 1}) == 0) return;
  frame.bytes = arp ? net::write_arp_reply(frame.data, identity_, parsed.peer)
                    : net::write_icmp_echo_reply({frame.data, frame.capacity}, identity_,
                                                 parsed.peer, parsed.payload);
  if (frame.bytes == 0) return port_.discard_frames({&frame, 1});
  port_.send_frames({&frame, 1});
}

void DatagramChannel::release(const port::RxFrame& frame) {
  if (used_count_ == used_.size()) {
    port_.release_frames(used_);
    used_count_ = 0;
  }
  used_[used_count_++] = frame;
}

void DatagramChannel::poll(std::uint64_t now_ns) {
  if (!ethernet_ || !resolver_.poll(now_ns)) return;
  port::TxFrame frame;
  if (port_.allocate_frames({&frame, 1}) == 0) return;
  frame.bytes = net::write_arp_request(frame.data, identity_, server_.ipv4);
  port_.send_frames({&frame, 1});
}

std::uint64_t DatagramChannel::deadline_ns() const {
  return ethernet_ && resolver_.asking() ? resolver_.deadline_ns() : ~0ULL;
}

void DatagramChannel::look_again() {
  if (ethernet_) resolver_.ask_again();
}

}  // namespace millrace::client

// FrameFloor: see frame_floor.h.
#include "perf/bench/frame_floor.h"

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "perf/bench/interrupt.h"

namespace millrace::bench {

using base::Error;
using base::ErrorCode;

namespace {

constexpr std::uint64_t warm_up_count = 2'000;
constexpr std::uint64_t lost_after_ns = 100 * base::ms_ns;
constexpr std::uint64_t silence_max_ns = 10 * base::second_ns;
constexpr std::uint32_t ethernet_bytes = 14;
constexpr std::uint16_t ethertype_experiment = 0xB588;  // 0x88B5 in network order: for private use
constexpr std::uint32_t stamp_bytes = 16;               // number, time sent
constexpr const char* floor_client_ip = "192.168.77.9";

}  // namespace

base::Result<std::unique_ptr<FrameFloor>> FrameFloor::open(const FrameFloorOptions& options) {
  std::unique_ptr<FrameFloor> floor(new FrameFloor(options));
  auto echo = EchoProcess::start(options.path, options.directory + "/floor.sock",
                                 options.memif_options, options.echo_cpu);
  if (!echo) return echo.error();
  floor->echo_ = std::move(*echo);
  if (auto opened = floor->open_port(); !opened) return opened.error();
  const std::uint32_t largest = floor->port_->payload_bytes_max() + headers_bytes;
  floor->frame_bytes_ = options.frame_bytes == 0 ? largest : options.frame_bytes;
  const bool ethernet = floor->port_->framing() == port::Framing::ethernet;
  const std::uint32_t least = headers_bytes + stamp_bytes;
  if (floor->frame_bytes_ < least || floor->frame_bytes_ > largest) {
    return Error(ErrorCode::invalid_argument, "frames of {} bytes: {} carries {} to {}",
                 floor->frame_bytes_, floor->port_->path(), least, largest);
  }
  floor->data_bytes_ = ethernet ? floor->frame_bytes_ : floor->frame_bytes_ - headers_bytes;
  return floor;
}

base::Result<void> FrameFloor::open_port() {
  if (options_.path == Path::udp) {
    auto uring = base::Uring::create(uring_entries);
    if (!uring) return uring.error();
    uring_ = std::move(*uring);
    port::KernelUdpOptions udp;
    udp.local_ports = {0};
    udp.payload_bytes_max = loopback_payload_bytes;
    echo_endpoint_.ipv4 = loopback_ipv4;
    echo_endpoint_.udp_port = echo_->udp_port();
    udp.connect_to = echo_endpoint_;
    auto port = port::KernelUdpPort::create(*uring_, udp);
    if (!port) return port.error();
    kernel_ = std::move(*port);
    port_ = kernel_.get();
    return {};
  }
  const auto spec = port::parse_port_spec(memif_spec(options_.directory + "/floor.sock", "client",
                                                     floor_client_ip, options_.memif_options));
  if (!spec) return spec.error();
  auto env = port::DpdkEnv::start({});
  if (!env) return env.error();
  auto device = port::EthDevice::open(**env, *spec);
  if (!device) return device.error();
  device_ = std::move(*device);
  port_ = &device_->port();
  return {};
}

base::Result<void> FrameFloor::measure(std::uint64_t count, Measured& into) {
  Measured unused;
  auto moved = move_frames(std::min(count, warm_up_count), unused);
  if (moved) moved = move_frames(count, into);
  return moved;
}

base::Result<void> FrameFloor::move_frames(std::uint64_t count, Measured& into) {
  std::uint64_t sent = 0, done = 0;
  oldest_awaited_ = next_number_;
  const std::uint64_t start_ns = clock_.monotonic_ns();
  std::uint64_t heard_ns = start_ns;  // at the start, too
  std::uint64_t gave_up_ns = start_ns;
  while (done < count) {
    if (sent < count && sent - done < options_.depth) {
      sent += send(static_cast<std::uint32_t>(std::min<std::uint64_t>(
          {options_.depth - (sent - done), count - sent, port::burst_max})));
    }
    const std::uint32_t got = receive(into);
    if (got > 0) {
      done += got;
      heard_ns = clock_.monotonic_ns();
      continue;
    }
    _mm_pause();
    if (interrupted()) return Error(ErrorCode::unavailable, "interrupted");
    const std::uint64_t now_ns = clock_.monotonic_ns();
    if (now_ns - std::max(heard_ns, gave_up_ns) < lost_after_ns) continue;
    if (now_ns - heard_ns > silence_max_ns) {
      return Error(ErrorCode::timeout, "the echo process does not answer over {}", port_->path());
    }
    // Lost on the way, or the link was not up yet: once more.
    lost_count_ += sent - done;
    oldest_awaited_ = next_number_;
    sent = done;
    gave_up_ns = now_ns;
  }
  into.count += count;
  into.bytes += count * frame_bytes_;
  into.elapsed_ns += clock_.monotonic_ns() - start_ns;
  return {};
}

std::uint32_t FrameFloor::send(std::uint32_t wanted) {
  std::array<port::TxFrame, port::burst_max> frames;
  const std::uint32_t count = port_->allocate_frames(std::span(frames).first(wanted));
  const bool ethernet = port_->framing() == port::Framing::ethernet;
  const std::uint64_t now_ns = clock_.monotonic_ns();
  for (std::uint32_t i = 0; i < count; ++i) {
    std::byte* at = frames[i].data;
    frames[i].bytes = data_bytes_;
    if (ethernet) {
      std::memset(at, 0xFF, 6);
      std::memcpy(at + 6, port_->mac().data(), 6);
      std::memcpy(at + 12, &ethertype_experiment, sizeof ethertype_experiment);
      at += ethernet_bytes;
    } else {
      frames[i].to = echo_endpoint_;
    }
    const std::uint64_t number = next_number_++;
    std::memcpy(at, &number, sizeof number);
    std::memcpy(at + sizeof number, &now_ns, sizeof now_ns);
  }
  port_->send_frames(std::span(frames).first(count));
  return count;
}

std::uint32_t FrameFloor::receive(Measured& into) {
  std::array<port::RxFrame, port::burst_max> frames;
  const std::uint32_t count = port_->receive_frames(frames);
  if (count == 0) return 0;
  const std::uint64_t now_ns = clock_.monotonic_ns();
  const std::uint32_t skip_bytes = port_->framing() == port::Framing::ethernet ? ethernet_bytes : 0;
  std::uint32_t awaited_count = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    std::uint64_t number = 0, sent_ns = 0;
    std::memcpy(&number, frames[i].data + skip_bytes, sizeof number);
    std::memcpy(&sent_ns, frames[i].data + skip_bytes + sizeof number, sizeof sent_ns);
    if (number < oldest_awaited_) continue;
    into.latency_ns.record(now_ns - sent_ns);
    ++awaited_count;
  }
  port_->release_frames(std::span(frames).first(count));
  return awaited_count;
}

}  // namespace millrace::bench

// FrameFloor: what a port of this machine can do: frames to an echo process and back.
// Thread: the main one.
// Owns:  the echo process, and the port to it.
//
// Each frame carries its number and the time it was sent. At depth one it is a round trip; deeper,
// it is how fast the two ends move frames in bulk.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "dataplane/base/clock.h"
#include "dataplane/base/uring.h"
#include "dataplane/port/eth_device.h"
#include "dataplane/port/kernel_udp_port.h"
#include "perf/bench/echo.h"
#include "perf/bench/subject.h"

namespace millrace::bench {

inline constexpr std::uint32_t uring_entries = 1024;
inline constexpr std::uint32_t loopback_ipv4 = 0x7F000001;
inline constexpr std::uint32_t loopback_payload_bytes = 8952;  // as the node's port there
inline constexpr std::uint32_t headers_bytes = 42;             // Ethernet, IPv4, UDP
inline constexpr std::uint32_t depth_max = 128;                // of frames in flight

struct FrameFloorOptions {
  Path path = Path::udp;
  std::string directory;           // for the memif socket
  std::string memif_options = {};  // of both ends
  int echo_cpu = -2;
  std::uint32_t frame_bytes = 0;  // with all headers, also where the kernel makes them; 0: the
                                  // biggest the port carries
  std::uint32_t depth = 1;
};

class FrameFloor final : public Subject {
 public:
  static base::Result<std::unique_ptr<FrameFloor>> open(const FrameFloorOptions& options);

  void wake() override { echo_->resume(); }
  void rest() override { echo_->pause(); }
  base::Result<void> measure(std::uint64_t count, Measured& into) override;

  std::uint32_t frame_bytes() const { return frame_bytes_; }
  std::uint64_t lost_count() const { return lost_count_; }

 private:
  explicit FrameFloor(const FrameFloorOptions& options) : options_(options) {}
  base::Result<void> open_port();
  base::Result<void> move_frames(std::uint64_t count, Measured& into);
  std::uint32_t send(std::uint32_t wanted);
  std::uint32_t receive(Measured& into);

  FrameFloorOptions options_;
  std::unique_ptr<EchoProcess> echo_;
  std::unique_ptr<base::Uring> uring_;
  std::unique_ptr<port::KernelUdpPort> kernel_;
  std::unique_ptr<port::EthDevice> device_;
  port::Port* port_ = nullptr;
  base::Endpoint echo_endpoint_;  // of kernel UDP
  base::SystemClock clock_;
  std::uint32_t frame_bytes_ = 0;
  std::uint32_t data_bytes_ = 0;      // what the port is given for one frame
  std::uint64_t next_number_ = 1;     // of a frame
  std::uint64_t oldest_awaited_ = 1;  // what is below was given up
  std::uint64_t lost_count_ = 0;
};

}  // namespace millrace::bench

// RecordingPort: any port, and a copy of every packet that leaves through it: the seeds of packets
// that are almost right.
#pragma once

#include <vector>

#include "dataplane/port/port.h"

namespace millrace::test {

using PacketBytes = std::vector<std::byte>;

class RecordingPort final : public port::Port {
 public:
  static constexpr std::size_t sent_max = 4096;

  explicit RecordingPort(port::Port& inner) : inner_(inner) {}

  const std::vector<PacketBytes>& sent() const { return sent_; }

  std::uint32_t receive_frames(std::span<port::RxFrame> frames) override {
    return inner_.receive_frames(frames);
  }
  void release_frames(std::span<const port::RxFrame> frames) override {
    inner_.release_frames(frames);
  }
  std::uint32_t allocate_frames(std::span<port::TxFrame> frames) override {
    return inner_.allocate_frames(frames);
  }
  void discard_frames(std::span<const port::TxFrame> frames) override {
    inner_.discard_frames(frames);
  }
  void send_frames(std::span<const port::TxFrame> frames) override {
    for (const port::TxFrame& frame : frames) {
      if (sent_.size() < sent_max) sent_.emplace_back(frame.data, frame.data + frame.bytes);
    }
    inner_.send_frames(frames);
  }
  port::Framing framing() const override { return inner_.framing(); }
  std::uint32_t payload_bytes_max() const override { return inner_.payload_bytes_max(); }
  std::uint32_t receive_descriptors() const override { return inner_.receive_descriptors(); }
  std::string_view path() const override { return inner_.path(); }
  bool wakes_uring() const override { return inner_.wakes_uring(); }
  void refresh_counters() override { inner_.refresh_counters(); }
  std::array<std::uint8_t, 6> mac() const override { return inner_.mac(); }
  std::uint32_t ipv4() const override { return inner_.ipv4(); }

 private:
  port::Port& inner_;
  std::vector<PacketBytes> sent_;
};

}  // namespace millrace::test

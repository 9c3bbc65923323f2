// LinkPort: a client's port in memory. What it sends goes over a line that loses, doubles and
// delays from a seed, in virtual time; the other end is a list of packets for the test's node.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <random>
#include <set>
#include <vector>

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/port/port.h"

namespace millrace::client {

using PacketBytes = std::vector<std::byte>;

struct LineOptions {
  std::uint32_t trouble_percent = 0;  // dropped, doubled, and overtaken: so many of each
  std::uint64_t delay_ns = 5'000;
  std::uint64_t seed = 1;
};

// One direction.
class Line {
 public:
  explicit Line(const LineOptions& options) : options_(options), random_(options.seed) {}

  void send(PacketBytes packet, std::uint64_t now_ns) {
    ++sent_;
    if (cut_ || strikes()) return;
    if (strikes()) add(packet, now_ns);
    add(std::move(packet), now_ns);
  }
  bool receive(PacketBytes& packet, std::uint64_t now_ns) {
    const auto first =
        std::min_element(moving_.begin(), moving_.end(),
                         [](const Moving& a, const Moving& b) { return a.at_ns < b.at_ns; });
    if (first == moving_.end() || first->at_ns > now_ns) return false;
    packet = std::move(first->bytes);
    moving_.erase(first);
    return true;
  }
  void set_cut(bool cut) { cut_ = cut; }
  void clear() { moving_.clear(); }
  std::uint64_t sent() const { return sent_; }

 private:
  struct Moving {
    std::uint64_t at_ns;
    PacketBytes bytes;
  };
  bool strikes() { return random_() % 100 < options_.trouble_percent; }
  void add(PacketBytes packet, std::uint64_t now_ns) {
    const std::uint64_t late_ns = strikes() ? options_.delay_ns * (1 + random_() % 8) : 0;
    moving_.push_back({now_ns + options_.delay_ns + late_ns, std::move(packet)});
  }

  LineOptions options_;
  std::mt19937_64 random_;
  bool cut_ = false;
  std::uint64_t sent_ = 0;
  std::vector<Moving> moving_;
};

class LinkPort final : public port::Port {
 public:
  static constexpr std::uint32_t frame_bytes = 2048;
  static constexpr std::uint32_t frame_count = 1024;

  LinkPort(base::VirtualClock& clock, const LineOptions& options, const base::Endpoint& node)
      : clock_(clock),
        out_(options),
        in_(options),
        node_(node),
        memory_(frame_count * frame_bytes) {
    for (std::uint64_t i = 0; i < frame_count; ++i) free_.push_back(i);
  }

  Line& to_node() { return out_; }
  Line& to_client() { return in_; }
  // Frames that are with the client now.
  std::size_t frames_out() const { return frame_count - free_.size(); }

  std::uint32_t receive_frames(std::span<port::RxFrame> frames) override {
    std::uint32_t count = 0;
    PacketBytes packet;
    while (count < frames.size() && in_.receive(packet, clock_.monotonic_ns())) {
      if (free_.empty()) break;
      const std::uint64_t index = take();
      CHECK(packet.size() <= frame_bytes);
      std::copy(packet.begin(), packet.end(), at(index));
      frames[count++] = {
          at(index), static_cast<std::uint32_t>(packet.size()), 1, false, false, node_, index};
      counters_.rx_packets.add();
    }
    return count;
  }
  void release_frames(std::span<const port::RxFrame> frames) override {
    for (const port::RxFrame& frame : frames) give_back(frame.cookie);
  }
  std::uint32_t allocate_frames(std::span<port::TxFrame> frames) override {
    std::uint32_t count = 0;
    while (count < frames.size() && !free_.empty()) {
      const std::uint64_t index = take();
      frames[count] = port::TxFrame();
      frames[count].data = at(index);
      frames[count].capacity = frame_bytes;
      frames[count].cookie = index;
      ++count;
    }
    return count;
  }
  void discard_frames(std::span<const port::TxFrame> frames) override {
    for (const port::TxFrame& frame : frames) give_back(frame.cookie);
  }
  void send_frames(std::span<const port::TxFrame> frames) override {
    for (const port::TxFrame& frame : frames) {
      CHECK(frame.bytes <= payload_bytes_max());
      out_.send(PacketBytes(frame.data, frame.data + frame.bytes), clock_.monotonic_ns());
      counters_.tx_packets.add();
      give_back(frame.cookie);
    }
  }
  port::Framing framing() const override { return port::Framing::datagram; }
  std::uint32_t payload_bytes_max() const override { return 1472; }
  std::uint32_t receive_descriptors() const override { return 512; }
  std::string_view path() const override { return "link"; }
  bool wakes_uring() const override { return false; }
  void refresh_counters() override {}

 private:
  std::byte* at(std::uint64_t index) { return memory_.data() + index * frame_bytes; }
  std::uint64_t take() {
    const std::uint64_t index = free_.back();
    free_.pop_back();
    lent_.insert(index);
    return index;
  }
  void give_back(std::uint64_t index) {
    CHECK(lent_.erase(index) == 1);  // given back twice, or never taken
    std::memset(at(index), 0xEE, frame_bytes);
    free_.push_back(index);
  }

  base::VirtualClock& clock_;
  Line out_;
  Line in_;
  base::Endpoint node_;
  std::vector<std::byte> memory_;
  std::vector<std::uint64_t> free_;
  std::set<std::uint64_t> lent_;
};

}  // namespace millrace::client

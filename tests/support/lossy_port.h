// LossyPort: any port, behind a network that drops, duplicates and reorders, from a seed.
// Core:  the inner port's. Allocates only when made.
//
// Received frames are copied into buffers of its own and the inner port gets its back at once, so
// that a duplicate is a frame like any other. A frame held back comes after later ones, or when
// nothing else does; it is never lost.
#pragma once

#include <vector>

#include "dataplane/port/port.h"
#include "tests/support/weather.h"

namespace millrace::test {

class LossyPort final : public port::Port {
 public:
  // `received` and `sent` are the weather of each direction; both may be calm.
  LossyPort(port::Port& inner, const WeatherOptions& received, const WeatherOptions& sent);

  std::uint32_t receive_frames(std::span<port::RxFrame> frames) override;
  void release_frames(std::span<const port::RxFrame> frames) override;
  std::uint32_t allocate_frames(std::span<port::TxFrame> frames) override;
  void discard_frames(std::span<const port::TxFrame> frames) override;
  void send_frames(std::span<const port::TxFrame> frames) override;
  port::Framing framing() const override { return inner_.framing(); }
  std::uint32_t payload_bytes_max() const override { return inner_.payload_bytes_max(); }
  std::uint32_t receive_descriptors() const override { return inner_.receive_descriptors(); }
  std::string_view path() const override { return inner_.path(); }
  bool wakes_uring() const override { return inner_.wakes_uring(); }
  void refresh_counters() override { inner_.refresh_counters(); }
  std::array<std::uint8_t, 6> mac() const override { return inner_.mac(); }
  std::uint32_t ipv4() const override { return inner_.ipv4(); }

  // Over both directions.
  std::uint64_t dropped_count() const { return dropped_count_; }
  std::uint64_t duplicated_count() const { return duplicated_count_; }
  std::uint64_t held_count() const { return held_count_; }

 private:
  struct Copy {
    std::vector<std::byte> buffer;
    port::RxFrame frame;
    bool lent = false;
  };

  void pull();
  void keep(const port::RxFrame& frame, std::vector<std::uint32_t>& queue);
  void send_held();

  port::Port& inner_;
  Weather rx_weather_;
  Weather tx_weather_;
  std::vector<Copy> copies_;
  std::vector<std::uint32_t> free_;
  std::vector<std::uint32_t> waiting_;  // copies to hand up, in order
  std::vector<std::uint32_t> rx_held_;
  std::vector<port::TxFrame> tx_held_;
  std::uint64_t dropped_count_ = 0;
  std::uint64_t duplicated_count_ = 0;
  std::uint64_t held_count_ = 0;
};

}  // namespace millrace::test

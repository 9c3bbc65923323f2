// FakePort: a port in memory. Two of them joined are a cable; one alone is fed by deliver() and
// keeps what it sends. Allocates only when made, so a sealed core may use it.
// Core:  any one thread for both ends.
//
// Its descriptors are bounded like a device's: a frame that comes when all are taken is counted in
// rx_missed. It CHECKs what a port may expect: frames are released once, and only if lent.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/port/port.h"
#include "tests/support/weather.h"

namespace millrace::test {

struct FakePortOptions {
  port::Framing framing = port::Framing::datagram;
  std::uint32_t payload_bytes_max = 1472;
  std::uint32_t rx_frames = 256;
  std::uint32_t tx_frames = 256;
  std::uint32_t sent_frames = 1024;  // kept when not joined; the oldest goes first
  std::array<std::uint8_t, 6> mac = {0x02, 0, 0, 0, 0, 1};
  std::uint32_t ipv4 = 0x0a000001;  // also the peer's address that the other end sees
  std::uint16_t udp_port = 7070;    // datagram framing: local port of frames sent with 0
};

class FakePort final : public port::Port {
 public:
  explicit FakePort(const FakePortOptions& options);
  FakePort(const FakePort&) = delete;
  FakePort& operator=(const FakePort&) = delete;

  // What one sends the other receives. Both must live as long as either is used.
  static void join(FakePort& a, FakePort& b);

  // Decides the fate of each frame this end sends; Weather::next() of a seed, or a test's own.
  void set_fate(std::function<Fate(std::span<const std::byte> frame)> fate) {
    fate_ = std::move(fate);
  }

  // As if it came from the wire. False when no descriptor was free.
  bool deliver(std::span<const std::byte> bytes, const base::Endpoint& from = {},
               std::uint16_t local_port = 0);

  struct Sent {
    std::vector<std::byte> bytes;
    base::Endpoint to;
    std::uint16_t local_port = 0;
  };
  // Not joined: the oldest frame sent and not taken yet.
  std::optional<Sent> take_sent();

  std::uint32_t rx_lent_count() const { return rx_lent_count_; }  // received, not released
  std::uint32_t tx_free_count() const { return static_cast<std::uint32_t>(tx_free_.size()); }

  std::uint32_t receive_frames(std::span<port::RxFrame> frames) override;
  void release_frames(std::span<const port::RxFrame> frames) override;
  std::uint32_t allocate_frames(std::span<port::TxFrame> frames) override;
  void discard_frames(std::span<const port::TxFrame> frames) override;
  void send_frames(std::span<const port::TxFrame> frames) override;
  port::Framing framing() const override { return options_.framing; }
  std::uint32_t payload_bytes_max() const override { return options_.payload_bytes_max; }
  std::uint32_t receive_descriptors() const override { return options_.rx_frames; }
  std::string_view path() const override { return "fake"; }
  bool wakes_uring() const override { return false; }
  void refresh_counters() override {}
  std::array<std::uint8_t, 6> mac() const override { return options_.mac; }
  std::uint32_t ipv4() const override { return options_.ipv4; }

 private:
  enum class RxState : std::uint8_t { free, waiting, lent };
  struct RxSlot {
    std::byte* buffer = nullptr;
    std::uint32_t bytes = 0;
    base::Endpoint from;
    std::uint16_t local_port = 0;
    RxState state = RxState::free;
  };
  struct TxSlot {
    std::byte* buffer = nullptr;
    bool lent = false;
  };
  struct SentSlot {
    std::byte* buffer = nullptr;
    std::uint32_t bytes = 0;
    base::Endpoint to;
    std::uint16_t local_port = 0;
  };

  std::uint32_t frame_bytes_max() const;
  void transmit(const port::TxFrame& frame);
  void pass_on(std::uint32_t slot, std::uint32_t bytes, const base::Endpoint& to,
               std::uint16_t local_port);
  void pass_held();
  void free_tx(std::uint64_t slot);

  FakePortOptions options_;
  std::unique_ptr<std::byte[]> buffers_;  // of all slots; most are never touched
  FakePort* other_ = nullptr;
  std::function<Fate(std::span<const std::byte>)> fate_;

  std::vector<RxSlot> rx_slots_;
  std::vector<std::uint32_t> rx_free_;
  std::vector<std::uint32_t> rx_waiting_;  // oldest first
  std::uint32_t rx_lent_count_ = 0;

  std::vector<TxSlot> tx_slots_;
  std::vector<std::uint32_t> tx_free_;
  std::vector<port::TxFrame> held_;

  std::vector<SentSlot> sent_;  // a ring
  std::uint64_t sent_head_ = 0;
  std::uint64_t sent_tail_ = 0;
};

}  // namespace millrace::test

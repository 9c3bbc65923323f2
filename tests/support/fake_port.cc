#include "tests/support/fake_port.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "dataplane/base/check.h"

namespace millrace::test {

using port::RxFrame;
using port::TxFrame;

namespace {
constexpr std::uint32_t headers_bytes_max = 64;  // Ethernet, VLAN, IPv4, UDP and some
constexpr std::size_t held_max = 4;              // then the oldest goes on
}  // namespace

FakePort::FakePort(const FakePortOptions& options)
    : options_(options),
      buffers_(std::make_unique_for_overwrite<std::byte[]>(
          std::size_t{options.rx_frames + options.tx_frames + options.sent_frames} *
          frame_bytes_max())) {
  rx_slots_.resize(options.rx_frames);
  tx_slots_.resize(options.tx_frames);
  sent_.resize(options.sent_frames);
  rx_waiting_.reserve(options.rx_frames);
  held_.reserve(held_max + 1);
  std::byte* buffer = buffers_.get();
  for (std::uint32_t i = 0; i < options.rx_frames; ++i, buffer += frame_bytes_max()) {
    rx_slots_[i].buffer = buffer;
    rx_free_.push_back(options.rx_frames - 1 - i);
  }
  for (std::uint32_t i = 0; i < options.tx_frames; ++i, buffer += frame_bytes_max()) {
    tx_slots_[i].buffer = buffer;
    tx_free_.push_back(options.tx_frames - 1 - i);
  }
  for (SentSlot& sent : sent_) sent.buffer = std::exchange(buffer, buffer + frame_bytes_max());
}

std::uint32_t FakePort::frame_bytes_max() const {
  return options_.payload_bytes_max +
         (options_.framing == port::Framing::ethernet ? headers_bytes_max : 0);
}

void FakePort::join(FakePort& a, FakePort& b) {
  CHECK(a.options_.framing == b.options_.framing);
  a.other_ = &b;
  b.other_ = &a;
}

bool FakePort::deliver(std::span<const std::byte> bytes, const base::Endpoint& from,
                       std::uint16_t local_port) {
  if (bytes.size() > frame_bytes_max()) {
    counters_.rx_errors.add();
    return false;
  }
  if (rx_free_.empty()) {
    counters_.rx_missed.add();
    return false;
  }
  const std::uint32_t index = rx_free_.back();
  rx_free_.pop_back();
  RxSlot& slot = rx_slots_[index];
  if (!bytes.empty()) std::memcpy(slot.buffer, bytes.data(), bytes.size());
  slot.bytes = static_cast<std::uint32_t>(bytes.size());
  slot.from = from;
  slot.local_port = local_port == 0 ? options_.udp_port : local_port;
  slot.state = RxState::waiting;
  rx_waiting_.push_back(index);
  return true;
}

std::uint32_t FakePort::receive_frames(std::span<RxFrame> frames) {
  // A frame held back is late, not lost: it comes when nothing else does.
  if (rx_waiting_.empty() && other_ != nullptr) other_->pass_held();
  const auto count = std::min({frames.size(), rx_waiting_.size(), std::size_t{port::burst_max}});
  for (std::size_t i = 0; i < count; ++i) {
    RxSlot& slot = rx_slots_[rx_waiting_[i]];
    slot.state = RxState::lent;
    frames[i] = RxFrame{};
    frames[i].data = slot.buffer;
    frames[i].bytes = slot.bytes;
    frames[i].cookie = rx_waiting_[i];
    if (options_.framing == port::Framing::datagram) {
      frames[i].peer = slot.from;
      frames[i].local_port = slot.local_port;
    }
    counters_.rx_packets.add();
    counters_.rx_bytes.add(slot.bytes);
  }
  rx_waiting_.erase(rx_waiting_.begin(), rx_waiting_.begin() + static_cast<std::ptrdiff_t>(count));
  rx_lent_count_ += static_cast<std::uint32_t>(count);
  return static_cast<std::uint32_t>(count);
}

void FakePort::release_frames(std::span<const RxFrame> frames) {
  for (const RxFrame& frame : frames) {
    CHECK(frame.cookie < rx_slots_.size());
    RxSlot& slot = rx_slots_[frame.cookie];
    CHECK(slot.state == RxState::lent);
    slot.state = RxState::free;
    rx_free_.push_back(static_cast<std::uint32_t>(frame.cookie));
    --rx_lent_count_;
  }
}

std::uint32_t FakePort::allocate_frames(std::span<TxFrame> frames) {
  const auto count = std::min(frames.size(), tx_free_.size());
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t index = tx_free_.back();
    tx_free_.pop_back();
    CHECK(!tx_slots_[index].lent);
    tx_slots_[index].lent = true;
    frames[i] = TxFrame{};
    frames[i].data = tx_slots_[index].buffer;
    frames[i].capacity = frame_bytes_max();
    frames[i].cookie = index;
  }
  return static_cast<std::uint32_t>(count);
}

void FakePort::free_tx(std::uint64_t slot) {
  CHECK(slot < tx_slots_.size());
  CHECK(tx_slots_[slot].lent);
  tx_slots_[slot].lent = false;
  tx_free_.push_back(static_cast<std::uint32_t>(slot));
}

void FakePort::discard_frames(std::span<const TxFrame> frames) {
  for (const TxFrame& frame : frames) free_tx(frame.cookie);
}

void FakePort::send_frames(std::span<const TxFrame> frames) {
  for (const TxFrame& frame : frames) {
    CHECK(frame.cookie < tx_slots_.size());
    CHECK(tx_slots_[frame.cookie].lent);
    CHECK(frame.bytes <= frame.capacity);
    counters_.tx_packets.add();
    counters_.tx_bytes.add(frame.bytes);
    transmit(frame);
  }
}

void FakePort::transmit(const TxFrame& frame) {
  const Fate fate = fate_ ? fate_({frame.data, frame.bytes}) : Fate{};
  if (fate.drop) {
    free_tx(frame.cookie);
    return;
  }
  const auto slot = static_cast<std::uint32_t>(frame.cookie);
  if (fate.duplicate) pass_on(slot, frame.bytes, frame.to, frame.local_port);
  if (fate.hold) {
    held_.push_back(frame);
    if (held_.size() <= held_max) return;
    const TxFrame oldest = held_.front();
    held_.erase(held_.begin());
    pass_on(static_cast<std::uint32_t>(oldest.cookie), oldest.bytes, oldest.to, oldest.local_port);
    free_tx(oldest.cookie);
    return;
  }
  pass_on(slot, frame.bytes, frame.to, frame.local_port);
  free_tx(frame.cookie);
}

void FakePort::pass_on(std::uint32_t slot, std::uint32_t bytes, const base::Endpoint& to,
                       std::uint16_t local_port) {
  const std::span<const std::byte> frame(tx_slots_[slot].buffer, bytes);
  const std::uint16_t from_port = local_port == 0 ? options_.udp_port : local_port;
  if (other_ != nullptr) {
    base::Endpoint from;
    from.ipv4 = options_.ipv4;
    from.udp_port = from_port;
    other_->deliver(frame, from, to.udp_port);
    return;
  }
  if (sent_tail_ - sent_head_ == sent_.size()) ++sent_head_;
  SentSlot& sent = sent_[sent_tail_++ % sent_.size()];
  std::ranges::copy(frame, sent.buffer);
  sent.bytes = bytes;
  sent.to = to;
  sent.local_port = from_port;
}

void FakePort::pass_held() {
  for (const TxFrame& frame : held_) {
    pass_on(static_cast<std::uint32_t>(frame.cookie), frame.bytes, frame.to, frame.local_port);
    free_tx(frame.cookie);
  }
  held_.clear();
}

std::optional<FakePort::Sent> FakePort::take_sent() {
  if (sent_head_ == sent_tail_ && other_ == nullptr) pass_held();
  if (sent_head_ == sent_tail_) return std::nullopt;
  const SentSlot& sent = sent_[sent_head_++ % sent_.size()];
  return Sent{.bytes = {sent.buffer, sent.buffer + sent.bytes},
              .to = sent.to,
              .local_port = sent.local_port};
}

}  // namespace millrace::test

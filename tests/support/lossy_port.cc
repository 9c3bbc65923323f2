#include "tests/support/lossy_port.h"

#include <algorithm>
#include <cstring>

#include "dataplane/base/check.h"

namespace millrace::test {

using port::burst_max;
using port::RxFrame;
using port::TxFrame;

namespace {
constexpr std::uint32_t copies_max = 16 * burst_max;
constexpr std::uint32_t headers_bytes_max = 64;  // Ethernet framing
constexpr std::size_t held_max = 4;
}  // namespace

LossyPort::LossyPort(port::Port& inner, const WeatherOptions& received, const WeatherOptions& sent)
    : inner_(inner), rx_weather_(received), tx_weather_(sent), copies_(copies_max) {
  for (std::uint32_t i = 0; i < copies_max; ++i) {
    copies_[i].buffer.resize(inner.payload_bytes_max() + headers_bytes_max);
    free_.push_back(i);
  }
  waiting_.reserve(copies_max);
  rx_held_.reserve(copies_max);
  tx_held_.reserve(held_max);
}

std::uint32_t LossyPort::receive_frames(std::span<RxFrame> frames) {
  send_held();
  pull();
  if (waiting_.empty()) std::swap(waiting_, rx_held_);  // nothing else came: now they do
  const auto count = std::min({frames.size(), waiting_.size(), std::size_t{burst_max}});
  for (std::size_t i = 0; i < count; ++i) {
    Copy& copy = copies_[waiting_[i]];
    copy.lent = true;
    frames[i] = copy.frame;
    counters_.rx_packets.add();
    counters_.rx_bytes.add(copy.frame.bytes);
  }
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count));
  return static_cast<std::uint32_t>(count);
}

// Takes from the inner port only what there are buffers for, each packet twice.
void LossyPort::pull() {
  const std::size_t room = std::min<std::size_t>(free_.size() / 2, burst_max);
  if (room == 0) return;
  std::array<RxFrame, burst_max> frames;
  const std::uint32_t got = inner_.receive_frames({frames.data(), room});
  // Those held before this burst come in the midst of it.
  const std::size_t late_count = got > 1 ? std::min(rx_held_.size(), held_max) : 0;
  for (std::uint32_t i = 0; i < got; ++i) {
    const Fate fate = rx_weather_.next();
    if (fate.drop) {
      ++dropped_count_;
    } else {
      if (fate.duplicate) keep(frames[i], waiting_);
      duplicated_count_ += fate.duplicate ? 1 : 0;
      keep(frames[i], fate.hold ? rx_held_ : waiting_);
      held_count_ += fate.hold ? 1 : 0;
    }
    if (i + 1 == got && late_count > 0) {
      const auto late_end = rx_held_.begin() + static_cast<std::ptrdiff_t>(late_count);
      waiting_.insert(waiting_.end(), rx_held_.begin(), late_end);
      rx_held_.erase(rx_held_.begin(), late_end);
    }
  }
  inner_.release_frames({frames.data(), got});
}

void LossyPort::keep(const RxFrame& frame, std::vector<std::uint32_t>& queue) {
  CHECK(!free_.empty());
  const std::uint32_t index = free_.back();
  free_.pop_back();
  Copy& copy = copies_[index];
  CHECK(frame.bytes <= copy.buffer.size());
  if (frame.bytes != 0) std::memcpy(copy.buffer.data(), frame.data, frame.bytes);
  copy.frame = frame;
  copy.frame.data = copy.buffer.data();
  copy.frame.cookie = index;
  queue.push_back(index);
}

void LossyPort::release_frames(std::span<const RxFrame> frames) {
  for (const RxFrame& frame : frames) {
    CHECK(frame.cookie < copies_.size());
    CHECK(copies_[frame.cookie].lent);
    copies_[frame.cookie].lent = false;
    free_.push_back(static_cast<std::uint32_t>(frame.cookie));
  }
}

std::uint32_t LossyPort::allocate_frames(std::span<TxFrame> frames) {
  return inner_.allocate_frames(frames);
}

void LossyPort::discard_frames(std::span<const TxFrame> frames) { inner_.discard_frames(frames); }

void LossyPort::send_frames(std::span<const TxFrame> frames) {
  for (const TxFrame& frame : frames) {
    counters_.tx_packets.add();
    counters_.tx_bytes.add(frame.bytes);
    const Fate fate = tx_weather_.next();
    if (fate.drop) {
      ++dropped_count_;
      inner_.discard_frames({&frame, 1});
      continue;
    }
    TxFrame twin;
    if (fate.duplicate && inner_.allocate_frames({&twin, 1}) == 1) {
      ++duplicated_count_;
      if (frame.bytes != 0) std::memcpy(twin.data, frame.data, frame.bytes);
      twin.bytes = frame.bytes;
      twin.to = frame.to;
      twin.local_port = frame.local_port;
      inner_.send_frames({&twin, 1});
    }
    if (fate.hold && tx_held_.size() < held_max) {
      ++held_count_;
      tx_held_.push_back(frame);
      continue;
    }
    inner_.send_frames({&frame, 1});
  }
}

void LossyPort::send_held() {
  if (tx_held_.empty()) return;
  inner_.send_frames(tx_held_);
  tx_held_.clear();
}

}  // namespace millrace::test

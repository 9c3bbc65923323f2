#include "dataplane/client/send_queue.h"

#include <algorithm>
#include <cstring>

#include "dataplane/client/lane.h"

namespace millrace::client {

void SendQueue::push(PendingBatch* batch) {
  CHECK(!batch->queued && batch->bytes != 0);
  batch->queued = true;
  batch->next_queued = nullptr;
  if (last_ == nullptr) {
    first_ = batch;
    sent_bytes_ = 0;
  } else {
    last_->next_queued = batch;
  }
  last_ = batch;
}

void SendQueue::send(std::uint64_t now_ns) {
  if (!connection_.established()) return;
  while (first_ != nullptr && connection_.send_window().can_send())
    if (!send_fragment(now_ns)) return;
  repair(now_ns);
}

// The next piece of the first batch; false when the port has no buffer.
bool SendQueue::send_fragment(std::uint64_t now_ns) {
  PendingBatch& batch = *first_;
  native::SendWindow& window = connection_.send_window();
  const std::uint32_t room_bytes = connection_.payload_bytes() - native::data_overhead_bytes;
  Fragment fragment;
  fragment.batch = &batch;
  fragment.stream = batch.lane->stream;
  fragment.offset = sent_bytes_;
  fragment.bytes = std::min(room_bytes, batch.bytes - sent_bytes_);
  fragment.record_count = static_cast<std::uint16_t>(batch.record_count);
  const bool last = fragment.offset + fragment.bytes == batch.bytes;
  fragment.flags = static_cast<std::uint16_t>(
      (fragment.offset == 0 ? native::fragment_first : 0) | (last ? native::fragment_last : 0) |
      (batch.lane->wants_durable ? native::data_durable : 0));
  const std::uint64_t pkt_seq = window.next_seq();
  if (!write(pkt_seq, fragment, 0)) return false;
  window.take_seq(now_ns);
  in_flight_[native::window_slot(pkt_seq)] = fragment;
  sent_bytes_ += fragment.bytes;
  batch.last_pkt_seq = pkt_seq;
  if (last) pop();
  return true;
}

bool SendQueue::write(std::uint64_t pkt_seq, const Fragment& fragment, std::uint16_t header_flags) {
  std::byte* at = connection_.channel().begin();
  if (at == nullptr) return false;
  native::Header header = connection_.header(native::PacketType::data);
  header.pkt_seq = pkt_seq;
  header.flags = header_flags;
  native::store_data(at, header, {fragment.stream, fragment.record_count, fragment.flags});
  if (fragment.batch != nullptr)
    std::memcpy(at + native::data_overhead_bytes, fragment.batch->data + fragment.offset,
                fragment.bytes);
  else
    std::memset(at + native::data_overhead_bytes, 0, fragment.bytes);
  connection_.channel().commit(native::data_overhead_bytes + fragment.bytes);
  return true;
}

void SendQueue::repair(std::uint64_t now_ns) {
  native::SendWindow& window = connection_.send_window();
  if (window.in_flight() == 0) return;
  while (const std::uint64_t pkt_seq = window.take_repair(now_ns)) {
    if (!write(pkt_seq, in_flight_[native::window_slot(pkt_seq)], native::flag_repair))
      return window.return_repair(pkt_seq);
    ++repaired_packets_;
  }
}

void SendQueue::pop() {
  PendingBatch* batch = first_;
  first_ = batch->next_queued;
  if (first_ == nullptr) last_ = nullptr;
  batch->queued = false;
  batch->next_queued = nullptr;
  sent_bytes_ = 0;
}

void SendQueue::clear() {
  while (first_ != nullptr) pop();
  in_flight_ = {};
}

void SendQueue::remove(const Lane* lane) {
  PendingBatch* all = first_;
  const std::uint32_t sent_bytes = sent_bytes_;
  const PendingBatch* partly_sent = sent_bytes_ != 0 ? first_ : nullptr;
  first_ = last_ = nullptr;
  while (all != nullptr) {
    PendingBatch* batch = all;
    all = batch->next_queued;
    batch->queued = false;
    if (batch->lane == lane) continue;
    push(batch);
    if (batch == partly_sent) sent_bytes_ = sent_bytes;
  }
}

void SendQueue::forget(const PendingBatch* batch) {
  for (Fragment& fragment : in_flight_)
    if (fragment.batch == batch) fragment.batch = nullptr;
}

}  // namespace millrace::client

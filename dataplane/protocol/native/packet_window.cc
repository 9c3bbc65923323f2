#include "dataplane/protocol/native/packet_window.h"

#include <algorithm>

#include "dataplane/base/check.h"

namespace millrace::native {

void ReceiveWindow::reset(std::uint32_t window) {
  CHECK(window >= 1 && window <= window_packets);
  *this = ReceiveWindow();
  window_ = window;
}

ReceiveWindow::Arrival ReceiveWindow::arrive(std::uint64_t pkt_seq, std::uint64_t now_ns) {
  if (pkt_seq <= delivered_upto_) return Arrival::duplicate;
  if (pkt_seq > delivered_upto_ + window_) return Arrival::outside;
  if (received_.has(pkt_seq)) return Arrival::duplicate;
  received_.insert(pkt_seq);

  if (pkt_seq == ack_upto_ + 1) {
    const bool had_gap = highest_ > ack_upto_;
    ack_upto_ = pkt_seq;
    if (!had_gap) {
      highest_ = pkt_seq;
      return pkt_seq == delivered_upto_ + 1 ? Arrival::next : Arrival::held;
    }
    while (ack_upto_ < highest_ && received_.has(ack_upto_ + 1)) ++ack_upto_;
    if (ack_upto_ == highest_) {
      nak_due_ns_ = never_ns;
      later_packets_ = 0;
    }
    return pkt_seq == delivered_upto_ + 1 ? Arrival::next : Arrival::held;
  }

  if (pkt_seq > highest_ + 1) {  // a new gap
    nak_due_ns_ = std::min(nak_due_ns_, now_ns + nak_delay_ns);
    later_packets_ = later_packets_ == 0 ? 1 : later_packets_ + 1;
  } else if (later_packets_ != 0) {
    ++later_packets_;
  }
  highest_ = std::max(highest_, pkt_seq);
  if (later_packets_ >= nak_later_packets) nak_due_ns_ = std::min(nak_due_ns_, now_ns);
  return Arrival::held;
}

void ReceiveWindow::delivered() {
  DCHECK(deliverable());
  ++delivered_upto_;
  received_.erase(delivered_upto_);
  asked_us_[window_slot(delivered_upto_)] = 0;
}

std::uint32_t ReceiveWindow::missing_packets(std::uint64_t now_ns, std::uint64_t srtt_ns,
                                             std::span<PacketRange> ranges) {
  const std::uint64_t interval_ns = std::max(srtt_ns, nak_interval_min_ns);
  const auto interval_us = static_cast<std::uint32_t>(interval_ns / base::us_ns);
  // 0 means never asked.
  const auto now_us = std::max(1U, static_cast<std::uint32_t>(now_ns / base::us_ns));
  std::uint32_t count = 0;
  bool complete = true;
  for (std::uint64_t seq = ack_upto_ + 1; seq < highest_; ++seq) {
    if (received_.has(seq)) continue;
    std::uint32_t& asked_us = asked_us_[window_slot(seq)];
    if (asked_us != 0 && now_us - asked_us < interval_us) continue;
    const bool extends = count != 0 && ranges[count - 1].first + ranges[count - 1].count == seq;
    if (!extends) {
      if (count == ranges.size()) {
        complete = false;
        break;
      }
      ranges[count++] = {seq, 0};
    }
    ++ranges[count - 1].count;
    asked_us = now_us;
  }
  if (highest_ == ack_upto_) {
    nak_due_ns_ = never_ns;
  } else {
    nak_due_ns_ = complete ? now_ns + interval_ns : now_ns;
  }
  later_packets_ = 0;
  return count;
}

void SendWindow::reset(std::uint16_t credit, std::uint64_t now_ns) {
  *this = SendWindow();
  limit_ = std::min<std::uint64_t>(credit, window_packets);
  progress_ns_ = interval_start_ns_ = now_ns;
}

std::uint64_t SendWindow::take_seq(std::uint64_t now_ns) {
  DCHECK(can_send());
  const std::uint64_t seq = next_seq_++;
  sent_ns_[window_slot(seq)] = now_ns;
  progress_ns_ = now_ns;
  ++sent_in_interval_;
  return seq;
}

bool SendWindow::on_ack(std::uint64_t ack_upto, std::uint16_t credit, std::uint64_t now_ns) {
  // What was never sent, or an old packet that was overtaken.
  if (ack_upto >= next_seq_ || ack_upto < acked_upto_) return false;
  bool news = false;
  if (ack_upto > acked_upto_) {
    if (!repaired_.has(ack_upto)) add_sample(now_ns - sent_ns_[window_slot(ack_upto)]);
    for (std::uint64_t seq = acked_upto_ + 1; seq <= ack_upto; ++seq) {
      wanted_.erase(seq);
      repaired_.erase(seq);
    }
    acked_upto_ = ack_upto;
    progress_ns_ = now_ns;
    probes_ = 0;
    news = true;
  }
  const std::uint64_t limit = ack_upto + std::min<std::uint64_t>(credit, window_packets);
  if (limit > limit_) {
    limit_ = limit;
    news = true;
  }
  return news;
}

void SendWindow::on_nak(PacketRange range) {
  const std::uint64_t first = std::max(range.first, acked_upto_ + 1);
  const std::uint64_t end = std::min(range.first + range.count, next_seq_);
  for (std::uint64_t seq = first; seq < end; ++seq) wanted_.insert(seq);
}

void SendWindow::start_interval(std::uint64_t now_ns) {
  const std::uint64_t length_ns = std::max(srtt_ns_, probe_min_ns);
  if (now_ns - interval_start_ns_ < length_ns) return;
  interval_start_ns_ = now_ns;
  repairs_left_ = std::max(repairs_floor, sent_in_interval_ / 4);
  sent_in_interval_ = 0;
}

std::uint64_t SendWindow::take_repair(std::uint64_t now_ns) {
  if (wanted_.empty()) return 0;
  start_interval(now_ns);
  if (repairs_left_ == 0) return 0;
  std::uint64_t seq = acked_upto_ + 1;
  while (!wanted_.has(seq)) ++seq;
  DCHECK(seq < next_seq_);
  wanted_.erase(seq);
  repaired_.insert(seq);
  --repairs_left_;
  ++repairs_sent_;
  return seq;
}

std::uint64_t SendWindow::probe_at_ns() const {
  if (probes_ == 0) return progress_ns_ + std::max(2 * srtt_ns_, probe_min_ns);
  const std::uint64_t first_ns = std::max(4 * srtt_ns_, timeout_min_ns);
  const std::uint32_t doublings = std::min(probes_ - 1, 20U);
  return progress_ns_ + std::min(first_ns << doublings, timeout_max_ns);
}

std::uint64_t SendWindow::deadline_ns() const {
  if (in_flight() == 0) return never_ns;
  const std::uint64_t probe_ns = probe_at_ns();
  if (wanted_.empty()) return probe_ns;
  if (repairs_left_ != 0) return 0;  // take_repair() has not been asked yet
  // Repairs wait for their share of the next interval.
  return std::min(probe_ns, interval_start_ns_ + std::max(srtt_ns_, probe_min_ns));
}

void SendWindow::on_deadline(std::uint64_t now_ns) {
  if (in_flight() == 0) return;
  start_interval(now_ns);
  if (now_ns < probe_at_ns()) return;
  // The last packet first: its arrival shows the receiver every gap before it. Then also the
  // oldest, which is missing for certain.
  wanted_.insert(next_seq_ - 1);
  if (probes_ != 0) wanted_.insert(acked_upto_ + 1);
  ++probes_;
  progress_ns_ = now_ns;
}

void SendWindow::add_sample(std::uint64_t round_trip_ns) {
  if (!srtt_known_) {
    srtt_ns_ = round_trip_ns;
    srtt_known_ = true;
    return;
  }
  srtt_ns_ = srtt_ns_ - srtt_ns_ / 8 + round_trip_ns / 8;
}

}  // namespace millrace::native

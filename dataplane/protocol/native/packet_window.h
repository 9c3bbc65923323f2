// SendWindow, ReceiveWindow: what makes DATA and PUSH reliable and ordered. One code for both ends.
// Core:  the session's.
//
// Pure: sequence numbers and now_ns in, decisions out. The owner keeps what belongs to a packet
// (its frame, or what is needed to send it again) in an array of window_packets, at
// window_slot(pkt_seq). A sequenced packet is in one of these places:
//
//   sender     | acked ... acked_upto | in flight: may be asked for again | next_seq ... limit |
//   receiver   | delivered ... | held, ack_upto | missing and early ... | + window: outside |
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/base/units.h"
#include "dataplane/protocol/native/codec.h"

namespace millrace::native {

inline constexpr std::uint32_t window_packets = 256;
constexpr std::uint32_t window_slot(std::uint64_t pkt_seq) {
  return static_cast<std::uint32_t>(pkt_seq) & (window_packets - 1);
}

inline constexpr std::uint64_t never_ns = ~0ULL;
inline constexpr std::uint64_t srtt_initial_ns = 100 * base::us_ns;
inline constexpr std::uint64_t nak_delay_ns = 50 * base::us_ns;
inline constexpr std::uint32_t nak_later_packets = 3;
inline constexpr std::uint64_t nak_interval_min_ns = 50 * base::us_ns;
inline constexpr std::uint64_t probe_min_ns = 100 * base::us_ns;
inline constexpr std::uint64_t timeout_min_ns = 300 * base::us_ns;
inline constexpr std::uint64_t timeout_max_ns = 100 * base::ms_ns;
inline constexpr std::uint32_t repairs_floor = 8;  // per interval, whatever was sent

// A set of sequence numbers that lie within one window of each other.
class PacketSet {
 public:
  bool has(std::uint64_t pkt_seq) const { return (word(pkt_seq) & bit(pkt_seq)) != 0; }
  void insert(std::uint64_t pkt_seq) { words_[index(pkt_seq)] |= bit(pkt_seq); }
  void erase(std::uint64_t pkt_seq) { words_[index(pkt_seq)] &= ~bit(pkt_seq); }
  bool empty() const { return (words_[0] | words_[1] | words_[2] | words_[3]) == 0; }
  void clear() { words_ = {}; }

 private:
  static std::uint32_t index(std::uint64_t pkt_seq) { return window_slot(pkt_seq) / 64; }
  static std::uint64_t bit(std::uint64_t pkt_seq) { return 1ULL << (pkt_seq & 63); }
  std::uint64_t word(std::uint64_t pkt_seq) const { return words_[index(pkt_seq)]; }
  std::array<std::uint64_t, window_packets / 64> words_{};
};

// Sequences that arrive. arrive() says what a packet is; the owner keeps it, and takes packets out
// with deliverable(), next_seq(), delivered() as far as it can use them.
class ReceiveWindow {
 public:
  enum class Arrival : std::uint8_t {
    next,       // the one to deliver now; nothing is held before it
    held,       // early, or behind others that are not delivered yet: keep it
    duplicate,  // seen before: drop it, and acknowledge again
    outside,    // beyond the credit that was granted: drop it
  };

  // window: packets that may be held, at most window_packets.
  void reset(std::uint32_t window);

  Arrival arrive(std::uint64_t pkt_seq, std::uint64_t now_ns);
  // Is the packet next in order here?
  bool deliverable() const { return received_.has(delivered_upto_ + 1); }
  std::uint64_t next_seq() const { return delivered_upto_ + 1; }
  // It has been used or dropped; its slot is free.
  void delivered();

  // For the header of every packet to the peer.
  std::uint64_t ack_upto() const { return ack_upto_; }
  std::uint16_t credit() const {
    return static_cast<std::uint16_t>(delivered_upto_ + window_ - ack_upto_);
  }

  // When missing_packets() has something to say; never_ns when nothing is missing.
  std::uint64_t nak_due_ns() const { return nak_due_ns_; }
  // All gaps that may be asked for now, each at most once per srtt. Returns how many ranges.
  std::uint32_t missing_packets(std::uint64_t now_ns, std::uint64_t srtt_ns,
                                std::span<PacketRange> ranges);

  // Every packet that is held, for giving frames back when a session ends.
  std::uint64_t highest_seq() const { return highest_; }
  bool holds(std::uint64_t pkt_seq) const {
    return pkt_seq > delivered_upto_ && pkt_seq <= highest_ && received_.has(pkt_seq);
  }

 private:
  std::uint64_t delivered_upto_ = 0;
  std::uint64_t ack_upto_ = 0;  // all up to here have arrived
  std::uint64_t highest_ = 0;   // highest that arrived
  std::uint64_t nak_due_ns_ = never_ns;
  std::uint32_t window_ = 0;
  std::uint32_t later_packets_ = 0;  // arrived since a gap appeared that was not asked for yet
  PacketSet received_;               // above delivered_upto_
  std::array<std::uint32_t, window_packets> asked_us_{};  // when a missing packet was asked for; 0
};

// Sequences that are sent. The owner calls take_seq() for each new packet while can_send(), hands
// in every ack and NAK, and sends again what take_repair() names.
class SendWindow {
 public:
  // credit: as given by the peer in HELLO or WELCOME.
  void reset(std::uint16_t credit, std::uint64_t now_ns);

  bool can_send() const { return next_seq_ <= limit_; }
  std::uint32_t room() const { return static_cast<std::uint32_t>(limit_ + 1 - next_seq_); }
  // The number of a new packet that goes out now.
  std::uint64_t take_seq(std::uint64_t now_ns);
  // The number that take_seq() will give.
  std::uint64_t next_seq() const { return next_seq_; }

  // From the header of every packet of the peer. True when packets were acknowledged or room came:
  // those in (acked_upto() before, acked_upto() now] are done. What was never sent is ignored.
  bool on_ack(std::uint64_t ack_upto, std::uint16_t credit, std::uint64_t now_ns);
  void on_nak(PacketRange range);

  std::uint64_t acked_upto() const { return acked_upto_; }
  std::uint32_t in_flight() const {
    return static_cast<std::uint32_t>(next_seq_ - 1 - acked_upto_);
  }
  bool is_in_flight(std::uint64_t pkt_seq) const {
    return pkt_seq > acked_upto_ && pkt_seq < next_seq_;
  }

  // A packet to send again now, or 0: nothing is wanted, or repairs have used up their share of
  // this interval. Counts as sent.
  std::uint64_t take_repair(std::uint64_t now_ns);
  // It could not be sent after all; it will be named again.
  void return_repair(std::uint64_t pkt_seq) {
    if (is_in_flight(pkt_seq)) wanted_.insert(pkt_seq);
  }

  // When on_deadline() has something to do; never_ns when nothing is in flight, 0
  // when take_repair() has something.
  std::uint64_t deadline_ns() const;
  // Tail-loss probe, timeout, or a new interval for repairs: afterwards take_repair() names
  // packets.
  void on_deadline(std::uint64_t now_ns);

  std::uint64_t srtt_ns() const { return srtt_ns_; }
  bool srtt_known() const { return srtt_known_; }
  // A round trip measured otherwise (PING).
  void add_sample(std::uint64_t round_trip_ns);
  std::uint64_t repairs_sent() const { return repairs_sent_; }

 private:
  void start_interval(std::uint64_t now_ns);
  std::uint64_t probe_at_ns() const;

  std::uint64_t next_seq_ = 1;
  std::uint64_t limit_ = 0;  // highest pkt_seq that the peer's credit allows
  std::uint64_t acked_upto_ = 0;
  std::uint64_t srtt_ns_ = srtt_initial_ns;
  std::uint64_t progress_ns_ = 0;  // last new packet, ack or probe
  std::uint64_t interval_start_ns_ = 0;
  std::uint64_t repairs_sent_ = 0;
  std::uint32_t probes_ = 0;  // since the last progress
  std::uint32_t sent_in_interval_ = 0;
  std::uint32_t repairs_left_ = repairs_floor;
  bool srtt_known_ = false;
  PacketSet wanted_;    // to be sent again
  PacketSet repaired_;  // sent more than once: no round trip is measured with it
  std::array<std::uint64_t, window_packets> sent_ns_{};
};

}  // namespace millrace::native

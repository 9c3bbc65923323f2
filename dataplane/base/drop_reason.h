// DropReason: the closed list of ways a received packet can end other than delivered.
// Every packet a port hands up is counted once: under a Delivery or under a DropReason. The sum is
// a test.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace millrace::base {

enum class Delivery : std::uint8_t { native, listener, arp, icmp, count_ };

enum class DropReason : std::uint8_t {
  none,  // not dropped
  // the frame (net)
  truncated_frame,    // shorter than its own headers say
  not_for_us,         // another MAC, another IP address
  unknown_ethertype,  // neither IPv4 nor ARP
  bad_ip_header,      // version, header length, total length
  bad_ip_checksum,
  ip_fragment,  // never sent by our clients; not reassembled
  unknown_ip_protocol,
  bad_udp_length,
  bad_udp_checksum,
  bad_arp,
  bad_icmp,      // checksum or length
  icmp_ignored,  // any ICMP other than an echo request
  no_listener,   // nothing listens on this UDP port
  // the native protocol
  bad_magic,
  bad_version,
  unknown_type,
  malformed,  // the body is shorter or longer than its type allows, or a field is out of range
  bad_cookie,
  unknown_session,  // no such session, an old generation, or another address
  duplicate_packet,
  outside_window,  // beyond the credit that was granted
  unknown_stream,
  stream_refused,  // the stream was refused before; the peer must open it again
  session_table_full,
  busy,  // no buffer to answer or reassemble with; the peer's retry brings it back
  // datagram listeners
  unknown_topic,  // the listener's topic does not exist (yet)
  too_large,      // over the size of a record
  log_refused,    // the shard had no room or refused the batch
  count_,
};

inline constexpr auto drop_reason_count = static_cast<std::size_t>(DropReason::count_);
inline constexpr auto delivery_count = static_cast<std::size_t>(Delivery::count_);

inline constexpr std::array<std::string_view, drop_reason_count> drop_reason_names = {
    "none",
    "truncated_frame",
    "not_for_us",
    "unknown_ethertype",
    "bad_ip_header",
    "bad_ip_checksum",
    "ip_fragment",
    "unknown_ip_protocol",
    "bad_udp_length",
    "bad_udp_checksum",
    "bad_arp",
    "bad_icmp",
    "icmp_ignored",
    "no_listener",
    "bad_magic",
    "bad_version",
    "unknown_type",
    "malformed",
    "bad_cookie",
    "unknown_session",
    "duplicate_packet",
    "outside_window",
    "unknown_stream",
    "stream_refused",
    "session_table_full",
    "busy",
    "unknown_topic",
    "too_large",
    "log_refused"};
inline constexpr std::array<std::string_view, delivery_count> delivery_names = {
    "native", "listener", "arp", "icmp"};
static_assert(!drop_reason_names.back().empty() && !delivery_names.back().empty());

}  // namespace millrace::base

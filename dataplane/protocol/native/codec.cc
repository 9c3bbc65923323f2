#include "dataplane/protocol/native/codec.h"

#include <algorithm>
#include <cstring>

#include "dataplane/base/check.h"

namespace millrace::native {

namespace {

using base::DropReason;
using base::load_le;
using base::store_le;

constexpr std::uint32_t batch_bytes_max = 1024 * 1024;

constexpr std::uint32_t hello_body_bytes = 48;
constexpr std::uint32_t cookie_body_bytes = 32;
constexpr std::uint32_t welcome_body_bytes = 40;
constexpr std::uint32_t open_body_bytes = 22;  // before the topic
constexpr std::uint32_t open_ack_body_bytes = 44;
constexpr std::uint32_t close_body_bytes = 8;
constexpr std::uint32_t close_ack_body_bytes = 8;
constexpr std::uint32_t ping_body_bytes = 16;
constexpr std::uint32_t subscribe_body_bytes = 20;
constexpr std::uint32_t sub_ack_body_bytes = 28;
constexpr std::uint32_t beat_body_bytes = 24;
constexpr std::uint32_t error_body_bytes = 16;  // before the text
constexpr std::uint32_t end_body_bytes = 4;

// No answer to HELLO is longer than it.
static_assert(header_bytes + cookie_body_bytes <= hello_bytes);
static_assert(header_bytes + welcome_body_bytes <= hello_bytes);
static_assert(error_overhead_bytes + refusal_text_bytes_max <= hello_bytes);
static_assert(header_bytes + hello_body_bytes <= hello_bytes);
static_assert(header_bytes + open_body_bytes + topic_bytes_max <= control_bytes_max);
static_assert(error_overhead_bytes + error_text_bytes_max <= control_bytes_max);
static_assert(header_bytes + 4 + nak_ranges_max * 8 <= control_bytes_max);
static_assert(control_bytes_max <= payload_bytes_min);

bool valid_data(const Request& request) {
  if (request.body.size() <= data_header_bytes || request.header.pkt_seq == 0) return false;
  const DataHeader data = load_data(request.body);
  constexpr std::uint16_t known = fragment_first | fragment_last | data_durable;
  return data.stream != 0 && data.record_count != 0 && (data.flags & ~known) == 0;
}

bool valid_push(const Request& request) {
  if (request.body.size() < push_header_bytes || request.header.pkt_seq == 0) return false;
  const PushHeader push = load_push(request.body);
  constexpr std::uint16_t known = fragment_first | fragment_last | push_gone;
  const std::uint64_t bytes = request.body.size() - push_header_bytes;
  if (push.subscription == 0 || (push.flags & ~known) != 0) return false;
  if ((push.flags & push_gone) != 0) return bytes == 0;
  const std::uint64_t end = push.skip_bytes + bytes;
  return bytes != 0 && push.base_offset >= 0 && push.batch_bytes <= batch_bytes_max &&
         end <= push.batch_bytes &&
         ((push.flags & fragment_first) != 0) == (push.skip_bytes == 0) &&
         ((push.flags & fragment_last) != 0) == (end == push.batch_bytes);
}

bool valid_open(std::span<const std::byte> body) {
  if (body.size() <= open_body_bytes) return false;
  const auto topic_bytes = load_le<std::uint8_t>(body.data() + 21);
  return topic_bytes >= 1 && topic_bytes <= topic_bytes_max &&
         body.size() == open_body_bytes + topic_bytes &&
         load_le<std::int64_t>(body.data() + 8) >= base::no_producer_id;
}

bool valid_nak(std::span<const std::byte> body) {
  if (body.size() < 4) return false;
  const std::uint32_t count = nak_range_count(body);
  if (count == 0 || count > nak_ranges_max || body.size() != 4 + count * 8) return false;
  for (std::uint32_t i = 0; i < count; ++i) {
    const PacketRange range = load_nak_range(body, i);
    if (range.first == 0 || range.count == 0 || range.count > 256) return false;
  }
  return true;
}

bool valid_error(std::span<const std::byte> body) {
  if (body.size() < error_body_bytes) return false;
  const auto text_bytes = load_le<std::uint16_t>(body.data() + 2);
  return text_bytes <= error_text_bytes_max && body.size() == error_body_bytes + text_bytes;
}

bool valid_subscribe(std::span<const std::byte> body) {
  return body.size() == subscribe_body_bytes && load_le<std::uint8_t>(body.data() + 8) <= 3;
}

bool valid_ack(std::span<const std::byte> body) {
  return body.size() >= 4 &&
         body.size() == 4 + std::uint64_t{ack_entry_count(body)} * ack_entry_bytes;
}

DropReason decode_unsequenced(Request& request) {
  const auto body = request.body;
  bool valid = false;
  switch (request.header.type) {
    case PacketType::hello:
      valid = body.size() >= hello_bytes - header_bytes;
      break;
    case PacketType::cookie:
      valid = body.size() == cookie_body_bytes;
      break;
    case PacketType::welcome:
      valid = body.size() == welcome_body_bytes;
      break;
    case PacketType::open:
      valid = valid_open(body);
      break;
    case PacketType::open_ack:
      valid = body.size() == open_ack_body_bytes;
      break;
    case PacketType::close:
    case PacketType::unsubscribe:
      valid = body.size() == close_body_bytes;
      break;
    case PacketType::close_ack:
    case PacketType::unsub_ack:
      valid = body.size() == close_ack_body_bytes;
      break;
    case PacketType::ack:
      valid = valid_ack(body);
      break;
    case PacketType::nak:
      valid = valid_nak(body);
      break;
    case PacketType::ping:
    case PacketType::pong:
      valid = body.size() == ping_body_bytes;
      break;
    case PacketType::subscribe:
      valid = valid_subscribe(body);
      break;
    case PacketType::sub_ack:
      valid = body.size() == sub_ack_body_bytes;
      break;
    case PacketType::beat:
      valid = body.size() == beat_body_bytes;
      break;
    case PacketType::end:
      valid = body.size() == end_body_bytes;
      break;
    case PacketType::error:
      valid = valid_error(body);
      break;
    default:
      return DropReason::unknown_type;
  }
  return valid && request.header.pkt_seq == 0 ? DropReason::none : DropReason::malformed;
}

}  // namespace

base::DropReason decode_request(const std::byte* data, std::uint32_t bytes, Request& request) {
  if (bytes < header_bytes) {
    const bool foreign = bytes > 0 && load_le<std::uint8_t>(data) >> 4 != magic;
    return foreign ? DropReason::bad_magic : DropReason::malformed;
  }
  const auto first = load_le<std::uint8_t>(data);
  if (first >> 4 != magic) return DropReason::bad_magic;
  if ((first & 0xF) != version) return DropReason::bad_version;
  const auto sequence = load_le<std::uint64_t>(data + 6);
  const auto ack = load_le<std::uint64_t>(data + 14);
  request.header.type = static_cast<PacketType>(data[1]);
  request.header.session = load_le<std::uint32_t>(data + 2);
  request.header.pkt_seq = sequence & sequence_max;
  request.header.flags = static_cast<std::uint16_t>(sequence >> 48);
  request.header.ack_upto = ack & sequence_max;
  request.header.credit = static_cast<std::uint16_t>(ack >> 48);
  request.body = {data + header_bytes, bytes - header_bytes};
  if (request.header.type == PacketType::data) {
    return valid_data(request) ? DropReason::none : DropReason::malformed;
  }
  if (request.header.type == PacketType::push) {
    return valid_push(request) ? DropReason::none : DropReason::malformed;
  }
  return decode_unsequenced(request);
}

std::uint32_t encode(std::byte* at, const Header& header, const Hello& body) {
  store_header(at, header);
  std::byte* to = at + header_bytes;
  std::memset(to, 0, hello_bytes - header_bytes);
  store_le<std::uint8_t>(to, body.version_min);
  store_le<std::uint8_t>(to + 1, body.version_max);
  store_le<std::uint16_t>(to + 2, body.payload_bytes_max);
  store_le<std::uint16_t>(to + 4, body.credit);
  store_le<std::uint32_t>(to + 8, body.session);
  store_le<std::uint32_t>(to + 12, body.idle_timeout_ms);
  std::memcpy(to + 16, body.nonce.data(), 16);
  std::memcpy(to + 32, body.cookie.data(), 16);
  return hello_bytes;
}

Hello load_hello(std::span<const std::byte> body) {
  const std::byte* at = body.data();
  Hello hello;
  hello.version_min = load_le<std::uint8_t>(at);
  hello.version_max = load_le<std::uint8_t>(at + 1);
  hello.payload_bytes_max = load_le<std::uint16_t>(at + 2);
  hello.credit = load_le<std::uint16_t>(at + 4);
  hello.session = load_le<std::uint32_t>(at + 8);
  hello.idle_timeout_ms = load_le<std::uint32_t>(at + 12);
  std::memcpy(hello.nonce.data(), at + 16, 16);
  std::memcpy(hello.cookie.data(), at + 32, 16);
  return hello;
}

std::uint32_t encode(std::byte* at, const Header& header, const CookieReply& body) {
  store_header(at, header);
  std::memcpy(at + header_bytes, body.nonce.data(), 16);
  std::memcpy(at + header_bytes + 16, body.cookie.data(), 16);
  return header_bytes + cookie_body_bytes;
}

CookieReply load_cookie(std::span<const std::byte> body) {
  CookieReply reply;
  std::memcpy(reply.nonce.data(), body.data(), 16);
  std::memcpy(reply.cookie.data(), body.data() + 16, 16);
  return reply;
}

std::uint32_t encode(std::byte* at, const Header& header, const Welcome& body) {
  store_header(at, header);
  std::byte* to = at + header_bytes;
  store_le<std::uint8_t>(to, body.version);
  store_le<std::uint8_t>(to + 1, 0);
  store_le<std::uint16_t>(to + 2, body.payload_bytes_max);
  store_le<std::uint16_t>(to + 4, body.credit);
  store_le<std::uint16_t>(to + 6, 0);
  store_le<std::uint32_t>(to + 8, body.session);
  store_le<std::uint32_t>(to + 12, body.idle_timeout_ms);
  std::memcpy(to + 16, body.nonce.data(), 16);
  store_le<std::uint64_t>(to + 32, body.server_ns);
  return header_bytes + welcome_body_bytes;
}

Welcome load_welcome(std::span<const std::byte> body) {
  const std::byte* at = body.data();
  Welcome welcome;
  welcome.version = load_le<std::uint8_t>(at);
  welcome.payload_bytes_max = load_le<std::uint16_t>(at + 2);
  welcome.credit = load_le<std::uint16_t>(at + 4);
  welcome.session = load_le<std::uint32_t>(at + 8);
  welcome.idle_timeout_ms = load_le<std::uint32_t>(at + 12);
  std::memcpy(welcome.nonce.data(), at + 16, 16);
  welcome.server_ns = load_le<std::uint64_t>(at + 32);
  return welcome;
}

std::uint32_t encode(std::byte* at, const Header& header, const Open& body) {
  CHECK(!body.topic.empty() && body.topic.size() <= topic_bytes_max);
  store_header(at, header);
  std::byte* to = at + header_bytes;
  store_le<std::uint32_t>(to, body.request_id);
  store_le<std::uint32_t>(to + 4, body.replaces);
  store_le<std::int64_t>(to + 8, body.producer_id);
  store_le<std::int16_t>(to + 16, body.producer_epoch);
  store_le<std::uint16_t>(to + 18, body.partition_index);
  store_le<std::uint8_t>(to + 20, 0);
  store_le<std::uint8_t>(to + 21, static_cast<std::uint8_t>(body.topic.size()));
  std::memcpy(to + open_body_bytes, body.topic.data(), body.topic.size());
  return header_bytes + open_body_bytes + static_cast<std::uint32_t>(body.topic.size());
}

Open load_open(std::span<const std::byte> body) {
  const std::byte* at = body.data();
  Open open;
  open.request_id = load_le<std::uint32_t>(at);
  open.replaces = load_le<std::uint32_t>(at + 4);
  open.producer_id = load_le<std::int64_t>(at + 8);
  open.producer_epoch = load_le<std::int16_t>(at + 16);
  open.partition_index = load_le<std::uint16_t>(at + 18);
  open.topic = {reinterpret_cast<const char*>(at + open_body_bytes),
                load_le<std::uint8_t>(at + 21)};
  return open;
}

std::uint32_t encode(std::byte* at, const Header& header, const OpenAck& body) {
  store_header(at, header);
  std::byte* to = at + header_bytes;
  store_le<std::uint32_t>(to, body.request_id);
  store_le<std::uint32_t>(to + 4, static_cast<std::uint8_t>(body.status));
  store_le<std::uint16_t>(to + 6, body.partition_count);
  store_le<std::uint32_t>(to + 8, body.stream);
  store_le<std::int32_t>(to + 12, body.last_sequence);
  store_le<std::int16_t>(to + 16, body.producer_epoch);
  store_le<std::uint16_t>(to + 18, 0);
  store_le<std::int64_t>(to + 20, body.log_start);
  store_le<std::int64_t>(to + 28, body.log_end);
  store_le<std::uint64_t>(to + 36, body.accepted);
  return header_bytes + open_ack_body_bytes;
}

OpenAck load_open_ack(std::span<const std::byte> body) {
  const std::byte* at = body.data();
  OpenAck ack;
  ack.request_id = load_le<std::uint32_t>(at);
  ack.status = static_cast<Status>(at[4]);
  ack.partition_count = load_le<std::uint16_t>(at + 6);
  ack.stream = load_le<std::uint32_t>(at + 8);
  ack.last_sequence = load_le<std::int32_t>(at + 12);
  ack.producer_epoch = load_le<std::int16_t>(at + 16);
  ack.log_start = load_le<std::int64_t>(at + 20);
  ack.log_end = load_le<std::int64_t>(at + 28);
  ack.accepted = load_le<std::uint64_t>(at + 36);
  return ack;
}

std::uint32_t encode(std::byte* at, const Header& header, const Close& body) {
  store_header(at, header);
  store_le<std::uint32_t>(at + header_bytes, body.request_id);
  store_le<std::uint32_t>(at + header_bytes + 4, body.handle);
  return header_bytes + close_body_bytes;
}

Close load_close(std::span<const std::byte> body) {
  return {load_le<std::uint32_t>(body.data()), load_le<std::uint32_t>(body.data() + 4)};
}

std::uint32_t encode(std::byte* at, const Header& header, const CloseAck& body) {
  store_header(at, header);
  store_le<std::uint32_t>(at + header_bytes, body.request_id);
  store_le<std::uint32_t>(at + header_bytes + 4, static_cast<std::uint8_t>(body.status));
  return header_bytes + close_ack_body_bytes;
}

CloseAck load_close_ack(std::span<const std::byte> body) {
  return {load_le<std::uint32_t>(body.data()), static_cast<Status>(body[4])};
}

std::uint32_t encode(std::byte* at, const Header& header, const Ping& body) {
  store_header(at, header);
  store_le<std::uint64_t>(at + header_bytes, body.sent_ns);
  store_le<std::uint64_t>(at + header_bytes + 8, body.srtt_ns);
  return header_bytes + ping_body_bytes;
}

Ping load_ping(std::span<const std::byte> body) {
  return {load_le<std::uint64_t>(body.data()), load_le<std::uint64_t>(body.data() + 8)};
}

std::uint32_t encode(std::byte* at, const Header& header, const Pong& body) {
  store_header(at, header);
  store_le<std::uint64_t>(at + header_bytes, body.sent_ns);
  store_le<std::uint64_t>(at + header_bytes + 8, body.received_ns);
  return header_bytes + ping_body_bytes;
}

Pong load_pong(std::span<const std::byte> body) {
  return {load_le<std::uint64_t>(body.data()), load_le<std::uint64_t>(body.data() + 8)};
}

std::uint32_t encode(std::byte* at, const Header& header, const Subscribe& body) {
  store_header(at, header);
  std::byte* to = at + header_bytes;
  store_le<std::uint32_t>(to, body.request_id);
  store_le<std::uint32_t>(to + 4, body.stream);
  store_le<std::uint32_t>(to + 8, static_cast<std::uint8_t>(body.start_at));
  store_le<std::int64_t>(to + 12, body.value);
  return header_bytes + subscribe_body_bytes;
}

Subscribe load_subscribe(std::span<const std::byte> body) {
  const std::byte* at = body.data();
  return {load_le<std::uint32_t>(at), load_le<std::uint32_t>(at + 4), static_cast<StartAt>(at[8]),
          load_le<std::int64_t>(at + 12)};
}

std::uint32_t encode(std::byte* at, const Header& header, const SubAck& body) {
  store_header(at, header);
  std::byte* to = at + header_bytes;
  store_le<std::uint32_t>(to, body.request_id);
  store_le<std::uint32_t>(to + 4, static_cast<std::uint8_t>(body.status));
  store_le<std::uint32_t>(to + 8, body.subscription);
  store_le<std::int64_t>(to + 12, body.next_offset);
  store_le<std::int64_t>(to + 20, body.log_end);
  return header_bytes + sub_ack_body_bytes;
}

SubAck load_sub_ack(std::span<const std::byte> body) {
  const std::byte* at = body.data();
  return {load_le<std::uint32_t>(at), static_cast<Status>(at[4]), load_le<std::uint32_t>(at + 8),
          load_le<std::int64_t>(at + 12), load_le<std::int64_t>(at + 20)};
}

std::uint32_t encode(std::byte* at, const Header& header, const Beat& body) {
  store_header(at, header);
  std::byte* to = at + header_bytes;
  store_le<std::uint32_t>(to, body.subscription);
  store_le<std::uint32_t>(to + 4, 0);
  store_le<std::int64_t>(to + 8, body.next_offset);
  store_le<std::int64_t>(to + 16, body.log_end);
  return header_bytes + beat_body_bytes;
}

Beat load_beat(std::span<const std::byte> body) {
  const std::byte* at = body.data();
  return {load_le<std::uint32_t>(at), load_le<std::int64_t>(at + 8),
          load_le<std::int64_t>(at + 16)};
}

std::uint32_t encode(std::byte* at, const Header& header, const ErrorReply& body) {
  const auto text_bytes =
      static_cast<std::uint16_t>(std::min<std::size_t>(body.text.size(), error_text_bytes_max));
  store_header(at, header);
  std::byte* to = at + header_bytes;
  store_le<std::uint16_t>(to, static_cast<std::uint8_t>(body.code));
  store_le<std::uint16_t>(to + 2, text_bytes);
  store_le<std::uint32_t>(to + 4, body.handle);
  store_le<std::uint64_t>(to + 8, body.sequence);
  if (text_bytes != 0) std::memcpy(to + error_body_bytes, body.text.data(), text_bytes);
  return error_overhead_bytes + text_bytes;
}

ErrorReply load_error(std::span<const std::byte> body) {
  const std::byte* at = body.data();
  return {static_cast<Status>(at[0]),
          load_le<std::uint32_t>(at + 4),
          load_le<std::uint64_t>(at + 8),
          {reinterpret_cast<const char*>(at + error_body_bytes), load_le<std::uint16_t>(at + 2)}};
}

std::uint32_t encode(std::byte* at, const Header& header, const End& body) {
  store_header(at, header);
  store_le<std::uint32_t>(at + header_bytes, static_cast<std::uint8_t>(body.code));
  return header_bytes + end_body_bytes;
}

End load_end(std::span<const std::byte> body) { return {static_cast<Status>(body[0])}; }

std::uint32_t encode(std::byte* at, const Header& header, std::span<const PacketRange> ranges) {
  CHECK(!ranges.empty() && ranges.size() <= nak_ranges_max);
  const auto count = static_cast<std::uint32_t>(ranges.size());
  store_header(at, header);
  store_le<std::uint32_t>(at + header_bytes, count);
  std::byte* to = at + header_bytes + 4;
  for (std::uint32_t i = 0; i < count; ++i) {
    store_le<std::uint64_t>(to + i * 8, ranges[i].first | std::uint64_t{ranges[i].count} << 48);
  }
  return header_bytes + 4 + count * 8;
}

std::string_view name(Status status) {
  static constexpr std::array<std::string_view, 15> of_shard = {"ok",
                                                                "duplicate",
                                                                "unknown_topic",
                                                                "out_of_order",
                                                                "fenced",
                                                                "corrupt",
                                                                "too_large",
                                                                "journal_full",
                                                                "too_many_producers",
                                                                "too_many_subscriptions",
                                                                "offset_out_of_range",
                                                                "partition_damaged",
                                                                "storage_failed",
                                                                "not_ready",
                                                                "disk_full"};
  static constexpr std::array<std::string_view, 11> of_session = {
      "session_table_full",   "unsupported_version", "unknown_session", "unknown_stream",
      "unknown_subscription", "too_many_streams",    "unknown_type",    "partition_gone",
      "idle_timeout",         "shutting_down",       "bad_request"};
  constexpr std::uint32_t first_of_session = static_cast<std::uint8_t>(Status::session_table_full);
  const auto code = static_cast<std::uint8_t>(status);
  if (code < of_shard.size()) return of_shard[code];
  if (code < first_of_session || code - first_of_session >= of_session.size()) return "unknown";
  return of_session[code - first_of_session];
}

}  // namespace millrace::native

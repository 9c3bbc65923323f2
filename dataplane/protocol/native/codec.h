// Codec: the native protocol's packets as structs, both ways. No state; used by both ends.
// Step:  3 of the walk (decode_request).
// Source of every field: README.md of this folder, which is the specification.
//
// Integers are little-endian and unaligned; only the record batch inside DATA and PUSH keeps
// Kafka's big-endian. A packet is a header of 22 bytes (so that behind Ethernet, IPv4 and UDP the
// body starts at byte 64) and the body of its type.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "dataplane/base/drop_reason.h"
#include "dataplane/base/ids.h"
#include "dataplane/base/wire.h"

namespace millrace::native {

inline constexpr std::uint8_t magic = 0xA;
inline constexpr std::uint8_t version = 1;
inline constexpr std::uint16_t default_udp_port = 7070;

inline constexpr std::uint32_t header_bytes = 22;
inline constexpr std::uint32_t data_header_bytes = 8;   // DATA: before the batch bytes
inline constexpr std::uint32_t push_header_bytes = 24;  // PUSH: before the batch bytes
inline constexpr std::uint32_t data_overhead_bytes = header_bytes + data_header_bytes;
inline constexpr std::uint32_t push_overhead_bytes = header_bytes + push_header_bytes;

inline constexpr std::uint32_t hello_bytes = 128;        // whole packet, at least; zero padded
inline constexpr std::uint32_t control_bytes_max = 512;  // of any packet but DATA, PUSH, ACK
inline constexpr std::uint32_t payload_bytes_min = 576;  // smallest UDP payload limit to agree on
inline constexpr std::uint32_t topic_bytes_max = 249;
inline constexpr std::uint32_t error_text_bytes_max = 200;
inline constexpr std::uint32_t refusal_text_bytes_max = 88;  // in an answer to HELLO
inline constexpr std::uint32_t nak_ranges_max = 32;          // in one NAK
// Request ids count up from 1 in a session. The one sent is less than this above the lowest that is
// unanswered.
inline constexpr std::uint32_t requests_max = 16;
inline constexpr std::uint64_t sequence_max = (1ULL << 48) - 1;  // pkt_seq and ack_upto

enum class PacketType : std::uint8_t {
  hello = 0x01,
  cookie = 0x02,
  welcome = 0x03,
  open = 0x04,
  open_ack = 0x05,
  close = 0x06,
  close_ack = 0x07,
  data = 0x10,
  ack = 0x11,
  nak = 0x12,
  ping = 0x14,
  pong = 0x15,
  subscribe = 0x20,
  sub_ack = 0x21,
  push = 0x22,
  unsubscribe = 0x23,
  unsub_ack = 0x24,
  beat = 0x25,
  end = 0x2F,
  error = 0x30,
};

// Header flags.
inline constexpr std::uint16_t flag_repair = 1U << 0;   // sent before under the same pkt_seq
inline constexpr std::uint16_t flag_ack_now = 1U << 1;  // answer at the end of this turn

// DATA and PUSH flags.
inline constexpr std::uint16_t fragment_first = 1U << 0;
inline constexpr std::uint16_t fragment_last = 1U << 1;  // both: a whole batch; in PUSH one or more
inline constexpr std::uint16_t data_durable = 1U << 2;   // DATA: somebody waits for the device
inline constexpr std::uint16_t push_gone = 1U << 2;      // PUSH: no bytes; the subscription ended

// Result of a request and code of an ERROR. Below 64 these are the shard's own answers.
enum class Status : std::uint8_t {
  ok = 0,
  duplicate = 1,
  unknown_topic = 2,
  out_of_order = 3,
  fenced = 4,
  corrupt = 5,
  too_large = 6,
  journal_full = 7,
  too_many_producers = 8,
  too_many_subscriptions = 9,
  offset_out_of_range = 10,
  partition_damaged = 11,
  storage_failed = 12,
  not_ready = 13,
  disk_full = 14,
  session_table_full = 64,
  unsupported_version = 65,
  unknown_session = 66,  // handle: the session id that is not known here (any more)
  unknown_stream = 67,
  unknown_subscription = 68,
  too_many_streams = 69,
  unknown_type = 70,
  partition_gone = 71,  // topic deleted, or damage found
  idle_timeout = 72,
  shutting_down = 73,
  bad_request = 74,
};
std::string_view name(Status status);

struct Header {
  PacketType type = PacketType::hello;
  std::uint32_t session = 0;   // chosen by the receiver of the packet; 0 in HELLO
  std::uint64_t pkt_seq = 0;   // DATA and PUSH: from 1; others: 0
  std::uint16_t flags = 0;     // flag_*
  std::uint64_t ack_upto = 0;  // all pkt_seq of the other direction up to this have arrived
  std::uint16_t credit = 0;    // packets that may be in flight beyond ack_upto
};

// A session id and a stream or subscription handle: 20 bits of index, 12 of generation (from 1),
// so none is ever 0.
constexpr std::uint32_t make_id(std::uint32_t index, std::uint32_t generation) {
  return (generation << 20) | (index & 0xF'FFFFU);
}
constexpr std::uint32_t id_index(std::uint32_t id) { return id & 0xF'FFFFU; }
constexpr std::uint32_t id_generation(std::uint32_t id) { return id >> 20; }
inline constexpr std::uint32_t generation_count = 0xFFF;
constexpr std::uint32_t next_generation(std::uint32_t generation) {
  return generation >= generation_count ? 1 : generation + 1;
}

using Nonce = std::array<std::uint64_t, 2>;
using Cookie = std::array<std::uint64_t, 2>;  // opaque to the client; all zero: none yet

struct Hello {
  std::uint8_t version_min = version;
  std::uint8_t version_max = version;
  std::uint16_t payload_bytes_max = 0;  // biggest UDP payload the client can take and send
  std::uint16_t credit = 0;             // PUSH packets it can take without reading
  std::uint32_t session = 0;            // to be put into packets to the client
  std::uint32_t idle_timeout_ms = 0;    // 0: the server's choice
  Nonce nonce{};                        // the same through one handshake
  Cookie cookie{};
};

struct CookieReply {
  Nonce nonce{};
  Cookie cookie{};
};

struct Welcome {
  std::uint8_t version = native::version;
  std::uint16_t payload_bytes_max = 0;  // the smaller of both sides'
  std::uint16_t credit = 0;             // DATA packets that may be in flight
  std::uint32_t session = 0;            // to be put into packets to the server
  std::uint32_t idle_timeout_ms = 0;    // agreed
  Nonce nonce{};
  std::uint64_t server_ns = 0;  // the server's monotonic clock
};

struct Open {
  std::uint32_t request_id = 0;
  std::uint32_t replaces = 0;                           // stream to be closed with it; 0: none
  base::ProducerId producer_id = base::no_producer_id;  // -1: reader only
  std::int16_t producer_epoch = 0;
  std::uint16_t partition_index = 0;
  std::string_view topic;  // 1..topic_bytes_max; a view into the packet when decoded
};

struct OpenAck {
  std::uint32_t request_id = 0;
  Status status = Status::ok;
  std::uint16_t partition_count = 0;  // of the topic
  std::uint32_t stream = 0;           // 0 unless ok
  std::int32_t last_sequence = -1;    // of this producer id in the log; -1: none
  std::int16_t producer_epoch = 0;    // the newest known
  base::Offset log_start = 0;
  base::Offset log_end = 0;
  std::uint64_t accepted = 0;  // watermark to start from: last_sequence + 1
};

// CLOSE (a stream) and UNSUBSCRIBE (a subscription).
struct Close {
  std::uint32_t request_id = 0;
  std::uint32_t handle = 0;
};

// CLOSE_ACK and UNSUB_ACK. Closing what is not there is ok.
struct CloseAck {
  std::uint32_t request_id = 0;
  Status status = Status::ok;
};

struct DataHeader {
  std::uint32_t stream = 0;
  std::uint16_t record_count = 0;  // of the whole batch, at most 65535
  std::uint16_t flags = 0;         // fragment_*, data_durable
};

// Counts of records of the stream's producer, as 64-bit sequence numbers: the sequence number that
// comes next. Low 31 bits: the base_sequence of the next batch.
struct AckEntry {
  std::uint32_t stream = 0;
  std::uint64_t memory = 0;      // accepted: in the memory of the shard
  std::uint64_t replicated = 0;  // in the memory of a quorum; a node without replicas is a quorum
  std::uint64_t durable = 0;     // on this node's device
};
inline constexpr std::uint32_t ack_entry_bytes = 28;
inline constexpr std::uint32_t ack_overhead_bytes = header_bytes + 4;
constexpr std::uint32_t ack_entries_max(std::uint32_t payload_bytes) {
  return (payload_bytes - ack_overhead_bytes) / ack_entry_bytes;
}

// Packets missing: first .. first + count - 1.
struct PacketRange {
  std::uint64_t first = 0;
  std::uint16_t count = 0;
};

struct Ping {
  std::uint64_t sent_ns = 0;  // the sender's clock, echoed
  std::uint64_t srtt_ns = 0;  // the sender's smoothed round trip; 0: not known
};

struct Pong {
  std::uint64_t sent_ns = 0;      // of the PING
  std::uint64_t received_ns = 0;  // the answerer's clock at its arrival
};

enum class StartAt : std::uint8_t { earliest = 0, latest = 1, offset = 2, time = 3 };

struct Subscribe {
  std::uint32_t request_id = 0;
  std::uint32_t stream = 0;
  StartAt start_at = StartAt::earliest;
  std::int64_t value = 0;  // offset, or milliseconds since 1970 UTC
};

struct SubAck {
  std::uint32_t request_id = 0;
  Status status = Status::ok;
  std::uint32_t subscription = 0;  // 0 unless ok
  base::Offset next_offset = 0;    // of the first batch that will come (or an offset inside it)
  base::Offset log_end = 0;
};

struct PushHeader {
  std::uint32_t subscription = 0;
  std::uint16_t flags = 0;        // fragment_*, push_gone
  base::Offset base_offset = 0;   // of the batch, or the first one here
  std::uint32_t skip_bytes = 0;   // of the batch, before these; push_gone: a Status
  std::uint32_t batch_bytes = 0;  // of the whole batch, or of all that are here
};

struct Beat {
  std::uint32_t subscription = 0;
  base::Offset next_offset = 0;  // everything below it has been pushed
  base::Offset log_end = 0;      // as last heard of the shard
};

struct ErrorReply {
  Status code = Status::ok;
  std::uint32_t handle = 0;    // stream, subscription or session; 0: the whole session
  std::uint64_t sequence = 0;  // a refused stream: the memory watermark it stopped at
  std::string_view text;       // for people
};
inline constexpr std::uint32_t error_overhead_bytes = header_bytes + 16;

struct End {
  Status code = Status::ok;  // ok: asked for, or an answer to END
};

// --- writing: `at` has room for control_bytes_max; the result is the packet's size ---

inline void store_header(std::byte* at, const Header& header) {
  at[0] = static_cast<std::byte>((magic << 4) | version);
  at[1] = static_cast<std::byte>(header.type);
  base::store_le<std::uint32_t>(at + 2, header.session);
  base::store_le<std::uint64_t>(at + 6, header.pkt_seq | std::uint64_t{header.flags} << 48);
  base::store_le<std::uint64_t>(at + 14, header.ack_upto | std::uint64_t{header.credit} << 48);
}

std::uint32_t encode(std::byte* at, const Header& header, const Hello& body);
std::uint32_t encode(std::byte* at, const Header& header, const CookieReply& body);
std::uint32_t encode(std::byte* at, const Header& header, const Welcome& body);
std::uint32_t encode(std::byte* at, const Header& header, const Open& body);
std::uint32_t encode(std::byte* at, const Header& header, const OpenAck& body);
std::uint32_t encode(std::byte* at, const Header& header, const Close& body);     // UNSUBSCRIBE too
std::uint32_t encode(std::byte* at, const Header& header, const CloseAck& body);  // UNSUB_ACK too
std::uint32_t encode(std::byte* at, const Header& header, const Ping& body);
std::uint32_t encode(std::byte* at, const Header& header, const Pong& body);
std::uint32_t encode(std::byte* at, const Header& header, const Subscribe& body);
std::uint32_t encode(std::byte* at, const Header& header, const SubAck& body);
std::uint32_t encode(std::byte* at, const Header& header, const Beat& body);
std::uint32_t encode(std::byte* at, const Header& header, const ErrorReply& body);
std::uint32_t encode(std::byte* at, const Header& header, const End& body);
// At most nak_ranges_max ranges.
std::uint32_t encode(std::byte* at, const Header& header, std::span<const PacketRange> ranges);

// ACK: entries are stored one by one, then the packet is finished with their count.
inline void store_ack_entry(std::byte* packet, std::uint32_t index, const AckEntry& entry) {
  std::byte* at = packet + ack_overhead_bytes + index * ack_entry_bytes;
  base::store_le<std::uint32_t>(at, entry.stream);
  base::store_le<std::uint64_t>(at + 4, entry.memory);
  base::store_le<std::uint64_t>(at + 12, entry.replicated);
  base::store_le<std::uint64_t>(at + 20, entry.durable);
}
inline std::uint32_t finish_ack(std::byte* packet, const Header& header, std::uint32_t count) {
  store_header(packet, header);
  base::store_le<std::uint32_t>(packet + header_bytes, count);
  return ack_overhead_bytes + count * ack_entry_bytes;
}

// DATA and PUSH: the batch bytes follow at data_overhead_bytes and push_overhead_bytes.
inline void store_data(std::byte* packet, const Header& header, const DataHeader& body) {
  store_header(packet, header);
  base::store_le<std::uint32_t>(packet + header_bytes, body.stream);
  base::store_le<std::uint16_t>(packet + header_bytes + 4, body.record_count);
  base::store_le<std::uint16_t>(packet + header_bytes + 6, body.flags);
}
inline void store_push(std::byte* packet, const Header& header, const PushHeader& body) {
  store_header(packet, header);
  std::byte* at = packet + header_bytes;
  base::store_le<std::uint32_t>(at, body.subscription);
  base::store_le<std::uint16_t>(at + 4, 0);
  base::store_le<std::uint16_t>(at + 6, body.flags);
  base::store_le<std::int64_t>(at + 8, body.base_offset);
  base::store_le<std::uint32_t>(at + 16, body.skip_bytes);
  base::store_le<std::uint32_t>(at + 20, body.batch_bytes);
}

// Of a PUSH to which a batch was added.
inline void store_push_batch_bytes(std::byte* packet, std::uint32_t bytes) {
  base::store_le<std::uint32_t>(packet + header_bytes + 20, bytes);
}

// --- reading ---

// A packet whose header and body size are right for its type. `body` points into the packet.
struct Request {
  Header header;
  std::span<const std::byte> body;
};

// none, or why the packet is dropped: bad_magic, bad_version, unknown_type, malformed. Checks
// everything that needs no session: sizes, counts, ranges of fields. After `none` the loads below
// may be used on the body of the matching type.
base::DropReason decode_request(const std::byte* data, std::uint32_t bytes, Request& request);

Hello load_hello(std::span<const std::byte> body);
CookieReply load_cookie(std::span<const std::byte> body);
Welcome load_welcome(std::span<const std::byte> body);
Open load_open(std::span<const std::byte> body);
OpenAck load_open_ack(std::span<const std::byte> body);
Close load_close(std::span<const std::byte> body);
CloseAck load_close_ack(std::span<const std::byte> body);
Ping load_ping(std::span<const std::byte> body);
Pong load_pong(std::span<const std::byte> body);
Subscribe load_subscribe(std::span<const std::byte> body);
SubAck load_sub_ack(std::span<const std::byte> body);
Beat load_beat(std::span<const std::byte> body);
ErrorReply load_error(std::span<const std::byte> body);
End load_end(std::span<const std::byte> body);

inline DataHeader load_data(std::span<const std::byte> body) {
  return {base::load_le<std::uint32_t>(body.data()), base::load_le<std::uint16_t>(body.data() + 4),
          base::load_le<std::uint16_t>(body.data() + 6)};
}
inline std::span<const std::byte> data_payload(std::span<const std::byte> body) {
  return body.subspan(data_header_bytes);
}
inline PushHeader load_push(std::span<const std::byte> body) {
  return {base::load_le<std::uint32_t>(body.data()), base::load_le<std::uint16_t>(body.data() + 6),
          base::load_le<std::int64_t>(body.data() + 8),
          base::load_le<std::uint32_t>(body.data() + 16),
          base::load_le<std::uint32_t>(body.data() + 20)};
}
inline std::span<const std::byte> push_payload(std::span<const std::byte> body) {
  return body.subspan(push_header_bytes);
}

inline std::uint32_t ack_entry_count(std::span<const std::byte> body) {
  return base::load_le<std::uint32_t>(body.data());
}
inline AckEntry load_ack_entry(std::span<const std::byte> body, std::uint32_t index) {
  const std::byte* at = body.data() + 4 + index * ack_entry_bytes;
  return {base::load_le<std::uint32_t>(at), base::load_le<std::uint64_t>(at + 4),
          base::load_le<std::uint64_t>(at + 12), base::load_le<std::uint64_t>(at + 20)};
}

inline std::uint32_t nak_range_count(std::span<const std::byte> body) {
  return base::load_le<std::uint32_t>(body.data());
}
inline PacketRange load_nak_range(std::span<const std::byte> body, std::uint32_t index) {
  const auto word = base::load_le<std::uint64_t>(body.data() + 4 + index * 8);
  return {word & sequence_max, static_cast<std::uint16_t>(word >> 48)};
}

}  // namespace millrace::native

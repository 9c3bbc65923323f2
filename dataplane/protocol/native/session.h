// Session, Stream, Subscription: what the server keeps about a peer, as plain data.
// Core:  the sessions'. Each is a slot of a table and refers to others by slot index.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/base/endpoint.h"
#include "dataplane/base/ids.h"
#include "dataplane/protocol/native/packet_window.h"
#include "dataplane/protocol/native/reassembly.h"
#include "dataplane/protocol/native/slot_table.h"

namespace millrace::native {

// A received frame that waits in the window.
struct HeldFrame {
  const std::byte* data = nullptr;
  std::uint64_t frame = 0;
  std::uint32_t bytes = 0;
};

// What is needed to send a PUSH packet again: its bytes are in the log. Of several batches the
// base offset is the first one's, the end the last one's, and batch_bytes are of all.
struct SentPush {
  base::Offset base_offset = 0;
  base::Offset end_offset = 0;
  std::uint32_t subscription = 0;  // handle
  std::uint32_t skip_bytes = 0;    // gone: a Status
  std::uint32_t batch_bytes = 0;
  std::uint16_t bytes = 0;
  bool gone = false;

  bool is_piece() const { return bytes != batch_bytes; }
};

// A request that was seen, so that its repetition has the same answer.
struct SeenRequest {
  std::uint32_t request_id = 0;
  std::uint32_t handle = 0;  // of the stream or subscription, 0: it failed
  PacketType type = PacketType::open;
  Status status = Status::ok;
};
// More than requests_max, so that a request delayed on its way is still known.
inline constexpr std::uint32_t seen_requests_max = 64;

struct Session {
  std::uint32_t id = 0;
  std::uint32_t peer_session = 0;
  base::Endpoint peer;
  std::uint16_t local_port = 0;
  std::uint16_t payload_bytes_max = 0;
  std::uint16_t granted_credit = 0;
  std::uint16_t charged_credit = 0;  // of it, what the port had left
  bool on_worklist = false;
  bool stalled = false;  // the next packet in order could not be delivered yet
  bool ack_due = false;  // an ACK goes out at the end of the turn, whatever is in it
  bool ending = false;   // being taken apart at the end of turns
  bool end_told = false;
  Status end_status = Status::ok;
  std::uint32_t appends_in_flight = 0;  // answers outstanding; each brings an ACK
  std::uint64_t acked_upto = 0;         // as told to the peer last
  std::uint16_t told_credit = 0;        // likewise
  std::uint64_t last_heard_ns = 0;
  std::uint64_t last_data_ns = 0;
  std::uint64_t idle_timeout_ns = 0;
  std::uint64_t peer_srtt_ns = 0;  // as the peer said in PING
  // While there is something to push, no credit, and nothing in flight whose repair would tell.
  std::uint64_t ping_at_ns = never_ns;
  std::uint64_t ping_interval_ns = 0;

  std::uint32_t first_stream = no_slot;
  std::uint32_t first_dirty = no_slot;  // streams with watermarks to tell
  std::uint32_t first_error = no_slot;  // streams with a refusal to tell
  std::uint32_t report_next = no_slot;  // where the next PING goes on reporting
  std::uint32_t first_subscription = no_slot;
  std::uint32_t first_wanting = no_slot;  // subscriptions that need credit of the shard, in turn
  std::uint32_t last_wanting = no_slot;
  std::uint32_t next_same_hash = no_slot;  // SessionTable's chain

  // The batch being put together from fragments.
  std::uint32_t assembly = Reassembly::none;
  std::uint32_t assembly_stream = 0;  // handle

  std::uint64_t release_next = 1;  // while ending: the next held packet to let go

  ReceiveWindow receive;
  SendWindow send;
  Nonce nonce{};
  std::array<SeenRequest, seen_requests_max> seen;
  std::array<HeldFrame, window_packets> held;
  std::array<SentPush, window_packets> sent;
};

enum class StreamState : std::uint8_t { opening, open, refused, closing };

struct Stream {
  std::uint32_t id = 0;
  std::uint32_t session = no_slot;  // slot; none: it only waits for answers
  StreamState state = StreamState::opening;
  Status refusal = Status::ok;
  bool publishes = false;      // has a producer id
  bool awaits_device = false;  // sent a batch that somebody waits for to be durable
  bool dirty = false;          // on the session's list
  bool error_due = false;      // likewise
  base::ShardId shard{};
  base::PartitionId partition{};
  std::uint32_t next_dirty = no_slot;
  std::uint32_t next_error = no_slot;
  std::uint32_t appends_sent = 0;
  std::uint32_t appends_answered = 0;
  std::uint64_t accepted = 0;  // memory watermark
  std::uint64_t durable = 0;   // durable watermark

  std::uint32_t next = no_slot;  // of the session
  std::uint32_t previous = no_slot;
  std::uint32_t request_id = 0;
  std::uint16_t partition_count = 0;
  std::int16_t producer_epoch = 0;
  std::int32_t last_sequence = -1;
  std::uint64_t opened_at = 0;  // accepted when it was opened
  base::Offset log_start = 0;
  base::Offset log_end = 0;
};

enum class SubscriptionState : std::uint8_t { subscribing, active, ended };

// A BEAT comes this long after the last PUSH, then at twice the interval each time.
inline constexpr std::uint64_t beat_first_ns = base::ms_ns;
inline constexpr std::uint64_t beat_last_ns = base::second_ns;

struct Subscription {
  std::uint32_t id = 0;
  std::uint32_t session = no_slot;  // slot
  std::uint32_t stream = 0;         // handle
  std::uint32_t at_shard = 0;       // the shard's own id of it
  SubscriptionState state = SubscriptionState::subscribing;
  Status end_status = Status::ok;
  bool wanting = false;  // on the session's list
  std::uint32_t next_wanting = no_slot;
  base::PartitionId partition{};

  // The next byte to push: skip_bytes into the batch that starts at offset, or, with skip_bytes 0,
  // the batch that holds offset.
  base::Offset offset = 0;
  std::uint32_t skip_bytes = 0;
  std::uint32_t batch_bytes = 0;    // of the batch it stands in, when it has bytes of it already
  std::uint32_t granted_bytes = 0;  // that the shard may still send; 0: it needs credit
  base::Offset log_end = 0;
  base::Offset first_offset = 0;  // as told in SUB_ACK
  base::Offset first_log_end = 0;

  // The last packet pushed, if it holds whole batches: more may follow in it until it is sent.
  std::uint64_t open_packet = 0;  // PacketWriter's number
  std::uint64_t open_seq = 0;     // 0: none

  std::uint64_t beat_at_ns = 0;
  std::uint64_t beat_interval_ns = 0;
  std::uint32_t next = no_slot;  // of the session
  std::uint32_t previous = no_slot;
  std::uint32_t request_id = 0;
};

}  // namespace millrace::native

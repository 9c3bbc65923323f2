// Subscription: one partition's records, in order, each once, across reconnects.
// Core:  the client's thread.
// Owns:  the buffer in which a batch of several packets is put together.
//
//   opening (OPEN as reader) ──▶ subscribing (SUBSCRIBE) ──▶ active ──refused, damaged──▶ stopped
//      ▲                              session lost                │
//      └──────────────────────────────────────────────────────────┘ from next_offset
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataplane/client/millrace.h"
#include "dataplane/client/session.h"
#include "storage/batch.h"

namespace millrace::client {

struct SubscriptionOptions {
  std::string topic;
  std::uint16_t partition_index = 0;
  native::StartAt start_at = native::StartAt::latest;
  std::int64_t start_value = 0;
  void* context = nullptr;
};

class Subscription {
 public:
  Subscription(Session& session, const SubscriptionOptions& options);
  ~Subscription();
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;

  Session& session() { return session_; }
  int position(mr_position& position) const;
  void* context() const { return options_.context; }

  // --- for the client ---
  // Takes the body of a PUSH in order. True when it completed a batch or more, to be deliver()ed;
  // the bytes must stay until then.
  bool take_push(std::span<const std::byte> body);
  // Hands over up to records_max records of them; finished() afterwards when they are used up.
  std::uint32_t deliver(mr_handler handler, void* context, std::uint32_t records_max);
  bool finished() const { return !reader_.has_value(); }

  bool on_open_ack(const native::OpenAck& ack);
  bool on_sub_ack(const native::SubAck& ack);
  void on_beat(const native::Beat& beat);
  // A refusal of its stream or of itself.
  void on_refused(native::Status status);
  void on_session_lost();
  std::uint64_t poll_requests();
  // Its SUB_ACK may still be on the way behind the first PUSH.
  bool subscribing() const { return phase_ == Phase::subscribing; }
  std::uint32_t stream() const { return stream_; }

 private:
  enum class Phase : std::uint8_t { opening, subscribing, active, stopped };

  void stop(int status);
  bool start_batches(std::span<const std::byte> bytes);
  bool start_batch(std::span<const std::byte> batch);
  void ask_again(std::uint64_t from_ns);
  bool skips(const storage::Record& record);

  Session& session_;
  SubscriptionOptions options_;
  Phase phase_ = Phase::opening;
  int status_ = MR_NOT_CONNECTED;
  Request request_;  // OPEN or SUBSCRIBE
  std::uint32_t stream_ = 0;
  std::uint32_t handle_ = 0;
  base::Offset next_offset_ = -1;  // -1: the node has not said where it begins
  base::Offset log_end_ = -1;
  std::uint32_t partition_count_ = 0;
  bool before_start_time_ = false;  // records older than the time asked for may still come

  std::vector<std::byte> assembly_;
  base::Offset assembly_offset_ = -1;  // base offset of the batch in it; -1: none
  std::uint32_t assembled_bytes_ = 0;
  std::optional<storage::RecordReader> reader_;
  std::span<const std::byte> rest_;  // of what was taken, behind the reader's batch
  base::Offset reader_end_ = 0;      // offset after the batch being delivered
};

}  // namespace millrace::client

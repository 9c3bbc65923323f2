// Producer: records in, batches out, watermarks back. One lane for each partition it writes to.
// Core:  the client's thread.
// Owns:  the memory of its batches.
//
// A record's number is its lane's sequence while there is one partition, so a program that comes
// back with its own producer id finds its place in the log; with several partitions it is a count
// of this object's own.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/murmur2.h"
#include "dataplane/base/units.h"
#include "dataplane/client/lane.h"
#include "dataplane/client/millrace.h"
#include "dataplane/client/pending_batch.h"
#include "dataplane/client/session.h"

namespace millrace::client {

struct ProducerOptions {
  std::string topic;
  std::int32_t partition = MR_ALL_PARTITIONS;
  base::ProducerId producer_id = 0;
  std::int16_t producer_epoch = 0;
  Level ack = Level::durable;
  std::uint32_t batch_bytes = 0;  // 0: one packet
  std::uint64_t linger_ns = 1 * base::ms_ns;
  std::uint64_t buffer_bytes = 8 * base::mib;
  std::uint64_t delivery_timeout_ns = 30 * base::second_ns;
};

class Producer {
 public:
  using Bytes = std::optional<std::string_view>;

  Producer(Session& session, const ProducerOptions& options);
  ~Producer();
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;

  // The record's number, or a negative mr_status.
  std::int64_t offer(Bytes key, Bytes value) {
    if (!usable()) return why_not();
    Lane& lane = lane_for(key);
    if (lane.open_batch != nullptr && lane.builder.add(key, value, lane.timestamp_ms)) [[likely]]
      return took(lane);
    return offer_first(lane, key, value);
  }
  std::int64_t claim(Bytes key, std::uint32_t value_bytes, void** value);
  int commit();
  int abort();
  int flush();
  int retry();

  // 1 when something moved since the last call, 0 when not, or the status it stopped with.
  int poll_acks(mr_acks& acks);
  int status() const { return status_; }
  bool ready() const { return ready_; }
  std::int64_t next_record() const;
  std::uint32_t lane_count() const {
    return ready_ ? static_cast<std::uint32_t>(lanes_.size()) : 0;
  }
  // Everything taken so far has been acknowledged at the level chosen.
  bool drained() const;

  // --- for the client ---
  Session& session() { return session_; }
  // Seals what is due; SendQueue::send follows.
  void poll();
  // poll() has a batch that it may have to seal.
  bool gathers() const { return !gathering_.empty(); }
  // About every 10 ms: timeouts. elapsed_ns: polled time since the last call.
  void keep_house(std::uint64_t elapsed_ns);
  void on_ack(Lane& lane, const native::AckEntry& entry);
  // A refusal of one of its streams.
  void on_refused(Lane& lane, native::Status status);
  // True when the answer was to one of ours.
  bool on_open_ack(const native::OpenAck& ack);
  void on_session_lost();
  // Sends OPENs that are due; returns when the next is.
  std::uint64_t poll_requests();
  std::uint64_t linger_deadline_ns() const;

 private:
  bool usable() const { return status_ == MR_OK && ready_ && claimed_ == nullptr; }
  std::int64_t why_not() const;
  Lane& lane_for(const Bytes& key) {
    if (lanes_.size() == 1) return *lanes_[0];
    if (!key) return *lanes_[keyless_lane_];
    return *lanes_[base::partition_of_key(*key, static_cast<std::uint32_t>(lanes_.size()))];
  }
  std::int64_t took(Lane& lane) {
    ++lane.next_sequence;
    if (lane.builder.record_count() == record_count_max) seal(lane);
    if (lanes_.size() == 1) return static_cast<std::int64_t>(lane.next_sequence) - 1;
    return next_record_++;
  }
  // Nothing of any lane is on its way to the node's memory, so that waiting for more would gain
  // nothing.
  bool calm() const { return busy_lanes_ == 0; }
  // What DATA's record count holds.
  static constexpr std::uint32_t record_count_max = 0xFFFF;

  std::int64_t offer_first(Lane& lane, const Bytes& key, const Bytes& value);
  int start_batch(Lane& lane, std::uint64_t record_bytes);
  void seal(Lane& lane);
  void release(Lane& lane);
  // Out of the list of all, and back to the pool.
  void discard(PendingBatch& batch);
  void stop(int status);
  Lane& add_lane(std::uint16_t partition_index);
  void become_ready();
  bool resume(Lane& lane, std::uint64_t accepted);
  std::int64_t acked_record(Level level) const;
  std::int64_t first_record_now(const Lane& lane) const {
    return lanes_.size() == 1 ? static_cast<std::int64_t>(lane.next_sequence) : next_record_;
  }

  Session& session_;
  ProducerOptions options_;
  int status_ = MR_OK;
  int waiting_status_ = MR_NOT_CONNECTED;  // why it is not ready
  bool ready_ = false;                     // every stream has been open once
  Lane* claimed_ = nullptr;
  std::uint32_t keyless_lane_ = 0;  // where records without a key go until its batch is sealed
  std::int64_t next_record_ = 0;    // several lanes
  mr_acks acks_{0, 0, 0};           // as last given out
  // Over many lanes the watermarks of levels that were not chosen cost a walk over all, so they are
  // looked at when something moved, and no oftener than keeps that walk a small part of the time.
  bool acks_moved_ = false;
  std::uint64_t others_walked_ns_ = 0;  // not again before this
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::size_t busy_lanes_ = 0;    // that wait for the node to have their batches in memory
  std::size_t opened_lanes_ = 0;  // whose numbering is known
  std::vector<Lane*> gathering_;  // lanes with an open batch
  std::unique_ptr<BatchPool> pool_;
  // Open and pending ones of all lanes, by their first record.
  PendingBatch* oldest_ = nullptr;
  PendingBatch* newest_ = nullptr;
};

}  // namespace millrace::client

// PendingBatch: a record batch from its first record until it is acknowledged; what is sent again
// comes from here. BatchPool: their memory, taken whole when a producer opens.
// Core:  the client's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/base/check.h"

namespace millrace::client {

struct Lane;

struct PendingBatch {
  std::byte* data = nullptr;
  std::uint32_t capacity = 0;
  std::uint32_t bytes = 0;  // 0 until it is sealed
  std::uint32_t record_count = 0;
  Lane* lane = nullptr;
  std::uint64_t end_sequence = 0;  // of the lane: one past its last record
  std::int64_t first_record = 0;   // the producer's number of its first record
  std::uint64_t last_pkt_seq = 0;  // highest in this session that carries some of it; 0: none
  bool queued = false;             // in the SendQueue, or partly sent from it
  PendingBatch* next_in_lane = nullptr;
  PendingBatch* next_queued = nullptr;
  PendingBatch* older = nullptr;  // of all lanes, by first_record
  PendingBatch* newer = nullptr;
  std::unique_ptr<std::byte[]> own_bytes;  // of a batch bigger than the pool's
};

// Batches of one size. Bigger ones are allocated one by one against the same budget.
class BatchPool {
 public:
  BatchPool(std::uint32_t batch_bytes, std::uint32_t batch_count)
      : batch_bytes_(batch_bytes),
        stride_bytes_((batch_bytes + 63U) & ~63U),
        memory_(
            std::make_unique_for_overwrite<std::byte[]>(std::size_t{stride_bytes_} * batch_count)),
        batches_(batch_count) {
    free_.reserve(batch_count);
    for (std::uint32_t i = batch_count; i > 0; --i) free_.push_back(&batches_[i - 1]);
  }

  std::uint32_t batch_bytes() const { return batch_bytes_; }

  // Null when all are in use.
  PendingBatch* take() {
    if (free_.empty()) return nullptr;
    PendingBatch* batch = free_.back();
    free_.pop_back();
    *batch = PendingBatch();
    batch->data = memory_.get() + static_cast<std::size_t>(batch - batches_.data()) * stride_bytes_;
    batch->capacity = batch_bytes_;
    return batch;
  }

  // Of more than batch_bytes(). Null when too much of the kind is in use already.
  PendingBatch* take_big(std::uint32_t bytes) {
    if (big_bytes_ != 0 && big_bytes_ + bytes > batches_.size() * std::size_t{stride_bytes_})
      return nullptr;
    PendingBatch* batch = take();
    if (batch == nullptr) return nullptr;
    batch->own_bytes = std::make_unique_for_overwrite<std::byte[]>(bytes);
    batch->data = batch->own_bytes.get();
    batch->capacity = bytes;
    big_bytes_ += bytes;
    return batch;
  }

  void give_back(PendingBatch* batch) {
    DCHECK(!batch->queued);
    if (batch->own_bytes != nullptr) {
      big_bytes_ -= batch->capacity;
      batch->own_bytes.reset();
    }
    free_.push_back(batch);
  }

 private:
  std::uint32_t batch_bytes_;
  std::uint32_t stride_bytes_;  // whole cache lines
  std::uint64_t big_bytes_ = 0;
  std::unique_ptr<std::byte[]> memory_;
  std::vector<PendingBatch> batches_;
  std::vector<PendingBatch*> free_;
};

}  // namespace millrace::client

// Lane: one partition of a producer: its stream at the node, its numbering, its batches.
// Core:  the client's thread. Owned by its Producer.
//
//   lane sequences:  released | pending: sealed, sent or to be sent | open batch | next_sequence
//
// A lane counts its records in 64 bits; the node counts from what its log last saw of the
// producer id (31 bits), so sequence_base, a multiple of 2^31, lies between the two.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/client/pending_batch.h"
#include "dataplane/client/request.h"
#include "dataplane/protocol/native/codec.h"
#include "storage/batch.h"

namespace millrace::client {

class Producer;

enum class Level : std::uint8_t { memory, replicated, durable };
inline constexpr std::uint32_t level_count = 3;

struct Lane {
  // A point that both countings pass: of the records below `sequence` of the lane, none has a
  // number of `record` or above.
  struct Mark {
    std::uint64_t sequence = 0;
    std::int64_t record = 0;
  };

  Producer* producer = nullptr;
  std::uint16_t partition_index = 0;
  bool wants_durable = false;
  bool open = false;         // stream is valid and takes DATA
  bool opened_once = false;  // its numbering is known
  bool gathering = false;    // in the producer's list of lanes with an open batch
  std::uint32_t stream = 0;
  Request request;  // OPEN

  std::uint64_t next_sequence = 0;    // of the next record
  std::uint64_t sealed_sequence = 0;  // one past the last record that was sealed
  std::uint64_t sequence_base = 0;
  std::array<std::uint64_t, level_count> acked{};  // watermarks, in lane sequences

  storage::BatchBuilder builder;
  PendingBatch* open_batch = nullptr;
  std::uint64_t gather_until_ns = 0;  // linger
  std::int64_t timestamp_ms = 0;      // of the records of the open batch
  std::uint64_t waited_ns = 0;        // since an acknowledgement released something
  PendingBatch* oldest = nullptr;
  PendingBatch* newest = nullptr;

  // Several lanes only: how far in the producer's numbering each watermark reaches.
  std::array<std::int64_t, level_count> floor{};
  std::array<Mark, level_count> marks{};
  Mark last_sealed;

  bool drained(Level level) const {
    return acked[static_cast<std::uint32_t>(level)] >= next_sequence;
  }
  // Nothing is on its way to the node's memory.
  bool calm() const { return acked[0] >= sealed_sequence; }
};

}  // namespace millrace::client

// ProducerTable: what each producer last wrote to each partition, so that nothing is taken twice.
// Core:  the shard's.
// Owns:  a fixed table in the arena, open addressing over (partition, producer id).
//
// The rule is Kafka's: the next batch continues the sequence (mod 2^31) of the last one; one of the
// last five again is a duplicate and is told its first offset; anything older is a duplicate too;
// anything further on is out of order. A producer not known here may start anywhere. A full table
// gives up producers silent for idle_ns; if there is none the newcomer is refused, since forgetting
// a live one could let a repeat in.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/base/arena.h"
#include "dataplane/base/ids.h"
#include "dataplane/shard/command.h"

namespace millrace::shard {

class ProducerTable {
 public:
  static constexpr std::uint32_t remembered_batches = 5;  // what Kafka's clients may have in flight
  static constexpr std::uint64_t idle_ns = 15ULL * 60 * 1'000'000'000;

  struct Sequences {
    std::int32_t first = 0;
    std::int32_t last = 0;
    base::Offset base_offset = 0;
  };
  struct Producer {
    base::ProducerId id = base::no_producer_id;
    base::PartitionId partition{};
    std::int16_t epoch = 0;
    std::uint8_t batch_count = 0;  // in batches, newest at batches[newest]
    std::uint8_t newest = 0;
    std::uint64_t last_used_ns = 0;
    std::array<Sequences, remembered_batches> batches{};

    std::int32_t last_sequence() const { return batch_count == 0 ? -1 : batches[newest].last; }
  };
  struct Verdict {
    Status status = Status::ok;  // ok: append it, then accept()
    base::Offset base_offset =
        -1;  // duplicate: where it went the first time, -1 when that is forgotten
    Producer* producer = nullptr;  // null for a batch without a producer id
  };

  ProducerTable(base::Arena& arena, std::uint32_t producers_max);
  static std::uint64_t arena_bytes(std::uint32_t producers_max);

  // Attaches a producer; a higher epoch fences the lower ones. Null when the table is full of live
  // producers.
  Producer* open(base::PartitionId partition, base::ProducerId id, std::int16_t epoch,
                 std::uint64_t now_ns, Status& status);
  Verdict check(base::PartitionId partition, base::ProducerId id, std::int16_t epoch,
                std::int32_t base_sequence, std::int32_t last_sequence, std::uint64_t now_ns);
  static void accept(Producer& producer, std::int32_t base_sequence, std::int32_t last_sequence,
                     base::Offset base_offset);
  // A batch found at recovery, in log order. When the log holds more producers than the table,
  // older ones give way.
  void recover(base::PartitionId partition, base::ProducerId id, std::int16_t epoch,
               std::int32_t base_sequence, std::int32_t last_sequence, base::Offset base_offset);
  // After the last one: from now on every producer counts as just heard of.
  void finish_recovery(std::uint64_t now_ns);
  // Forgets the producers of partitions for which is_gone(partition) says so: one walk over the
  // table.
  template <typename IsGone>
  void sweep(IsGone is_gone) {
    for (std::uint32_t at = 0; at < table_.size();) {
      if (table_[at].id != base::no_producer_id && is_gone(table_[at].partition)) {
        erase(at);  // may move another into this place, so it is looked at again
      } else {
        ++at;
      }
    }
  }

  std::uint32_t size() const { return size_; }

 private:
  Producer* find(base::PartitionId partition, base::ProducerId id);
  Producer* insert(base::PartitionId partition, base::ProducerId id, std::int16_t epoch,
                   std::uint64_t now_ns);
  std::uint32_t home_of(base::PartitionId partition, base::ProducerId id) const;
  void erase(std::uint32_t at);
  bool evict_idle(std::uint64_t now_ns);
  void evict_older();

  std::span<Producer> table_;
  std::uint32_t producers_max_;
  std::uint32_t size_ = 0;
  std::uint32_t evict_hand_ = 0;
  std::uint64_t recovered_ = 0;
};

}  // namespace millrace::shard

// Sorter: turns the oldest part of a journal into segments, so that its files can be used again.
// Core:  housekeeping; step() does a bit of work at a time, blocks and allocates.
// Owns:  the segment files, and the memory that one pass is sorted in.
//
//   scan ──▶ sort by partition and offset ──▶ write the file ──▶ rename it ──▶ tell the log
//
// A pass takes as many whole frames as its memory holds. Until its file has its name nothing has
// happened, and a crash leaves a file that the next start removes. From then on the file counts: a
// start that finds it takes no batch of that stretch from the journal. The log is told of each
// segment and last of all that the stretch is sorted, and only then gives up its part of the
// journal.
//
// With the batches goes what else the journal alone knew: where each partition begins and ends,
// what of it is damaged, and the last batches of each producer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "dataplane/base/result.h"
#include "storage/block_buffer.h"
#include "storage/journal.h"
#include "storage/pace.h"
#include "storage/segment_store.h"
#include "storage/segment_writer.h"
#include "storage/sorter_link.h"

namespace millrace::storage {

struct SorterOptions {
  std::uint64_t pass_bytes = 64ULL << 20;    // of journal, in memory at once; a power of two
  std::uint64_t start_bytes = 512ULL << 20;  // of journal that is durable and not sorted
  std::uint64_t quiet_ns = 250'000'000;      // without an append: whole passes begin before that
  std::uint32_t producers_max = 65536;       // remembered; those silent longest give way
  // Kept free on the device: below it nothing is appended. 0: a twentieth of it, two passes at
  // least, 1 GiB at most.
  std::uint64_t reserve_bytes = 0;
  bool is_paced = false;  // leaves the device time for appends
};

class Sorter final : private RecoveryVisitor {
 public:
  Sorter(const SorterOptions& options, Disk& disk, Journal& journal, SegmentStore& store,
         SorterLink& link, Announcements& announcements);

  // True when there is more to do at once. After an error it begins anew, not before retry_ns.
  base::Result<bool> step(std::uint64_t now_ns);
  // Somebody has taken some of the device: what is free is asked for in the next step.
  void look_again() { space_at_ns_ = 0; }

 private:
  static constexpr std::uint64_t retry_ns = 1'000'000'000;
  static constexpr std::uint64_t write_bytes_per_step = 1ULL << 20;
  static constexpr std::uint64_t space_interval_ns = 100'000'000;

  enum class State : std::uint8_t { idle, asking, writing };
  struct Entry {
    std::uint32_t partition = 0;
    std::uint32_t bytes = 0;
    base::Offset base_offset = 0;
    const std::byte* batch = nullptr;
  };
  struct ProducerKey {
    base::ProducerId id;
    std::uint32_t partition;
    bool operator==(const ProducerKey&) const = default;
  };
  struct ProducerHash {
    std::size_t operator()(const ProducerKey& key) const {
      return (static_cast<std::uint64_t>(key.id) ^ (std::uint64_t{key.partition} << 40)) *
             0x9e37'79b9'7f4a'7c15ULL;
    }
  };
  struct Producer {
    ProducerState state;
    base::Position last_seen = 0;
  };
  // As of a position of the journal.
  struct Known {
    std::unordered_map<std::uint32_t, PartitionState> partitions;
    std::unordered_map<ProducerKey, Producer, ProducerHash> producers;
  };

  void on_batch(base::PartitionId partition, base::Position position,
                const BatchView& batch) override;
  void on_damage(const base::PartitionId* partition, base::Position first,
                 base::Position last) override;
  void on_log_start(base::PartitionId partition, base::Offset offset) override;
  void on_progress(std::uint64_t /*done*/, std::uint64_t /*total*/) override {}

  base::Result<bool> work();
  void listen(std::uint64_t now_ns);
  std::uint64_t rest_times() const;
  base::Result<void> look_at_space();
  bool wants_pass() const;
  void scan();
  base::Result<void> plan();
  base::Result<void> write_some();
  base::Result<void> finish();
  void give_up();

  void note_producer(std::uint32_t partition, base::Position position, const BatchView& batch);
  void take_marks(const Marks& marks);
  void forget_silent_producers();
  Known known() const;
  Checkpoint checkpoint() const;

  SorterOptions options_;
  Disk& disk_;
  Journal& journal_;
  SegmentStore& store_;
  SorterLink& link_;
  Announcements& announcements_;

  State state_ = State::idle;
  std::uint64_t retry_at_ns_ = 0;
  Pace pace_;
  base::Position heard_ = 0;  // was durable
  std::uint64_t heard_at_ns_ = 0;
  bool is_quiet_ = false;
  std::uint64_t space_at_ns_ = 0;
  bool may_write_ = true;  // half of the reserve is not the sorter's either
  // By the producers of the store's checkpoint, which is all else that is known between passes.
  std::vector<base::Position> last_seen_;
  Known next_;  // as of the end of the pass; empty between passes
  BlockBuffer memory_;
  base::Position from_ = 0;
  base::Position to_ = 0;
  std::vector<Entry> entries_;
  std::size_t written_ = 0;  // of entries_
  std::unique_ptr<SegmentWriter> writer_;
};

}  // namespace millrace::storage

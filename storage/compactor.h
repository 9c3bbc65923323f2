// Compactor: keeps a shard's segment files few, and rid of what nobody wants any more.
// Core:  housekeeping; step() does a bit of work at a time, blocks and allocates.
//
//   files of which nothing is wanted               go
//   neighbours of about a size                     become one, until their segments are large
//   a file of which less than half is wanted       becomes one without the rest
//   partitions that keep the last of each key      are compacted when half of what they hold is new
//
// All but the first write a new file, and what it holds takes the place of the same in others
// (segment_store.h). Until it has its name nothing has happened; from then on the others' segments
// are nobody's, and a crash at any step leaves one or the other.
//
// What has rotted is not copied, for then it would look sound: its file stays as it is.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "dataplane/base/result.h"
#include "storage/batch.h"
#include "storage/block_buffer.h"
#include "storage/journal.h"
#include "storage/key_map.h"
#include "storage/merge_choice.h"
#include "storage/pace.h"
#include "storage/segment_reader.h"
#include "storage/segment_store.h"
#include "storage/segment_writer.h"
#include "storage/sorter_link.h"

namespace millrace::storage {

struct CompactorOptions {
  bool rewrites = true;  // otherwise files only go
  MergeOptions merge;
  std::uint64_t compacted_bytes_max = 1ULL << 30;  // at once, and in one file, by key
  std::uint32_t keys_max = 1U << 21;  // of a partition, at once; as many as a batch has at least
  std::uint64_t bytes_max = ~0ULL;    // of segment files; beyond it the oldest one goes
  std::uint64_t interval_ns = 100'000'000;  // between two looks for work
  bool is_paced = false;                    // leaves the device time for appends
};

class Compactor {
 public:
  Compactor(const CompactorOptions& options, const JournalOptions& journal, Disk& disk,
            SegmentStore& store, SorterLink& link, Announcements& announcements);

  // True when there is more to do at once. After an error it begins anew, not before retry_ns, and
  // leaves a file that has rotted alone.
  base::Result<bool> step(std::uint64_t now_ns, std::int64_t wall_ms);

 private:
  static constexpr std::uint64_t retry_ns = 1'000'000'000;
  static constexpr std::uint64_t bytes_per_step = 1ULL << 20;
  static constexpr std::uint64_t rest_times = 3;

  // A segment to be rewritten.
  struct Source {
    std::size_t reader = 0;
    SegmentEntry segment;
    std::int64_t tombstones_ms = 0;  // by key
  };
  struct Job {
    bool by_key = false;
    bool makes_room = false;      // and may use what else is kept free
    std::vector<Source> sources;  // by partition and offset
    std::vector<SegmentReader> readers;
    std::unique_ptr<SegmentWriter> writer;
    SegmentFileHeader identity;
    Checkpoint known;            // by the newest of its files
    std::size_t file_end = 0;    // of sources, that go into the file at hand
    std::size_t next = 0;        // of sources
    std::uint64_t position = 0;  // in its file; 0: it has not been begun
    // By key: of the partition at hand.
    std::optional<KeyMap> keys;
    bool is_mapping = false;
    std::size_t mapped = 0;       // of sources
    std::size_t group_end = 0;    // its sources
    base::Offset mapped_end = 0;  // of later records no keys are known
  };
  using Files = std::vector<const SegmentFile*>;

  base::Result<bool> work(std::uint64_t now_ns, std::int64_t wall_ms);
  base::Result<bool> collect();
  void give_up_surplus();
  bool is_dead(const SegmentEntry& segment, const Marks& marks) const;

  base::Result<bool> plan();
  bool may_be_rewritten(const SegmentFile& file) const;
  std::vector<FileWeight> weigh(const Marks& marks) const;
  Files choose_half_empty(const std::vector<FileWeight>& weights) const;
  std::set<std::uint32_t> choose_partitions(const Marks& marks) const;
  base::Result<bool> begin(std::unique_ptr<Job> job);
  base::Result<bool> begin_file();
  std::unique_ptr<Job> job_of(const Files& files, const Marks& marks) const;
  std::unique_ptr<Job> job_of(const std::set<std::uint32_t>& partitions, const Marks& marks) const;
  bool is_in_a_hurry() const;
  void add_source(Job& job, const SegmentFile& file, const SegmentEntry& segment) const;

  base::Result<void> run(std::int64_t wall_ms);
  base::Result<std::uint64_t> map_some();
  base::Result<std::uint64_t> write_some(std::int64_t wall_ms);
  void begin_group();
  base::Result<std::span<const std::byte>> next_batch(const Source& source);
  bool map_keys(const BatchView& batch);
  bool is_wanted(const Record& record, bool are_tombstones_over) const;
  std::span<const std::byte> compacted(std::span<const std::byte> batch, const Source& source,
                                       std::int64_t wall_ms);
  base::Result<void> finish();
  void give_up();

  CompactorOptions options_;
  std::uint64_t cluster_id_;
  base::ShardId shard_;
  Background& background_;
  Disk& disk_;
  SegmentStore& store_;
  SorterLink& link_;
  Announcements& announcements_;

  Pace pace_;
  std::uint64_t retry_at_ns_ = 0;
  std::uint64_t look_at_ns_ = 0;
  std::unique_ptr<Job> job_;
  BlockBuffer filtered_;                // a batch
  std::set<std::uint64_t> rotten_;      // numbers of files
  std::uint64_t collected_at_ = ~0ULL;  // change of marks and files
  std::uint64_t planned_at_ = ~0ULL;
  std::optional<std::uint64_t> leaving_;  // number of the file that is being given up
  std::set<std::uint64_t> surplus_;       // numbers of files that were too many
};

}  // namespace millrace::storage

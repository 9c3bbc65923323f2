// ShardSurvey: everything that is to be found in the folder of one shard, and all that is not as it
// was written. Changes nothing: what a start would write stays in an OverlayDisk.
// Core:  none, the node is down; blocks, allocates.
//
// The journal is read as a start reads it, by Log::open; segment files block by block and batch by
// batch. An offset is missing when no segment covers it, or bytes of the one that does are no batch
// any more.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/ids.h"
#include "storage/disk.h"
#include "storage/segment_store.h"
#include "storage/superblock.h"
#include "storage/tool/overlay_disk.h"

namespace millrace::storage {

struct ShardIdentity {
  base::ShardId shard{};
  std::uint64_t cluster_id = 0;
};

struct Finding {
  enum class Kind : std::uint8_t {
    copy,     // one of several copies is bad; a good one is there
    rot,      // bytes are not as they were written; which records that costs is a `lost` of its own
    lost,     // offsets of a partition that no intact batch holds
    unknown,  // journal bytes that may have been of any partition
    unusable,  // a file, or the whole journal
  };
  Kind kind = Kind::rot;
  std::string place;
  std::string what;
  std::optional<base::PartitionId> partition{};
  base::Offset first_offset = 0;
  base::Offset last_offset = 0;
};

// Intact batches with nothing between them.
struct BatchRun {
  FileId file{};  // of the overlay
  std::uint64_t position = 0;
  std::uint64_t bytes = 0;
  base::Offset first_offset = 0;
  base::Offset end_offset = 0;
};

// first to end, the end not included
struct OffsetSpan {
  base::Offset first = 0;
  base::Offset end = 0;
  auto operator<=>(const OffsetSpan&) const = default;
};

struct PartitionSurvey {
  base::Offset log_start = 0;
  base::Offset log_end = 0;
  bool refuses_appends = false;
  std::vector<BatchRun> runs;       // by first offset; no offset twice
  std::vector<OffsetSpan> held;     // by segments and intact batches of the journal
  std::vector<OffsetSpan> damaged;  // of what is held
  std::vector<OffsetSpan> missing;  // from log_start to log_end, rising
};

struct SegmentPlace {
  std::uint64_t file_number = 0;
  std::uint32_t partition = 0;
  base::Offset first_offset = 0;
  bool operator==(const SegmentPlace&) const = default;
};

struct ShardSurvey {
  ShardIdentity identity;
  std::optional<Superblock> superblock;  // as it was before this start
  base::Position journal_end = 0;
  bool is_journal_damaged = false;
  std::uint64_t segment_bytes = 0;
  std::vector<SegmentFileHeader> files;
  std::vector<SegmentPlace> rotten;  // segments in whose bytes something is damaged
  std::vector<std::string> broken;   // names of files that belong to nobody any more
  std::map<std::uint32_t, PartitionSurvey> partitions;
  std::vector<BatchRun> unassigned;  // of broken files; nobody knows whose
  std::vector<Finding> findings;

  bool is_sound() const { return findings.empty(); }
  bool loses() const;
};

// bytes done and bytes in all
using OnProgress = std::function<void(std::uint64_t, std::uint64_t)>;

// Error: it could not look at all. The overlay is left as a start leaves the folder.
base::Result<ShardSurvey> survey_shard(OverlayDisk& disk, const ShardIdentity& identity,
                                       const OnProgress& on_progress);

// As a start has them, from what the superblock says.
struct LogOptions;
LogOptions log_options_of(const Superblock& superblock);

}  // namespace millrace::storage

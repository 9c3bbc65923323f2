// Salvage: every intact batch that a survey found, copied into plain files: of each partition one,
// its batches back to back by offset.
// Core:  none; blocks, allocates.
#pragma once

#include <string>
#include <vector>

#include "dataplane/base/result.h"
#include "storage/tool/shard_survey.h"

namespace millrace::storage {

struct SalvagedPartition {
  std::uint32_t partition = 0;
  std::string file;
  std::uint64_t bytes = 0;
  std::vector<OffsetSpan> there;
  std::vector<OffsetSpan> missing;
};

struct Salvaged {
  std::vector<SalvagedPartition> partitions;
  std::string unassigned_file;  // batches that nobody knows the partition of; empty: none
  std::uint64_t unassigned_bytes = 0;
};

// The folder is there; files of the same names in it are an error.
base::Result<Salvaged> salvage_shard(OverlayDisk& disk, const ShardSurvey& survey,
                                     const std::string& folder);

}  // namespace millrace::storage

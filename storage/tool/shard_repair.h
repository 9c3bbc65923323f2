// ShardRepair: what is done to the folder of a shard that a survey found damaged.
// Core:  none, the node is down; blocks, allocates.
#pragma once

#include "dataplane/base/result.h"
#include "storage/disk.h"
#include "storage/tool/shard_survey.h"

namespace millrace::storage {

// Writes each bad copy of superblock, header and meta again, from a good one. Touches no good one.
base::Result<void> repair_copies(Disk& disk, const ShardIdentity& identity);

// From here on what is missing is missed by nobody: partitions take appends again, and readers pass
// over the gaps as over what was compacted away.
//   1  a damaged journal is sorted into segments, as the node would do
//   2  one new segment file: segments, as if they were compacted by key, cover what is missing and
//      take the place of those with damaged bytes, whose intact batches they hold. In its meta no
//      partition is damaged. It is there whole or not at all, and it is the decision.
//   3  files without any sound meta are renamed to lost-NAME
// Run again after a crash it goes on.
base::Result<void> accept_loss(Disk& disk, const ShardSurvey& survey);

}  // namespace millrace::storage

// SegmentHarm: what goes bad at rest in the segment files of a node, and what the node may
// therefore refuse to hand out.
//
// Of a file either data goes bad, and then just the batches that were hit are lost; or what finds
// the data, of which the other copy stays good, and then nothing is.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/ids.h"
#include "storage/segment.h"
#include "tests/sim/checker.h"
#include "tests/sim/faults.h"
#include "tests/sim/random.h"
#include "tests/support/faulty_disk.h"

namespace millrace::sim {

class SegmentHarm {
 public:
  SegmentHarm(Random& random, FaultCounts& faults, Checker& checker)
      : random_(random), faults_(faults), checker_(checker) {}

  // One place in one of the shard's files, if it has any.
  void harm(testing::FaultyDisk& disk, std::uint64_t cluster_id, base::ShardId shard);

 private:
  // A file as it was before it was harmed.
  struct Victim {
    storage::SegmentFileHeader header;
    storage::SegmentMeta meta;
    std::vector<std::byte> bytes;
    bool data = false;
    std::uint32_t bad_header = 0;  // which of the two copies
    std::uint32_t bad_meta = 0;
  };
  struct Place {
    std::uint64_t at = 0;
    std::uint64_t bytes = 0;
  };
  using FileKey = std::pair<base::ShardId, std::string>;

  // Null: it is no longer what it was when it was harmed first.
  Victim* find(testing::FaultyDisk& disk, std::uint32_t seed, const FileKey& key);
  Place choose(const Victim& victim);
  Place choose_data(const Victim& victim);
  Place spoil(testing::FaultyDisk& disk, const std::string& name, const Victim& victim,
              const Place& place);
  void excuse(const Victim& victim, const Place& place);
  void excuse(const Victim& victim, const storage::SegmentEntry& segment, const Place& place);

  Random& random_;
  FaultCounts& faults_;
  Checker& checker_;
  std::map<FileKey, Victim> victims_;
};

}  // namespace millrace::sim

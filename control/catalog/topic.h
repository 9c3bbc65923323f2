// Topic: what the catalog knows about one, and the rules for its name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "dataplane/base/ids.h"
#include "dataplane/base/result.h"
#include "dataplane/link/region.h"

namespace millrace::control {

inline constexpr std::uint32_t partitions_per_topic_max = 10'000;
inline constexpr std::uint32_t partitions_total_max = link::partitions_max;

// How long and how much of each partition is kept; -1: for ever, and all.
struct Retention {
  std::int64_t ms = -1;
  std::int64_t bytes = -1;
  // Of each key only the last record is kept, and one without a value only so long; -1: all are.
  std::int64_t tombstones_ms = -1;
  bool operator==(const Retention&) const = default;
};

struct Topic {
  base::TopicId id{};
  std::string name;
  base::PartitionId first_partition{};  // the others follow it
  std::uint32_t partition_count = 0;
  bool durable = true;
  std::int64_t created_ms = 0;  // since 1970, UTC
  Retention retention = {};
};

// Kafka's rules: 1 to 249 characters of a-z A-Z 0-9 . _ -, and neither "." nor "..".
// (org.apache.kafka.common.internals.Topic)
base::Result<void> check_topic_name(std::string_view name);

}  // namespace millrace::control

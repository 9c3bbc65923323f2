// Node metrics: the region's counters as Prometheus text. Low cardinality: labels are port, core,
// shard and the closed lists of deliveries and drop reasons; nothing per topic, partition or peer.
#pragma once

#include <string>

#include "dataplane/link/region.h"

namespace millrace::control {

struct NodeGauges {
  bool is_ready = false;
  std::uint64_t topics = 0;
};

std::string node_metrics(const link::Region& region, const NodeGauges& gauges);

}  // namespace millrace::control

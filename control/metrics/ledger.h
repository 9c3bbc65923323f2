// Ledger: packets in against packets delivered and dropped, over all ports.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/base/drop_reason.h"
#include "dataplane/link/region.h"

namespace millrace::control {

struct Ledger {
  std::uint64_t received = 0;
  std::uint64_t delivered_total = 0;
  std::uint64_t dropped_total = 0;
  std::array<std::uint64_t, base::delivery_count> delivered{};
  std::array<std::uint64_t, base::drop_reason_count> dropped{};

  // 0 but for packets that were in flight through a turn while the counters were read.
  std::int64_t balance() const {
    return static_cast<std::int64_t>(received - delivered_total - dropped_total);
  }
};

// Reads again, a bounded number of times, as long as traffic moves between the readings.
Ledger read_ledger(const link::Region& region);

std::uint32_t port_count(const link::Region& region);
std::uint32_t core_count(const link::Region& region);
std::uint32_t shard_count(const link::Region& region);

}  // namespace millrace::control

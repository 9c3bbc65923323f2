// NullDriver: answers and delivers at once, so that the generator's own limit is known.
#pragma once

#include <vector>

#include "perf/loadgen/drivers/driver.h"

namespace millrace::loadgen {

class NullDriver final : public Driver {
 public:
  base::Result<void> prepare(const Workload& workload) override;
  bool offer(std::uint64_t number, std::span<const std::byte> payload) override;
  base::Result<void> poll(Events& events) override;
  bool is_queue() const override { return true; }

 private:
  bool consumes_ = true;
  std::uint32_t payload_bytes_ = 0;
  std::vector<std::byte> held_;  // payloads of what was offered since the last poll
  std::uint64_t first_ = 0;
  std::uint64_t end_ = 0;
};

}  // namespace millrace::loadgen

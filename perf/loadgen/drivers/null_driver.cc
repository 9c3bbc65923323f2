#include "perf/loadgen/drivers/null_driver.h"

namespace millrace::loadgen {

base::Result<void> NullDriver::prepare(const Workload& workload) {
  consumes_ = workload.consumes;
  return {};
}

bool NullDriver::offer(std::uint64_t number, std::span<const std::byte> payload) {
  payload_bytes_ = static_cast<std::uint32_t>(payload.size());
  held_.insert(held_.end(), payload.begin(), payload.end());
  end_ = number + 1;
  return true;
}

base::Result<void> NullDriver::poll(Events& events) {
  const std::span<const std::byte> held(held_);
  for (std::uint64_t i = 0; first_ != end_; ++first_, ++i) {
    events.acknowledged(first_);
    if (consumes_) events.delivered(0, held.subspan(i * payload_bytes_, payload_bytes_));
  }
  held_.clear();
  return {};
}

}  // namespace millrace::loadgen

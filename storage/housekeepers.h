// Housekeepers: threads of oneTBB that work beside the housekeeping thread, and never on a data
// core.
// Core:  of those that are left; pinned to them through hwloc.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "storage/background.h"

namespace millrace::storage {

class Housekeepers final : public Background {
 public:
  // data_cpus: not to be used. Where nothing else is left, or none are named, any processor is.
  explicit Housekeepers(const std::vector<std::uint32_t>& data_cpus);
  ~Housekeepers() override;
  Housekeepers(const Housekeepers&) = delete;
  Housekeepers& operator=(const Housekeepers&) = delete;

  void run(std::function<void()> job) override;
  void wait() override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace millrace::storage

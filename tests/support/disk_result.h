// DiskResult: what a disk says of asynchronous operations, in the order it says it.
#pragma once

#include <cstdint>
#include <vector>

#include "storage/disk.h"

namespace millrace::testing {

struct DiskResult final : storage::DiskHandler {
  void on_disk(std::uint64_t token, std::int32_t result) override {
    tokens.push_back(token);
    results.push_back(result);
  }
  std::vector<std::uint64_t> tokens;
  std::vector<std::int32_t> results;
};

}  // namespace millrace::testing

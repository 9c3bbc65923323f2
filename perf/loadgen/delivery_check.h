// DeliveryCheck: whether each message of a run came once, and in order within its source.
#pragma once

#include <cstdint>
#include <vector>

namespace millrace::loadgen {

class DeliveryCheck {
 public:
  // False for one that had come before.
  bool add(std::uint32_t source, std::uint64_t number);
  std::uint64_t delivered() const { return delivered_; }  // each counted once
  std::uint64_t duplicated() const { return duplicated_; }
  std::uint64_t reordered() const { return reordered_; }

 private:
  std::vector<bool> seen_;
  std::vector<std::uint64_t> next_;  // by source
  std::uint64_t delivered_ = 0;
  std::uint64_t duplicated_ = 0;
  std::uint64_t reordered_ = 0;
};

}  // namespace millrace::loadgen

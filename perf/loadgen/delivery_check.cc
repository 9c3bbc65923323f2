#include "perf/loadgen/delivery_check.h"

#include <algorithm>

namespace millrace::loadgen {

bool DeliveryCheck::add(std::uint32_t source, std::uint64_t number) {
  if (number >= seen_.size()) seen_.resize(std::max<std::uint64_t>(number + 1, 2 * seen_.size()));
  if (seen_[number]) {
    ++duplicated_;
    return false;
  }
  seen_[number] = true;
  ++delivered_;
  if (source >= next_.size()) next_.resize(source + 1);
  if (number < next_[source]) ++reordered_;
  next_[source] = std::max(next_[source], number + 1);
  return true;
}

}  // namespace millrace::loadgen

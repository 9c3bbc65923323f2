#include "dataplane/base/histogram.h"

#include <algorithm>

namespace millrace::base {

void Histogram::merge(const Histogram& other) {
  for (std::uint32_t i = 0; i < bucket_count; ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  max_ = std::max(max_, other.max_);
  min_ = std::min(min_, other.min_);
}

std::uint64_t Histogram::quantile(double share) const {
  if (count_ == 0) return 0;
  const auto rank = std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(share * static_cast<double>(count_) + 0.999999));
  std::uint64_t seen = 0;
  for (std::uint32_t i = 0; i < bucket_count; ++i) {
    seen += counts_[i];
    if (seen >= rank) return std::min(highest_in_bucket(i), max_);
  }
  return max_;
}

}  // namespace millrace::base

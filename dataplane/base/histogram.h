// Histogram: log-linear, 32 sub-buckets an octave, so a value is known to 3.2 %.
// Values are unsigned and unitless; name the unit where you hold one. 15 KiB; recording is a few
// instructions.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace millrace::base {

class Histogram {
 public:
  static constexpr std::uint32_t sub_bucket_bits = 5;
  static constexpr std::uint32_t sub_buckets = 1U << sub_bucket_bits;
  static constexpr std::uint32_t bucket_count = (64 - sub_bucket_bits + 1) * sub_buckets;

  void record(std::uint64_t value) {
    ++counts_[bucket_of(value)];
    ++count_;
    sum_ += value;
    if (value > max_) max_ = value;
    if (value < min_) min_ = value;
  }

  void merge(const Histogram& other);
  void clear() { *this = Histogram(); }

  // The highest value of the bucket in which the given share (0..1) of all values is reached, never
  // over max().
  std::uint64_t quantile(double share) const;

  std::uint64_t count() const { return count_; }
  std::uint64_t count_in_bucket(std::uint32_t bucket) const { return counts_[bucket]; }
  std::uint64_t min() const { return count_ == 0 ? 0 : min_; }
  std::uint64_t max() const { return max_; }
  double mean() const {
    return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_);
  }

  static constexpr std::uint32_t bucket_of(std::uint64_t value) {
    if (value < sub_buckets) return static_cast<std::uint32_t>(value);
    const auto octave =
        static_cast<std::uint32_t>(std::bit_width(value)) - sub_bucket_bits;  // from 1
    const auto sub = static_cast<std::uint32_t>(value >> (octave - 1)) & (sub_buckets - 1);
    return octave * sub_buckets + sub;
  }
  static constexpr std::uint64_t highest_in_bucket(std::uint32_t bucket) {
    if (bucket < sub_buckets) return bucket;
    const std::uint32_t octave = bucket / sub_buckets;
    const std::uint64_t lowest = static_cast<std::uint64_t>(sub_buckets + bucket % sub_buckets)
                                 << (octave - 1);
    return lowest + ((1ULL << (octave - 1)) - 1);
  }

 private:
  std::array<std::uint64_t, bucket_count> counts_{};
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t max_ = 0;
  std::uint64_t min_ = ~0ULL;
};

}  // namespace millrace::base

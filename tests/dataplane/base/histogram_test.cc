#include "dataplane/base/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

namespace millrace::base {
namespace {

// Values of every magnitude: a random count of bits, then random bits.
std::uint64_t any_magnitude(std::mt19937_64& random) { return random() >> (random() % 64); }

TEST(Histogram, buckets_follow_each_other_without_gap_or_overlap) {
  for (std::uint32_t bucket = 0; bucket < Histogram::bucket_count; ++bucket) {
    const std::uint64_t highest = Histogram::highest_in_bucket(bucket);
    ASSERT_EQ(Histogram::bucket_of(highest), bucket);
    if (bucket + 1 < Histogram::bucket_count) {
      ASSERT_EQ(Histogram::bucket_of(highest + 1), bucket + 1);
    } else {
      ASSERT_EQ(highest, ~0ULL);
    }
  }
}

TEST(Histogram, a_value_is_known_to_one_part_in_thirty_two) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t value = any_magnitude(random);
    const std::uint64_t known_as = Histogram::highest_in_bucket(Histogram::bucket_of(value));
    ASSERT_GE(known_as, value);
    ASSERT_LE(known_as - value, value / 32) << value;
  }
}

TEST(Histogram, quantiles_match_the_sorted_values_to_the_promised_accuracy) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    std::mt19937_64 random(seed);
    std::vector<std::uint64_t> values(1 + random() % 3000);
    const auto histogram = std::make_unique<Histogram>();
    for (auto& value : values) {
      value = any_magnitude(random);
      histogram->record(value);
    }
    std::sort(values.begin(), values.end());
    for (const double share : {0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0}) {
      const auto rank = std::ceil(share * static_cast<double>(values.size()) - 1e-6);
      const std::uint64_t exact = values[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
      const std::uint64_t quantile = histogram->quantile(share);
      ASSERT_GE(quantile, exact) << "seed " << seed << " share " << share;
      ASSERT_LE(quantile - exact, exact / 32) << "seed " << seed << " share " << share;
    }
    EXPECT_EQ(histogram->min(), values.front());
    EXPECT_EQ(histogram->max(), values.back());
    EXPECT_EQ(histogram->count(), values.size());
  }
}

TEST(Histogram, an_empty_one_answers_zero) {
  const Histogram histogram;
  EXPECT_EQ(histogram.quantile(0.5), 0U);
  EXPECT_EQ(histogram.min(), 0U);
  EXPECT_EQ(histogram.max(), 0U);
  EXPECT_EQ(histogram.mean(), 0.0);
}

TEST(Histogram, no_quantile_is_over_the_maximum) {
  Histogram histogram;
  histogram.record(1'000'000'007);
  EXPECT_EQ(histogram.quantile(0.5), 1'000'000'007U);
  EXPECT_EQ(histogram.quantile(1.0), 1'000'000'007U);
}

TEST(Histogram, merging_equals_recording_everything_in_one) {
  Histogram whole;
  Histogram left;
  Histogram right;
  std::mt19937_64 random(9);
  for (int i = 0; i < 5000; ++i) {
    const std::uint64_t value = random() % 1'000'000;
    whole.record(value);
    (random() % 3 == 0 ? left : right).record(value);
  }
  left.merge(right);
  for (const double share : {0.1, 0.5, 0.99}) {
    EXPECT_EQ(left.quantile(share), whole.quantile(share));
  }
  EXPECT_EQ(left.count(), whole.count());
  EXPECT_EQ(left.min(), whole.min());
  EXPECT_EQ(left.max(), whole.max());
  EXPECT_EQ(left.mean(), whole.mean());
}

TEST(Histogram, clearing_forgets_everything) {
  Histogram histogram;
  histogram.record(5);
  histogram.clear();
  EXPECT_EQ(histogram.count(), 0U);
  EXPECT_EQ(histogram.quantile(1.0), 0U);
  histogram.record(3);
  EXPECT_EQ(histogram.max(), 3U);
}

}  // namespace
}  // namespace millrace::base

// Measured: what one or several rounds of one thing gave; rounds are merged.
#pragma once

#include <cstdint>

#include "dataplane/base/histogram.h"
#include "dataplane/base/units.h"

namespace millrace::bench {

struct Measured {
  base::Histogram latency_ns;
  std::uint64_t count = 0;  // records, frames or writes
  std::uint64_t bytes = 0;  // of record values, of frames, or written
  std::uint64_t elapsed_ns = 0;

  void merge(const Measured& other) {
    latency_ns.merge(other.latency_ns);
    count += other.count;
    bytes += other.bytes;
    elapsed_ns += other.elapsed_ns;
  }
  double count_per_s() const { return per_s(count); }
  double bytes_per_s() const { return per_s(bytes); }

 private:
  double per_s(std::uint64_t what) const {
    if (elapsed_ns == 0) return 0;
    return static_cast<double>(what) * static_cast<double>(base::second_ns) /
           static_cast<double>(elapsed_ns);
  }
};

}  // namespace millrace::bench

// Numbers, sizes and durations as people write them. Units are required, so that 30 is never
// seconds here and milliseconds there.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "dataplane/base/result.h"

namespace millrace::control {

// "4096B", "64KiB", "512MiB", "1GiB", "2TiB": whole numbers of powers of 1024.
base::Result<std::uint64_t> parse_bytes(std::string_view text);

// "250us", "100ms", "30s", "5m", "1h", "7d" in nanoseconds.
base::Result<std::uint64_t> parse_duration_ns(std::string_view text);

// Decimal digits and nothing else, at most `max`.
base::Result<std::uint64_t> parse_whole(std::string_view text, std::uint64_t max);

// "0" or "0,2,3": indices of processors, each once.
base::Result<std::vector<std::uint32_t>> parse_cores(std::string_view text);

}  // namespace millrace::control

#include "dataplane/base/progress.h"

#include <fmt/format.h>

#include <algorithm>

#include "dataplane/base/units.h"

namespace millrace::base {

std::optional<std::string> Progress::line(std::uint64_t now_ns, std::uint64_t bytes_done,
                                          std::uint64_t bytes_total) {
  if (!has_begun_ || bytes_done < began_at_) {
    has_begun_ = true;
    began_ns_ = said_ns_ = now_ns;
    began_at_ = bytes_done;
    return {};
  }
  if (now_ns < said_ns_ + interval_ns_) return {};
  said_ns_ = now_ns;
  constexpr double second_ns = 1e9;
  const double seconds = static_cast<double>(now_ns - began_ns_) / second_ns;
  const double rate = static_cast<double>(bytes_done - began_at_) / seconds;
  const std::uint64_t left = bytes_total - std::min(bytes_total, bytes_done);
  const std::string when =
      rate >= 1 ? fmt::format(", {:.0f} s left", static_cast<double>(left) / rate) : "";
  return fmt::format("{} of {} MiB, {:.0f} MiB/s{}", bytes_done / mib, bytes_total / mib,
                     rate / static_cast<double>(mib), when);
}

}  // namespace millrace::base

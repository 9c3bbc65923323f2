// Progress: see progress.h.
#include "perf/bench/progress.h"

#include <fmt/format.h>

#include "control/cli/node_client.h"
#include "dataplane/base/units.h"

namespace millrace::bench {

Progress::Progress() : said_ns_(cli::clock_ns()) {}

void Progress::step(std::string_view what) {
  const std::uint64_t now_ns = cli::clock_ns();
  if (now_ns - said_ns_ < base::second_ns) return;
  said_ns_ = now_ns;
  fmt::print(stderr, "millrace: {}\n", what);
}

}  // namespace millrace::bench

// millraced: the data plane. Started by `millrace up` or by hand; see dataplane/README.md.
#include <cstdio>

#include "dataplane/core/launch.h"

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  auto options = millrace::core::parse_options(arguments);
  if (!options) {
    fmt::print(stderr, "millraced: {}\n", options.error().message());
    return 2;
  }
  return millrace::core::run_node(*options);
}

// run_main: what main() of a command does: runs it, and says what it threw.
#pragma once

#include <cstdio>
#include <exception>

namespace millrace::testing {

template <typename Run>
int run_main(Run run, int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    static_cast<void>(std::fputs(error.what(), stderr));
    return 1;
  }
}

}  // namespace millrace::testing

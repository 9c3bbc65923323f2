// A millraced for the tests of `up`: takes its flags, says ready, applies mailboxes, stops on
// SIGTERM. FAKE_MILLRACED=fail makes it end with an error, =die by a signal, =stuck ignores
// SIGTERM.
#include <fmt/format.h>
#include <signal.h>

#include <cstdlib>
#include <string_view>
#include <vector>

#include "dataplane/link/region_file.h"
#include "tests/control/fake_data_plane.h"

int main(int argc, char** argv) {
  const std::vector<std::string_view> arguments(argv + 1, argv + argc);
  std::string link_path;
  for (std::size_t i = 0; i + 1 < arguments.size(); ++i) {
    if (arguments[i] == "--link") link_path = arguments[i + 1];
  }
  const char* mode_text = std::getenv("FAKE_MILLRACED");
  const std::string_view mode = mode_text == nullptr ? "" : mode_text;
  if (mode == "fail") {
    fmt::print(stderr, "millraced: the fake was told to fail\n");
    return 1;
  }
  if (mode == "die") raise(SIGKILL);

  sigset_t stop_signals;
  sigemptyset(&stop_signals);
  sigaddset(&stop_signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &stop_signals, nullptr);
  auto mapping = millrace::link::RegionFile::open_or_create(link_path);
  if (!mapping) return 1;
  millrace::control::FakeDataPlane plane(mapping->region());
  plane.start(static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch() /
                                         std::chrono::nanoseconds(1)));
  const timespec turn_time{0, 1'000'000};
  while (sigtimedwait(&stop_signals, nullptr, &turn_time) < 0 || mode == "stuck") plane.turn();
  return 0;
}

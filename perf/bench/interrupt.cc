// Interrupt: see interrupt.h.
#include "perf/bench/interrupt.h"

#include <signal.h>

#include <initializer_list>

namespace millrace::bench {
namespace {

volatile sig_atomic_t was_interrupted = 0;

void on_signal(int) { was_interrupted = 1; }

}  // namespace

void watch_for_interrupt() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaction(number, &action, nullptr);
}

bool interrupted() { return was_interrupted != 0; }

}  // namespace millrace::bench

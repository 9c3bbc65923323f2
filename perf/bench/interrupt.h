// Interrupt: Ctrl-C and its like end a measurement in order, so that nothing is left behind.
#pragma once

namespace millrace::bench {

void watch_for_interrupt();
bool interrupted();

}  // namespace millrace::bench

// BurstGate: keeps a data core out of a device's queues while DPDK's interrupt thread may free
// them. Core:  one data core enters; EAL's interrupt thread holds. Owns:  two words, one written by
// each side.
//
// net_memif unmaps its rings on the interrupt thread when the peer vanishes, in the middle of
// whatever burst a core is doing. So while that thread works (it runs only when a peer comes or
// goes) every gate is held: a core that finds it held does no burst and goes on with its turn, and
// the thread does not start before a core that is inside has left.
//
// The core's side must cost nothing, so the fence between "I am inside" and "is it held" is paid by
// the interrupt thread: membarrier(2) makes every core of this process pass one.
#pragma once

#include <cstdint>

#include "dataplane/base/counter.h"

namespace millrace::port {

class BurstGate {
 public:
  BurstGate();   // held until the device runs
  ~BurstGate();  // leaves the list that the interrupt thread goes through
  BurstGate(const BurstGate&) = delete;
  BurstGate& operator=(const BurstGate&) = delete;

  // The data core, around each burst. False: keep out, and do not call leave().
  bool enter() {
    inside_.set(1);
    asm volatile("" ::: "memory");  // the compiler keeps the order; membarrier makes the CPU
    if (held_.get() != 0) [[unlikely]] {
      inside_.set(0);
      return false;
    }
    return true;
  }
  void leave() { inside_.set(0); }

  // Whether bursts are allowed while nothing holds the gate. Only on the interrupt thread
  // (run_on_interrupt_thread), or before a core uses the gate.
  void set_running(bool running) { running_ = running; }
  bool running() const { return running_; }

  // The interrupt thread, before and after it handles events. on_idle is called before it waits
  // again, with the gates still held.
  static bool install();  // after rte_eal_init; false when its calls cannot be intercepted
  static void call_when_idle(void (*on_idle)());
  static void hold_all();
  static void let_go_all();

 private:
  alignas(64) base::Counter inside_;  // written by the data core
  alignas(64) base::Counter held_;    // written by the interrupt thread
  bool running_ = false;
};

// Runs `task(argument)` on EAL's interrupt thread, with all gates held, and waits for it. There
// alone may a memif device be started, stopped or closed: its handlers run there too.
void run_on_interrupt_thread(void (*task)(void*), void* argument);

}  // namespace millrace::port

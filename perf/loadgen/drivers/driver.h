// Driver: one messaging system as a producer and a consumer see it, both on the calling thread.
//
//   prepare ──▶ offer, poll, offer, poll ... ──▶ destroyed
//
// What a system acknowledges is told by message number, what it delivers with the payload as it
// came. A driver neither times nor counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/base/result.h"
#include "perf/loadgen/drivers/workload.h"

namespace millrace::loadgen {

// Who is told.
class Events {
 public:
  virtual ~Events() = default;
  // The system has answered for this message as its configuration promises.
  virtual void acknowledged(std::uint64_t number) = 0;
  // source: partition, key or connection within which order is kept.
  virtual void delivered(std::uint32_t source, std::span<const std::byte> payload) = 0;
};

class Driver {
 public:
  virtual ~Driver() = default;
  // Creates what the workload needs, connects both sides, and returns when a message that is
  // offered would be delivered.
  virtual base::Result<void> prepare(const Workload& workload) = 0;
  // False: it takes no more at present; nothing was taken. Numbers rise by one.
  virtual bool offer(std::uint64_t number, std::span<const std::byte> payload) = 0;
  // Sends what was taken and tells what came; never waits.
  virtual base::Result<void> poll(Events& events) = 0;
  // False: publishing is one way, and only what is delivered is known.
  virtual bool acknowledges() const { return true; }
  // After a poll that brought nothing others may have the processor. False where nobody waits for
  // it: both ends share memory, and nothing is answered that has to be on a device.
  virtual bool yields() const { return true; }
  // Each message goes to one of the subscribers; else to each of them.
  virtual bool is_queue() const { return false; }
};

}  // namespace millrace::loadgen

// RingFloor: what two cores of this machine can do: a word through one SpscRing and back through
// another.
// Thread: the main one, and one of its own on the node's processor.
#pragma once

#include <memory>
#include <thread>

#include "dataplane/base/clock.h"
#include "dataplane/ring/spsc_ring.h"
#include "perf/bench/subject.h"

namespace millrace::bench {

class RingFloor final : public Subject {
 public:
  explicit RingFloor(int echo_cpu);
  ~RingFloor() override;
  RingFloor(const RingFloor&) = delete;
  RingFloor& operator=(const RingFloor&) = delete;

  base::Result<void> measure(std::uint64_t count, Measured& into) override;

 private:
  using Ring = ring::SpscRing<std::uint64_t, 1024>;
  struct Rings {
    Ring there;
    Ring back;
  };

  void echo(int cpu);
  void pass(std::uint64_t word);

  std::unique_ptr<Rings> rings_ = std::make_unique<Rings>();
  base::SystemClock clock_;
  std::thread thread_;
};

}  // namespace millrace::bench

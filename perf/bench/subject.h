// Subject: one thing that is measured in rounds: the node, or a floor.
// Thread: the main one.
//
// Of several subjects only one is awake at a time: all want the same processors, and a core that
// never sleeps would take them from the others.
#pragma once

#include <cstdint>

#include "dataplane/base/result.h"
#include "perf/bench/measured.h"

namespace millrace::bench {

class Subject {
 public:
  virtual ~Subject() = default;
  virtual void wake() {}
  virtual void rest() {}
  // Awake. Does `count` operations after a few that are not counted, and adds to `into`.
  virtual base::Result<void> measure(std::uint64_t count, Measured& into) = 0;
};

}  // namespace millrace::bench

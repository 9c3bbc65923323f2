// Background: one job at a time beside whoever has it: the next bytes are read, or the last ones
// written, while these are worked on.
// Core:  start-up and housekeeping.
#pragma once

#include <functional>

namespace millrace::storage {

class Background {
 public:
  virtual ~Background() = default;
  // The job before has been waited for.
  virtual void run(std::function<void()> job) = 0;
  virtual void wait() = 0;
};

// At once, in the caller's thread: where every run is to be the same.
class InlineBackground final : public Background {
 public:
  void run(std::function<void()> job) override { job(); }
  void wait() override {}
};

inline InlineBackground inline_background;

}  // namespace millrace::storage

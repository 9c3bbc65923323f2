// Supervisor: keeps a few children running, and stops them together.
// Thread: the main one; blocks SIGINT, SIGTERM, SIGHUP and SIGCHLD and reads them from a
// descriptor.
//
// A child that ends is started again, after 100 ms at first and twice as long each time, up to 5 s.
// Five ends within 10 s are given up on; so is a child that exits with an error of its own before
// the node was ever ready, since it has just said what to change.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "control/cli/child.h"
#include "dataplane/base/result.h"

namespace millrace::cli {

class Supervisor {
 public:
  static base::Result<Supervisor> start(std::vector<Child> children);
  Supervisor(Supervisor&& other) noexcept;
  Supervisor& operator=(Supervisor&&) = delete;
  ~Supervisor();

  enum class Outcome : std::uint8_t { running, stop_asked, gave_up };
  // Waits at most this long for something to happen, and deals with it.
  Outcome turn(std::chrono::milliseconds wait);
  void node_became_ready() { was_ready_ = true; }

  // SIGTERM to all, SIGKILL to those still there after the wait or at a second Ctrl-C. True when
  // none had to be killed.
  bool stop(std::chrono::milliseconds wait);

  pid_t pid_of(std::string_view name) const;  // -1 while it does not run
  const std::string& last_error() const { return last_error_; }

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Watched {
    Child child;
    std::deque<Time> ends{};  // the last few
    std::chrono::milliseconds pause{100};
    Time started{};
    Time start_at{};  // when it is not running
  };

  Supervisor(std::vector<Child> children, int signal_fd);
  void wait_for_news(std::chrono::milliseconds wait);
  bool take_stop_signal();
  bool on_end(Watched& watched, int exit_status);
  bool start_child(Watched& watched);

  std::vector<Watched> watched_;
  int signal_fd_ = -1;
  bool was_ready_ = false;
  std::string last_error_;
};

}  // namespace millrace::cli

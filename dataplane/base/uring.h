// Uring: one io_uring, used by one thread: the only place where a data core makes a system call.
// Core:  the one that created it; a port and a journal on the same core share it.
//
// Each user is registered as a handler and gets its completions back with the token it gave.
// Completions are delivered by reap() and wait(), never from inside another call.
#pragma once

#include <liburing.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/base/result.h"

namespace millrace::base {

class CompletionHandler {
 public:
  // token: what was given to prepare(); result: the operation's, negative errno on failure; flags:
  // cqe flags.
  virtual void on_completion(std::uint64_t token, std::int32_t result, std::uint32_t flags) = 0;

 protected:
  ~CompletionHandler() = default;
};

class Uring {
 public:
  static constexpr std::uint64_t token_max = (1ULL << 56) - 1;

  // The error names the fix where the kernel forbids io_uring or lacks a feature (6.1 is the oldest
  // that works).
  static Result<std::unique_ptr<Uring>> create(std::uint32_t entries);
  ~Uring();
  Uring(const Uring&) = delete;
  Uring& operator=(const Uring&) = delete;

  std::uint8_t add_handler(CompletionHandler* handler);

  // An entry to fill with io_uring_prep_*; its user data is set by tag() afterwards. Never null: a
  // full submission queue is submitted first.
  io_uring_sqe* prepare();
  static void tag(io_uring_sqe* sqe, std::uint8_t handler, std::uint64_t token) {
    DCHECK(token <= token_max);
    io_uring_sqe_set_data64(sqe, (static_cast<std::uint64_t>(handler) << 56) | token);
  }

  // Hands prepared entries to the kernel; no system call when there are none.
  void submit();
  // Delivers completions that are there, at most `max`; enters the kernel only when it has work for
  // this thread. Returns how many were delivered.
  std::uint32_t reap(std::uint32_t max);
  // Whether reap() would find something, or has work to do that may bring it about.
  bool has_completions() const {
    return (IO_URING_READ_ONCE(*ring_.sq.kflags) & wants_entry) != 0 ||
           io_uring_cq_ready(&ring_) != 0;
  }
  // Submits, then blocks until a completion comes or timeout_ns has passed, then reaps.
  std::uint32_t wait(std::uint64_t timeout_ns, std::uint32_t max);

  // The kernel completes some writes in workers that share this CPU; a core that waits for one
  // while it polls its ports lets them run. Returns at once when none is there.
  static void give_way();

  io_uring* raw() { return &ring_; }
  std::uint32_t unsubmitted() const { return io_uring_sq_ready(&ring_); }

 private:
  static constexpr unsigned wants_entry = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;

  Uring() = default;
  std::uint32_t deliver(std::uint32_t max);

  io_uring ring_{};
  bool initialised_ = false;
  std::array<CompletionHandler*, 64> handlers_{};
  std::uint8_t handler_count_ = 0;
};

}  // namespace millrace::base

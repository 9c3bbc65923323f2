#include "dataplane/base/uring.h"

#include <sched.h>

#include <cerrno>
#include <cstring>

namespace millrace::base {

Result<std::unique_ptr<Uring>> Uring::create(std::uint32_t entries) {
  std::unique_ptr<Uring> uring(new Uring());
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE;
  params.cq_entries = entries * 4;
  const int status = io_uring_queue_init_params(entries, &uring->ring_, &params);
  if (status < 0) {
    if (status == -EPERM || status == -EACCES) {
      return Error(ErrorCode::permission,
                   "io_uring is forbidden on this host ({}); set sysctl kernel.io_uring_disabled=0 "
                   "or lift the "
                   "container's seccomp rule",
                   std::strerror(-status));
    }
    if (status == -EINVAL || status == -ENOSYS) {
      return Error(ErrorCode::unavailable,
                   "this kernel's io_uring is too old ({}); Linux 6.1 or newer is needed",
                   std::strerror(-status));
    }
    return Error(ErrorCode::unavailable,
                 "io_uring with {} entries: {}; raise RLIMIT_MEMLOCK (ulimit -l)", entries,
                 std::strerror(-status));
  }
  uring->initialised_ = true;
  return uring;
}

Uring::~Uring() {
  if (initialised_) io_uring_queue_exit(&ring_);
}

std::uint8_t Uring::add_handler(CompletionHandler* handler) {
  CHECK(handler_count_ < handlers_.size());
  handlers_[handler_count_] = handler;
  return handler_count_++;
}

io_uring_sqe* Uring::prepare() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  if (sqe == nullptr) {
    submit();
    sqe = io_uring_get_sqe(&ring_);
  }
  CHECK(sqe != nullptr);
  return sqe;
}

void Uring::submit() {
  if (io_uring_sq_ready(&ring_) == 0) return;
  const int submitted = io_uring_submit(&ring_);
  // EBUSY and EAGAIN leave the entries in the queue; the next turn hands them over again.
  CHECK(submitted >= 0 || submitted == -EBUSY || submitted == -EAGAIN || submitted == -EINTR);
}

std::uint32_t Uring::reap(std::uint32_t max) {
  if ((IO_URING_READ_ONCE(*ring_.sq.kflags) & wants_entry) != 0) {
    const int status = io_uring_get_events(&ring_);
    CHECK(status >= 0 || status == -EBUSY || status == -EINTR || status == -EAGAIN);
  }
  return deliver(max);
}

std::uint32_t Uring::wait(std::uint64_t timeout_ns, std::uint32_t max) {
  io_uring_cqe* cqe = nullptr;
  __kernel_timespec timeout{static_cast<std::int64_t>(timeout_ns / 1'000'000'000),
                            static_cast<std::int64_t>(timeout_ns % 1'000'000'000)};
  const int status = io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &timeout, nullptr);
  CHECK(status >= 0 || status == -ETIME || status == -EINTR || status == -EBUSY ||
        status == -EAGAIN);
  return deliver(max);
}

void Uring::give_way() { sched_yield(); }

std::uint32_t Uring::deliver(std::uint32_t max) {
  std::uint32_t delivered = 0;
  io_uring_cqe* cqe = nullptr;
  // Looked at first: peeking into an empty queue is a call into the library.
  while (delivered < max && io_uring_cq_ready(&ring_) != 0 &&
         io_uring_peek_cqe(&ring_, &cqe) == 0) {
    const std::uint64_t data = io_uring_cqe_get_data64(cqe);
    const std::int32_t result = cqe->res;
    const std::uint32_t flags = cqe->flags;
    io_uring_cqe_seen(&ring_, cqe);
    const auto handler = static_cast<std::uint8_t>(data >> 56);
    CHECK(handler < handler_count_);
    handlers_[handler]->on_completion(data & token_max, result, flags);
    ++delivered;
  }
  return delivered;
}

}  // namespace millrace::base

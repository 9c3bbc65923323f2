#include "dataplane/port/burst_gate.h"

#include <dlfcn.h>
#include <linux/membarrier.h>
#include <rte_alarm.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "dataplane/base/check.h"

namespace millrace::port {
namespace {

constexpr std::uint32_t install_tries_max = 1000;

thread_local bool is_interrupt_thread = false;

struct Gates {
  std::mutex mutex;
  std::vector<BurstGate*> all;
  void (*on_idle)() = nullptr;
  bool intercepted = false;  // the interrupt thread has waited in our epoll_wait
  bool held = false;
};

Gates& gates() {
  static Gates* const instance = new Gates;  // the interrupt thread outlives main's statics
  return *instance;
}

struct Task {
  void (*run)(void*);
  void* argument;
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
};

void run_task(void* at) {
  auto* task = static_cast<Task*>(at);
  is_interrupt_thread = true;
  task->run(task->argument);
  const std::lock_guard lock(task->mutex);
  task->done = true;
  task->changed.notify_one();
}

}  // namespace

BurstGate::BurstGate() {
  held_.set(1);
  const std::lock_guard lock(gates().mutex);
  gates().all.push_back(this);
}

BurstGate::~BurstGate() {
  const std::lock_guard lock(gates().mutex);
  auto& all = gates().all;
  all.erase(std::remove(all.begin(), all.end(), this), all.end());
}

void BurstGate::hold_all() {
  const std::lock_guard lock(gates().mutex);
  gates().held = true;
  if (gates().all.empty()) return;
  for (BurstGate* gate : gates().all) gate->held_.set(1);
  CHECK(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0);
  // A burst takes microseconds; a core that was put off its CPU inside one comes back to it.
  for (const BurstGate* gate : gates().all) {
    while (gate->inside_.get() != 0) sched_yield();
  }
}

void BurstGate::let_go_all() {
  if (gates().on_idle != nullptr) gates().on_idle();
  const std::lock_guard lock(gates().mutex);
  gates().held = false;
  for (BurstGate* gate : gates().all) gate->held_.set(gate->running_ ? 0 : 1);
}

void BurstGate::call_when_idle(void (*on_idle)()) { gates().on_idle = on_idle; }

bool BurstGate::install() {
  CHECK(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0);
  // The drivers are loaded later and bind to what the process exports.
  if (dlsym(RTLD_DEFAULT, "sendmsg") != reinterpret_cast<void*>(&::sendmsg)) return false;
  // A task marks the thread; that a later one finds it intercepted proves that its wait between
  // them went through ours. Two tasks may run after one wait, so a few are tried.
  bool intercepted = false;
  for (std::uint32_t i = 0; i < install_tries_max && !intercepted; ++i) {
    if (i > 0) usleep(1000);
    run_on_interrupt_thread(
        [](void* into) { *static_cast<bool*>(into) = gates().intercepted && gates().held; },
        &intercepted);
  }
  return intercepted;
}

void run_on_interrupt_thread(void (*run)(void*), void* argument) {
  if (is_interrupt_thread) {
    run(argument);
    return;
  }
  Task task{.run = run, .argument = argument, .mutex = {}, .changed = {}};
  CHECK(rte_eal_alarm_set(1, run_task, &task) == 0);
  std::unique_lock lock(task.mutex);
  task.changed.wait(lock, [&] { return task.done; });
}

}  // namespace millrace::port

// EAL's interrupt thread offers no hook around the handling of its events, so its wait is ours:
// this definition comes before libc's for every library of the process. Other threads pass through.
extern "C" int epoll_wait(int epoll_fd, epoll_event* events, int events_max, int timeout_ms) {
  using millrace::port::BurstGate;
  if (!millrace::port::is_interrupt_thread) {
    return epoll_pwait(epoll_fd, events, events_max, timeout_ms, nullptr);
  }
  millrace::port::gates().intercepted = true;
  BurstGate::let_go_all();
  const int count = epoll_pwait(epoll_fd, events, events_max, timeout_ms, nullptr);
  BurstGate::hold_all();
  return count;
}

// net_memif greets a new peer before it knows it. When that fails because the peer is gone already,
// it closes the socket but leaves it registered, and EAL panics on the dead descriptor. A greeting
// into the void is called sent here: the end of file that follows is handled well.
extern "C" ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  if (!millrace::port::is_interrupt_thread) return syscall(SYS_sendmsg, fd, message, flags);
  const ssize_t sent = syscall(SYS_sendmsg, fd, message, flags | MSG_NOSIGNAL);
  const bool gone = errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN;
  if (sent >= 0 || !gone) return sent;
  ssize_t bytes = 0;
  for (std::size_t i = 0; i < message->msg_iovlen; ++i) {
    bytes += static_cast<ssize_t>(message->msg_iov[i].iov_len);
  }
  return bytes;
}

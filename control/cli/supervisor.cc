// Supervisor: see supervisor.h.
#include "control/cli/supervisor.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "control/cli/node_access.h"

namespace millrace::cli {

using base::Error;
using base::ErrorCode;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

constexpr std::size_t ends_max = 5;
constexpr auto ends_window = std::chrono::seconds(10);
constexpr milliseconds pause_min{100};
constexpr milliseconds pause_max{5000};

}  // namespace

Supervisor::Outcome Supervisor::turn(milliseconds wait) {
  wait_for_news(wait);
  // Before the ends: what stops us may have stopped the children too.
  if (take_stop_signal()) return Outcome::stop_asked;
  for (Watched& watched : watched_) {
    watched.child.forward_output();
    int exit_status = 0;
    if (watched.child.reap(exit_status) && !on_end(watched, exit_status)) return Outcome::gave_up;
    const bool is_due = !watched.child.is_running() && steady_clock::now() >= watched.start_at;
    if (is_due && !start_child(watched)) return Outcome::gave_up;
  }
  return Outcome::running;
}

// False: no use starting it again.
bool Supervisor::on_end(Watched& watched, int exit_status) {
  const auto now = steady_clock::now();
  const std::string& name = watched.child.name();
  const std::string& said = watched.child.last_line();
  last_error_ = fmt::format("{} ended with {}{}{}", name, exit_text(exit_status),
                            said.empty() ? "" : "; its last words: ", said);
  if (!was_ready_ && WIFEXITED(exit_status) && WEXITSTATUS(exit_status) != 0) return false;

  watched.ends.push_back(now);
  if (watched.ends.size() > ends_max) watched.ends.pop_front();
  if (watched.ends.size() == ends_max && now - watched.ends.front() < ends_window) {
    last_error_ += fmt::format("; that was the {}th time within 10 s", ends_max);
    return false;
  }
  if (now - watched.started > ends_window) watched.pause = pause_min;
  watched.start_at = now + watched.pause;
  say_note(fmt::format("{} ended with {}; starting it again in {} ms", name, exit_text(exit_status),
                       watched.pause.count()));
  watched.pause = std::min(watched.pause * 2, pause_max);
  return true;
}

bool Supervisor::start_child(Watched& watched) {
  watched.started = steady_clock::now();
  const auto started = watched.child.start();
  if (!started) last_error_ = std::string(started.error().message());
  return started.has_value();
}

bool Supervisor::stop(milliseconds wait) {
  const auto deadline = steady_clock::now() + wait;
  for (Watched& watched : watched_) watched.child.signal(SIGTERM);
  bool is_clean = true;
  while (true) {
    bool is_any_left = false;
    for (Watched& watched : watched_) {
      int exit_status = 0;
      watched.child.forward_output();
      watched.child.reap(exit_status);
      is_any_left = is_any_left || watched.child.is_running();
    }
    if (!is_any_left) return is_clean;
    if (is_clean && (steady_clock::now() >= deadline || take_stop_signal())) {
      is_clean = false;
      for (Watched& watched : watched_) {
        if (!watched.child.is_running()) continue;
        say_note(fmt::format("{} did not stop in time and is killed", watched.child.name()));
        watched.child.signal(SIGKILL);
      }
    }
    wait_for_news(milliseconds(50));
  }
}

void Supervisor::wait_for_news(milliseconds wait) {
  std::vector<pollfd> polled = {{signal_fd_, POLLIN, 0}};
  const auto now = steady_clock::now();
  for (const Watched& watched : watched_) {
    if (watched.child.output_fd() >= 0) polled.push_back({watched.child.output_fd(), POLLIN, 0});
    if (watched.child.is_running()) continue;
    const auto left = std::chrono::ceil<milliseconds>(watched.start_at - now);
    wait = std::clamp(left, milliseconds(0), wait);
  }
  poll(polled.data(), polled.size(), static_cast<int>(wait.count()));
}

bool Supervisor::take_stop_signal() {
  bool is_asked = false;
  signalfd_siginfo info{};
  while (read(signal_fd_, &info, sizeof info) == sizeof info) {
    is_asked = is_asked || info.ssi_signo != SIGCHLD;
  }
  return is_asked;
}

base::Result<Supervisor> Supervisor::start(std::vector<Child> children) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&signals, number);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  const int signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
  if (signal_fd < 0) {
    return Error(ErrorCode::no_space, "cannot make a signal descriptor: {}",
                 strerrordesc_np(errno));
  }
  Supervisor supervisor(std::move(children), signal_fd);
  for (Watched& watched : supervisor.watched_) {
    if (!supervisor.start_child(watched)) {
      return Error(ErrorCode::no_space, "{}", supervisor.last_error_);
    }
  }
  return supervisor;
}

pid_t Supervisor::pid_of(std::string_view name) const {
  for (const Watched& watched : watched_) {
    if (watched.child.name() == name) return watched.child.pid();
  }
  return -1;
}

Supervisor::Supervisor(std::vector<Child> children, int signal_fd) : signal_fd_(signal_fd) {
  for (Child& child : children) watched_.push_back(Watched{.child = std::move(child)});
}

Supervisor::Supervisor(Supervisor&& other) noexcept
    : watched_(std::move(other.watched_)),
      signal_fd_(std::exchange(other.signal_fd_, -1)),
      was_ready_(other.was_ready_),
      last_error_(std::move(other.last_error_)) {}

Supervisor::~Supervisor() {
  if (signal_fd_ >= 0) close(signal_fd_);
}

}  // namespace millrace::cli

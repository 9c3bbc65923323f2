// Child: see child.h.
#include "control/cli/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "dataplane/base/check.h"

namespace millrace::cli {

using base::Error;
using base::ErrorCode;

namespace {

constexpr std::size_t line_bytes_max = 4096;

// Between fork and exec only what is safe there.
[[noreturn]] void become(char* const* argv, int output, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);  // it died before the line above
  setpgid(0, 0);                      // Ctrl-C is for `up` alone, which stops its children itself
  const int null = open("/dev/null", O_RDONLY);
  dup2(null, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execv(argv[0], argv);
  const char* reason = strerrordesc_np(errno);
  for (const char* part : {"cannot run ", static_cast<const char*>(argv[0]), ": ", reason, "\n"}) {
    if (write(STDERR_FILENO, part, strlen(part)) < 0) break;
  }
  _exit(127);
}

}  // namespace

base::Result<void> Child::start() {
  CHECK(!is_running());
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    return Error(ErrorCode::no_space, "cannot make a pipe: {}", strerrordesc_np(errno));
  }
  std::vector<char*> argv;
  for (auto& word : command_) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) become(argv.data(), ends[1], parent);
  close(ends[1]);
  if (pid < 0) {
    close(ends[0]);
    return Error(ErrorCode::no_space, "cannot fork: {}", strerrordesc_np(errno));
  }
  if (output_fd_ >= 0) close(output_fd_);
  pid_ = pid;
  output_fd_ = ends[0];
  fcntl(output_fd_, F_SETFL, O_NONBLOCK);
  return {};
}

void Child::forward_output() {
  std::array<char, 4096> bytes;
  ssize_t count = 0;
  while (output_fd_ >= 0 && (count = read(output_fd_, bytes.data(), bytes.size())) > 0) {
    for (const char c : std::string_view(bytes.data(), static_cast<std::size_t>(count))) {
      if (c != '\n') line_ += c;
      if (c == '\n' || line_.size() >= line_bytes_max) take_line();
    }
  }
  if (count == 0 && output_fd_ >= 0) {  // all writers are gone
    if (!line_.empty()) take_line();
    close(output_fd_);
    output_fd_ = -1;
  }
}

void Child::take_line() {
  if (!line_.empty()) last_line_ = line_;
  const bool has_name = line_.starts_with(name_ + ":");
  fmt::print(stderr, "{}{}{}\n", has_name ? "" : name_, has_name ? "" : ": ", line_);
  line_.clear();
}

bool Child::reap(int& exit_status) {
  if (!is_running()) return false;
  if (waitpid(pid_, &exit_status, WNOHANG) != pid_) return false;
  pid_ = -1;
  forward_output();
  if (!line_.empty()) take_line();
  return true;
}

void Child::signal(int number) {
  if (is_running()) kill(pid_, number);
}

Child::Child(std::string name, std::vector<std::string> command)
    : name_(std::move(name)), command_(std::move(command)) {
  CHECK(!command_.empty());
}

Child::Child(Child&& other) noexcept
    : name_(std::move(other.name_)),
      command_(std::move(other.command_)),
      pid_(std::exchange(other.pid_, -1)),
      output_fd_(std::exchange(other.output_fd_, -1)),
      line_(std::move(other.line_)),
      last_line_(std::move(other.last_line_)) {}

Child::~Child() {
  if (is_running()) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (output_fd_ >= 0) close(output_fd_);
}

std::string exit_text(int exit_status) {
  if (WIFSIGNALED(exit_status)) {
    const int number = WTERMSIG(exit_status);
    const char* description = sigdescr_np(number);
    return fmt::format("signal {} ({})", number, description == nullptr ? "?" : description);
  }
  return fmt::format("exit code {}", WEXITSTATUS(exit_status));
}

}  // namespace millrace::cli

// ProgramRun: the real `millrace` as a child, with its output in files and its end awaited with a
// limit that only a hang reaches.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace millrace::cli {

inline constexpr auto hang_after = std::chrono::seconds(60);

template <typename Condition>
bool eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + hang_after;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

class ProgramRun {
 public:
  // `environment` entries are NAME=VALUE.
  ProgramRun(std::vector<std::string> command, std::string output_prefix,
             std::vector<std::string> environment = {})
      : out_path_(output_prefix + ".out"), err_path_(output_prefix + ".err") {
    std::vector<char*> argv;
    for (auto& word : command) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ != 0) return;
    dup2(open(out_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
    dup2(open(err_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
    for (auto& entry : environment) putenv(entry.data());
    execv(argv[0], argv.data());
    _exit(127);
  }
  ~ProgramRun() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }
  ProgramRun(const ProgramRun&) = delete;
  ProgramRun& operator=(const ProgramRun&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int number) { kill(pid_, number); }

  // The exit code, or -1 when it hangs or was ended by a signal.
  int wait() {
    int status = 0;
    const bool has_ended = eventually([&] { return waitpid(pid_, &status, WNOHANG) == pid_; });
    if (!has_ended) return -1;
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  std::string out() const { return text_of(out_path_); }
  std::string err() const { return text_of(err_path_); }

 private:
  static std::string text_of(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  std::string out_path_;
  std::string err_path_;
  pid_t pid_ = -1;
};

}  // namespace millrace::cli

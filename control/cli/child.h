// Child: one program that `up` runs. Its output is passed on line by line and the last line kept.
// Thread: the one that forked; the child dies with it, at once, however it dies.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "dataplane/base/result.h"

namespace millrace::cli {

class Child {
 public:
  // command[0] is the program's path.
  Child(std::string name, std::vector<std::string> command);
  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;
  ~Child();  // kills it if it still runs

  // A program that cannot be executed starts, says why on its output, and exits with 127.
  base::Result<void> start();

  bool is_running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  const std::string& name() const { return name_; }

  int output_fd() const { return output_fd_; }  // readable when there is something to forward
  void forward_output();
  const std::string& last_line() const { return last_line_; }

  // True when it has ended since the last call; exit_status is then as waitpid gives it.
  bool reap(int& exit_status);
  void signal(int number);

 private:
  void take_line();

  std::string name_;
  std::vector<std::string> command_;
  pid_t pid_ = -1;
  int output_fd_ = -1;
  std::string line_;  // not ended yet
  std::string last_line_;
};

// "exit code 3" or "signal 9 (Killed)"
std::string exit_text(int exit_status);

}  // namespace millrace::cli

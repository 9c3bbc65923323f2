// Scratch: see scratch.h.
#include "perf/bench/scratch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

namespace millrace::bench {

namespace fs = std::filesystem;

namespace {

std::string root() {
  const char* chosen = std::getenv("TMPDIR");
  return chosen != nullptr && chosen[0] == '/' ? chosen : "/var/tmp";
}

std::string prefix() { return fmt::format("millrace-bench-{}-", getuid()); }

// -1 when another run has it.
int take_lock(const std::string& directory) {
  const int fd = open((directory + "/run.lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

void remove_abandoned() {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(root(), error)) {
    if (!entry.path().filename().string().starts_with(prefix())) continue;
    const int fd = take_lock(entry.path().string());
    if (fd < 0) continue;
    fs::remove_all(entry.path(), error);
    close(fd);
  }
}

}  // namespace

base::Result<Scratch> Scratch::create() {
  remove_abandoned();
  std::string path = fmt::format("{}/{}XXXXXX", root(), prefix());
  if (mkdtemp(path.data()) == nullptr) {
    return base::Error(base::ErrorCode::no_space,
                       "cannot make a temporary directory {}: {}; name another place in TMPDIR",
                       path, std::strerror(errno));
  }
  return Scratch(path, take_lock(path));
}

Scratch::Scratch(Scratch&& other) noexcept
    : path_(std::exchange(other.path_, "")), lock_fd_(std::exchange(other.lock_fd_, -1)) {}

Scratch::~Scratch() {
  std::error_code error;
  if (!path_.empty()) fs::remove_all(path_, error);
  if (lock_fd_ >= 0) close(lock_fd_);
}

}  // namespace millrace::bench

// DataDirectory: see data_directory.h.
#include "control/cli/data_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

namespace millrace::cli {

namespace fs = std::filesystem;
using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr const char* lock_name = "/up.lock";

std::string temporary_prefix() { return fmt::format("millrace-memory-{}-", getuid()); }

std::string temporary_root() {
  const char* root = std::getenv("TMPDIR");
  return root != nullptr && root[0] == '/' ? root : "/tmp";
}

// The descriptor of the lock file, or -1 with errno EWOULDBLOCK when another process holds it.
int take_lock(const std::string& directory) {
  const int fd = open((directory + lock_name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) return -1;
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  const int number = errno;
  close(fd);
  errno = number;
  return -1;
}

// Our pid, for whoever finds the lock taken.
void write_holder(int fd) {
  const std::string text = fmt::format("{}\n", getpid());
  if (ftruncate(fd, 0) != 0 || pwrite(fd, text.data(), text.size(), 0) < 0) return;
}

std::string read_holder(const std::string& directory) {
  std::array<char, 32> bytes{};
  const int fd = open((directory + lock_name).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "?";
  const auto count = pread(fd, bytes.data(), bytes.size() - 1, 0);
  close(fd);
  std::string text(bytes.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
  text.erase(text.find_last_not_of('\n') + 1);
  return text.empty() ? "?" : text;
}

void remove_abandoned() {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(temporary_root(), error)) {
    const std::string path = entry.path().string();
    if (!entry.path().filename().string().starts_with(temporary_prefix())) continue;
    struct stat status {};
    if (lstat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode) ||
        status.st_uid != getuid()) {
      continue;
    }
    // Between mkdtemp and flock of a living one there is no lock file yet.
    if (!fs::exists(path + lock_name, error)) continue;
    const int fd = take_lock(path);
    if (fd < 0) continue;
    fs::remove_all(path, error);
    close(fd);
  }
}

}  // namespace

Result<DataDirectory> DataDirectory::open(const std::string& path) {
  std::error_code error;
  const bool is_new = fs::create_directories(path, error);
  if (error) {
    return Error(ErrorCode::permission,
                 "cannot make the data directory {}: {}; give another with --data DIR, or "
                 "--memory-only to keep nothing",
                 path, error.message());
  }
  if (is_new) chmod(path.c_str(), 0750);
  const int fd = take_lock(path);
  if (fd < 0 && errno == EWOULDBLOCK) {
    return Error(ErrorCode::already_exists,
                 "{} is in use by 'millrace up' with pid {}: stop that one, or give another "
                 "directory with --data DIR",
                 path, read_holder(path));
  }
  if (fd < 0) {
    return Error(ErrorCode::permission,
                 "cannot write in the data directory {}: {}; give another with --data DIR", path,
                 strerrordesc_np(errno));
  }
  write_holder(fd);
  return DataDirectory(path, fd, false);
}

Result<DataDirectory> DataDirectory::create_temporary() {
  remove_abandoned();
  std::string path = fmt::format("{}/{}XXXXXX", temporary_root(), temporary_prefix());
  if (mkdtemp(path.data()) == nullptr) {
    return Error(ErrorCode::no_space, "cannot make a temporary directory {}: {}", path,
                 strerrordesc_np(errno));
  }
  const int fd = take_lock(path);
  if (fd < 0) {
    return Error(ErrorCode::no_space, "cannot write in {}: {}", path, strerrordesc_np(errno));
  }
  write_holder(fd);
  return DataDirectory(path, fd, true);
}

DataDirectory::DataDirectory(DataDirectory&& other) noexcept
    : path_(std::move(other.path_)),
      lock_fd_(std::exchange(other.lock_fd_, -1)),
      is_temporary_(other.is_temporary_) {}

DataDirectory::~DataDirectory() {
  if (lock_fd_ < 0) return;
  std::error_code error;
  if (is_temporary_) fs::remove_all(path_, error);
  close(lock_fd_);
}

}  // namespace millrace::cli

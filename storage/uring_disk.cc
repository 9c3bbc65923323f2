#include "storage/uring_disk.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>

#include "dataplane/base/check.h"
#include "dataplane/base/ids.h"
#include "dataplane/base/units.h"

namespace millrace::storage {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::uint64_t zero_write_bytes = base::mib;
constexpr std::uint16_t no_operation = UringDisk::operations_max;

ErrorCode code_of(int number) {
  switch (number) {
    case ENOENT:
      return ErrorCode::not_found;
    case EEXIST:
      return ErrorCode::already_exists;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorCode::permission;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
      return ErrorCode::no_space;
    default:
      return ErrorCode::io;
  }
}

Error failed(std::string_view what, std::string_view folder, std::string_view file_name,
             int number) {
  return Error(code_of(number), "{} {}/{}: {}", what, folder, file_name, std::strerror(number));
}

}  // namespace

base::Result<std::unique_ptr<UringDisk>> UringDisk::open(const UringDiskOptions& options,
                                                         base::Uring& uring) {
  std::error_code status;
  std::filesystem::create_directories(options.folder, status);
  if (status) return failed("cannot create folder", options.folder, "", status.value());
  std::unique_ptr<UringDisk> disk(new UringDisk(options, uring));
  disk->folder_fd_ = ::open(options.folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (disk->folder_fd_ < 0) return failed("cannot open folder", options.folder, "", errno);
  if (auto locked = disk->lock_folder(); !locked) return locked.error();
  disk->device_ = find_device(options.folder);
  disk->find_direct();
  return disk;
}

UringDisk::UringDisk(const UringDiskOptions& options, base::Uring& uring)
    : options_(options), uring_(uring), uring_handler_(uring.add_handler(this)) {
  for (std::uint16_t i = 0; i < operations_max; ++i) {
    operations_[i].next_free = static_cast<std::uint16_t>(i + 1);
  }
}

UringDisk::~UringDisk() {
  CHECK(in_flight_ == 0);
  for (std::uint64_t i = 0; i < file_count_.get(); ++i) {
    if (fds_[i] >= 0) ::close(fds_[i]);
  }
  if (lock_fd_ >= 0) ::close(lock_fd_);
  if (folder_fd_ >= 0) ::close(folder_fd_);
}

base::Result<void> UringDisk::lock_folder() {
  lock_fd_ = ::openat(folder_fd_, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_fd_ < 0) return failed("cannot open", options_.folder, "lock", errno);
  constexpr std::uint64_t step_ns = 20 * base::ms_ns;
  std::uint64_t waited_ns = 0;
  std::array<char, 16> pid{};
  while (::flock(lock_fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return failed("cannot lock", options_.folder, "lock", errno);
    }
    if (waited_ns >= options_.lock_wait_ns) {
      const ssize_t bytes = ::pread(lock_fd_, pid.data(), pid.size(), 0);
      const std::string_view holder(pid.data(), bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
      return Error(ErrorCode::unavailable,
                   "{} is in use by process {}; stop it or give another data folder",
                   options_.folder, holder.empty() ? "(unknown)" : holder);
    }
    const timespec step{0, static_cast<long>(step_ns)};
    ::nanosleep(&step, nullptr);
    waited_ns += step_ns;
  }
  // For whoever finds it locked; losing it loses only a number in a message.
  const auto end = std::to_chars(pid.data(), pid.data() + pid.size(), ::getpid()).ptr;
  const auto bytes = static_cast<std::size_t>(end - pid.data());
  if (::ftruncate(lock_fd_, 0) != 0 ||
      ::pwrite(lock_fd_, pid.data(), bytes, 0) != static_cast<ssize_t>(bytes)) {
    return failed("cannot write", options_.folder, "lock", errno);
  }
  return {};
}

void UringDisk::find_direct() {
  const int fd = ::openat(folder_fd_, "lock", O_RDONLY | O_DIRECT | O_CLOEXEC);
  direct_ = fd >= 0;
  if (fd >= 0) ::close(fd);
  // Through the page cache a completed write is in memory only; a flush still makes it durable.
  if (!direct_ && device_.durability != Durability::unsafe) {
    device_.durability = Durability::flush;
  }
}

// --- start-up and housekeeping ---

base::Result<std::int32_t> UringDisk::open_file(std::string_view file_name, int flags) const {
  const std::string path(file_name);
  const int fd =
      ::openat(folder_fd_, path.c_str(), flags | (direct_ ? O_DIRECT : 0) | O_CLOEXEC, 0644);
  if (fd < 0) return failed("cannot open", options_.folder, file_name, errno);
  return fd;
}

base::Result<FileId> UringDisk::add_file(std::int32_t fd, std::string_view file_name) {
  const std::uint64_t count = file_count_.get();
  const auto closed =
      std::find(fds_.begin(), fds_.begin() + static_cast<std::ptrdiff_t>(count), -1);
  const auto index = static_cast<std::uint64_t>(closed - fds_.begin());
  if (index == files_max) {
    ::close(fd);
    return Error(ErrorCode::no_space, "{}/{}: more than {} files", options_.folder, file_name,
                 files_max);
  }
  fds_[index] = fd;
  if (index == count) file_count_.set(count + 1);
  return FileId{static_cast<std::uint32_t>(index)};
}

// Under another name until it is whole, so that a file that is there is all zeros and all extents.
base::Result<FileId> UringDisk::create(std::string_view file_name, std::uint64_t bytes) {
  CHECK(bytes % block_bytes == 0);
  if (exists(file_name)) {
    return Error(ErrorCode::already_exists, "{}/{} is already there", options_.folder, file_name);
  }
  const std::string unfinished = std::string(file_name) + ".new";
  auto fd = open_file(unfinished, O_RDWR | O_CREAT | O_TRUNC);
  if (!fd) return fd.error();
  auto written = write_zeros(*fd, file_name, bytes);
  if (written) written = rename(unfinished, file_name);
  if (!written) {
    ::close(*fd);
    ::unlinkat(folder_fd_, unfinished.c_str(), 0);
    return written.error();
  }
  return add_file(*fd, file_name);
}

base::Result<void> UringDisk::allocate_blocks(std::int32_t fd, std::string_view file_name,
                                              std::uint64_t bytes) const {
  const int status = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes));
  if (status != 0) {
    return Error(code_of(status), "no room for {}/{} ({} bytes): {}; free space on the device",
                 options_.folder, file_name, bytes, std::strerror(status));
  }
  return {};
}

base::Result<void> UringDisk::write_zeros(std::int32_t fd, std::string_view file_name,
                                          std::uint64_t bytes) const {
  if (auto allocated = allocate_blocks(fd, file_name, bytes); !allocated) return allocated;
  struct Block {
    alignas(block_bytes) std::array<std::byte, zero_write_bytes> zeros{};
  };
  const auto block = std::make_unique<Block>();
  for (std::uint64_t at = 0; at < bytes;) {
    const auto count = static_cast<std::size_t>(std::min(zero_write_bytes, bytes - at));
    const ssize_t written = ::pwrite(fd, block->zeros.data(), count, static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      return failed("cannot write", options_.folder, file_name, written < 0 ? errno : EIO);
    }
    at += static_cast<std::uint64_t>(written);
  }
  if (::fsync(fd) != 0) return failed("cannot flush", options_.folder, file_name, errno);
  return {};
}

base::Result<void> UringDisk::sync_folder() const {
  if (::fsync(folder_fd_) != 0) return failed("cannot flush folder", options_.folder, "", errno);
  return {};
}

base::Result<FileId> UringDisk::reserve(std::string_view file_name, std::uint64_t bytes) {
  CHECK(bytes % block_bytes == 0);
  auto fd = open_file(file_name, O_RDWR | O_CREAT | O_TRUNC);
  if (!fd) return fd.error();
  if (auto allocated = allocate_blocks(*fd, file_name, bytes); !allocated) {
    ::close(*fd);
    ::unlinkat(folder_fd_, std::string(file_name).c_str(), 0);
    return allocated.error();
  }
  return add_file(*fd, file_name);
}

base::Result<void> UringDisk::rename(std::string_view from, std::string_view to) {
  if (::renameat(folder_fd_, std::string(from).c_str(), folder_fd_, std::string(to).c_str()) != 0) {
    return failed("cannot rename", options_.folder, from, errno);
  }
  return sync_folder();
}

base::Result<std::vector<std::string>> UringDisk::list() {
  std::error_code status;
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(options_.folder, status)) {
    names.push_back(entry.path().filename().string());
  }
  if (status) return failed("cannot read folder", options_.folder, "", status.value());
  return names;
}

base::Result<DiskSpace> UringDisk::space() {
  struct statvfs facts {};
  if (::fstatvfs(folder_fd_, &facts) != 0) {
    return failed("cannot stat", options_.folder, "", errno);
  }
  return DiskSpace{.free_bytes = static_cast<std::uint64_t>(facts.f_bavail) * facts.f_frsize,
                   .total_bytes = static_cast<std::uint64_t>(facts.f_blocks) * facts.f_frsize};
}

base::Result<FileId> UringDisk::open(std::string_view file_name) {
  auto fd = open_file(file_name, O_RDWR);
  if (!fd) return fd.error();
  return add_file(*fd, file_name);
}

void UringDisk::close(FileId file) {
  ::close(fd_of(file));
  fds_[base::raw(file)] = -1;
}

std::int32_t UringDisk::fd_of(FileId file) const {
  CHECK(base::raw(file) < file_count_.get());
  return fds_[base::raw(file)];
}

base::Result<std::uint64_t> UringDisk::size(FileId file) {
  struct stat facts {};
  if (::fstat(fd_of(file), &facts) != 0) return failed("cannot stat", options_.folder, "", errno);
  return static_cast<std::uint64_t>(facts.st_size);
}

base::Result<void> UringDisk::resize(FileId file, std::uint64_t bytes) {
  const auto before = size(file);
  if (!before) return before.error();
  if (bytes > *before) return allocate_blocks(fd_of(file), "", bytes);
  if (::ftruncate(fd_of(file), static_cast<off_t>(bytes)) != 0) {
    return failed("cannot shorten a file of", options_.folder, "", errno);
  }
  return {};
}

base::Result<void> UringDisk::remove(std::string_view file_name) {
  if (::unlinkat(folder_fd_, std::string(file_name).c_str(), 0) != 0) {
    return failed("cannot remove", options_.folder, file_name, errno);
  }
  return sync_folder();
}

bool UringDisk::exists(std::string_view file_name) {
  return ::faccessat(folder_fd_, std::string(file_name).c_str(), F_OK, 0) == 0;
}

base::Result<void> UringDisk::read_now(FileId file, std::uint64_t at, std::span<std::byte> into) {
  for (std::size_t done = 0; done < into.size();) {
    const ssize_t count =
        ::pread(fd_of(file), into.data() + done, into.size() - done, static_cast<off_t>(at + done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0 || count % block_bytes != 0) {
      return failed("cannot read a file of", options_.folder, "", count < 0 ? errno : EIO);
    }
    done += static_cast<std::size_t>(count);
  }
  return {};
}

base::Result<void> UringDisk::write_now(FileId file, std::uint64_t at,
                                        std::span<const std::byte> from) {
  for (std::size_t done = 0; done < from.size();) {
    const ssize_t count = ::pwrite(fd_of(file), from.data() + done, from.size() - done,
                                   static_cast<off_t>(at + done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0 || count % block_bytes != 0) {
      return failed("cannot write a file of", options_.folder, "", count < 0 ? errno : EIO);
    }
    done += static_cast<std::size_t>(count);
  }
  return {};
}

base::Result<void> UringDisk::flush_now(FileId file) {
  if (::fdatasync(fd_of(file)) != 0) {
    return failed("cannot flush a file of", options_.folder, "", errno);
  }
  return {};
}

// --- while running ---

std::uint16_t UringDisk::take_operation(std::size_t bytes, DiskHandler& handler,
                                        std::uint64_t token) {
  CHECK(first_free_ != no_operation);
  const std::uint16_t index = first_free_;
  first_free_ = operations_[index].next_free;
  operations_[index] =
      Operation{.handler = &handler, .token = token, .bytes = static_cast<std::uint32_t>(bytes)};
  ++in_flight_;
  return index;
}

void UringDisk::write_durable(FileId file, std::uint64_t at, std::span<const std::byte> from,
                              DiskHandler& handler, std::uint64_t token) {
  const std::uint16_t index = take_operation(from.size(), handler, token);
  io_uring_sqe* sqe = uring_.prepare();
  io_uring_prep_write(sqe, fd_of(file), from.data(), operations_[index].bytes, at);
  if (device_.durability == Durability::fua || device_.durability == Durability::flush) {
    sqe->rw_flags = RWF_DSYNC;
  }
  base::Uring::tag(sqe, uring_handler_, index);
}

void UringDisk::read(FileId file, std::uint64_t at, std::span<std::byte> into, DiskHandler& handler,
                     std::uint64_t token) {
  const std::uint16_t index = take_operation(into.size(), handler, token);
  io_uring_sqe* sqe = uring_.prepare();
  io_uring_prep_read(sqe, fd_of(file), into.data(), operations_[index].bytes, at);
  base::Uring::tag(sqe, uring_handler_, index);
}

void UringDisk::on_completion(std::uint64_t token, std::int32_t result, std::uint32_t) {
  CHECK(token < operations_max);
  Operation& operation = operations_[token];
  if (result >= 0 && static_cast<std::uint32_t>(result) != operation.bytes) result = -EIO;
  DiskHandler* handler = operation.handler;
  const std::uint64_t handler_token = operation.token;
  operation.next_free = first_free_;
  first_free_ = static_cast<std::uint16_t>(token);
  --in_flight_;
  handler->on_disk(handler_token, result);
}

void UringDisk::drain() {
  while (in_flight_ != 0) uring_.wait(base::second_ns, operations_max);
}

}  // namespace millrace::storage

// RegionFile: see region_file.h.
#include "dataplane/link/region_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <utility>

namespace millrace::link {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

struct Header {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t reserved;
};
static_assert(offsetof(Region, magic) == offsetof(Header, magic));
static_assert(offsetof(Region, version) == offsetof(Header, version));

Error world_error(const std::string& name, const char* what) {
  const int number = errno;
  auto code = ErrorCode::io;
  if (number == EACCES || number == EPERM || number == EROFS) code = ErrorCode::permission;
  if (number == ENOENT || number == ENOTDIR) code = ErrorCode::not_found;
  if (number == ENOSPC || number == ENOMEM || number == EMFILE) code = ErrorCode::no_space;
  return Error(code, "shared region {}: {}: {}", name, what, strerrordesc_np(number));
}

// The caller holds the flock. Sizes and stamps an empty file; checks any other.
Result<void> stamp_or_check(int fd, const std::string& name) {
  struct stat status {};
  if (fstat(fd, &status) != 0) return world_error(name, "reading its size");
  if (status.st_size == 0) {
    // posix_fallocate, so that a full file system is an error here and not a SIGBUS later.
    const int error = posix_fallocate(fd, 0, sizeof(Region));
    if (error != 0) {
      errno = error;
      return world_error(name, "making room for it");
    }
    const Header header{region_magic, region_version, 0};
    if (pwrite(fd, &header, sizeof header, 0) != sizeof header) {
      return world_error(name, "writing its header");
    }
    return {};
  }
  Header header{};
  const auto got = pread(fd, &header, sizeof header, 0);
  if (got < 0) return world_error(name, "reading its header");
  if (got != sizeof header || header.magic != region_magic) {
    return Error(ErrorCode::corrupt,
                 "{} is not a Millrace shared region; give another path, or remove the file if "
                 "nothing needs it",
                 name);
  }
  if (header.version != region_version || status.st_size != static_cast<off_t>(sizeof(Region))) {
    return Error(ErrorCode::invalid_argument,
                 "shared region {} has version {} and {} bytes, this program has version {} and {} "
                 "bytes: start millraced and millrace-control of the same release",
                 name, header.version, status.st_size, region_version, sizeof(Region));
  }
  return {};
}

}  // namespace

Result<RegionFile> RegionFile::map(int fd, const std::string& name) {
  if (flock(fd, LOCK_EX) != 0) {
    const Error error = world_error(name, "locking it");
    close(fd);
    return error;
  }
  const auto stamped = stamp_or_check(fd, name);
  flock(fd, LOCK_UN);
  if (!stamped) {
    close(fd);
    return stamped.error();
  }
  void* address = mmap(nullptr, sizeof(Region), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) {
    const Error error = world_error(name, "mapping it");
    close(fd);
    return error;
  }
  return RegionFile(fd, static_cast<Region*>(address));
}

Result<RegionFile> RegionFile::open_or_create(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return world_error(path, "opening it");
  return map(fd, path);
}

Result<RegionFile> RegionFile::create_anonymous() {
  const int fd = memfd_create("millrace-region", MFD_CLOEXEC);
  if (fd < 0) return world_error("(anonymous)", "memfd_create");
  return map(fd, "(anonymous)");
}

Result<void> RegionFile::make_inheritable() {
  if (fcntl(fd_, F_SETFD, 0) != 0) return world_error("(anonymous)", "fcntl");
  return {};
}

std::string RegionFile::path_for_children() const { return fmt::format("/proc/self/fd/{}", fd_); }

RegionFile::RegionFile(RegionFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), region_(std::exchange(other.region_, nullptr)) {}

RegionFile::~RegionFile() {
  if (region_ != nullptr) munmap(region_, sizeof(Region));
  if (fd_ >= 0) close(fd_);
}

}  // namespace millrace::link

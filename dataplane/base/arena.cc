#include "dataplane/base/arena.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "dataplane/base/units.h"

namespace millrace::base {
namespace {

constexpr std::uint64_t huge_page_bytes = 2 * mib;

struct Mapping {
  void* base = MAP_FAILED;
  int fd = -1;
};

Mapping map_memfd(std::uint64_t bytes, bool huge, bool touch) {
  Mapping mapping;
  const unsigned flags = MFD_CLOEXEC | (huge ? MFD_HUGETLB | MFD_HUGE_2MB : 0U);
  mapping.fd = memfd_create("millrace-arena", flags);
  if (mapping.fd < 0) return mapping;
  if (ftruncate(mapping.fd, static_cast<off_t>(bytes)) == 0) {
    // Huge pages are reserved by mmap itself, so a shortage shows here and not as a SIGBUS later.
    mapping.base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | (touch ? MAP_POPULATE : 0), mapping.fd, 0);
  }
  if (mapping.base == MAP_FAILED) {
    const int saved = errno;
    close(mapping.fd);
    mapping.fd = -1;
    errno = saved;
  }
  return mapping;
}

}  // namespace

Result<Arena> Arena::create(const ArenaOptions& options) {
  Arena arena;
  arena.size_bytes_ = align_up(options.bytes, huge_page_bytes);
  Mapping mapping;
  if (options.huge_pages) {
    mapping = map_memfd(arena.size_bytes_, true, options.touch);
    arena.backing_ = Backing::huge_pages;
  }
  if (mapping.base == MAP_FAILED) {
    mapping = map_memfd(arena.size_bytes_, false, options.touch);
    arena.backing_ = Backing::ordinary_pages;
  }
  if (mapping.base == MAP_FAILED) {
    return Error(ErrorCode::no_space,
                 "cannot map {} MiB of memory: {}; lower the sizes in the configuration",
                 arena.size_bytes_ / mib, std::strerror(errno));
  }
  arena.base_ = static_cast<std::byte*>(mapping.base);
  arena.fd_ = mapping.fd;
  return arena;
}

Arena::Arena(Arena&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)),
      size_bytes_(other.size_bytes_),
      used_bytes_(other.used_bytes_),
      fd_(std::exchange(other.fd_, -1)),
      backing_(other.backing_) {}

Arena::~Arena() {
  if (base_ != nullptr) munmap(base_, size_bytes_);
  if (fd_ >= 0) close(fd_);
}

std::span<std::byte> Arena::allocate_bytes(std::uint64_t bytes, std::uint64_t alignment) {
  const std::uint64_t start = align_up(used_bytes_, alignment);
  CHECK(start <= size_bytes_);
  CHECK(bytes <= size_bytes_ - start);
  used_bytes_ = start + bytes;
  return {base_ + start, bytes};
}

void Arena::clear() {
  const auto size = static_cast<off_t>(size_bytes_);
  for (off_t end = 0;;) {
    const off_t start = lseek(fd_, end, SEEK_DATA);
    if (start < 0 || start >= size) break;
    end = lseek(fd_, start, SEEK_HOLE);
    CHECK(end > start);
    std::memset(base_ + start, 0, static_cast<std::size_t>(end - start));
  }
  used_bytes_ = 0;
}

}  // namespace millrace::base

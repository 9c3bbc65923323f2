#include "storage/recording_disk.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <type_traits>

#include "dataplane/base/check.h"
#include "dataplane/base/ids.h"
#include "dataplane/base/units.h"

namespace millrace::storage {
namespace {

constexpr std::uint64_t event_alignment = 8;

base::Error failed(std::string_view what, const std::string& path, int number) {
  return base::Error(base::ErrorCode::io, "cannot {} the recording {}: {}", what, path,
                     std::strerror(number));
}

}  // namespace

std::uint64_t recording_now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * base::second_ns +
         static_cast<std::uint64_t>(now.tv_nsec);
}

// --- the recording ---

base::Result<std::unique_ptr<Recording>> Recording::open(const std::string& path,
                                                         std::uint64_t bytes_max,
                                                         Durability durability) {
  CHECK(bytes_max > sizeof(RecordingHeader));
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return failed("open", path, errno);
  struct stat facts {};
  int number = ::fstat(fd, &facts) != 0 ? errno : 0;
  const bool is_new = facts.st_size == 0;
  // All at once: a mapped file that the device has no room for ends the process.
  if (number == 0) number = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes_max));
  void* memory = MAP_FAILED;
  if (number == 0) {
    memory = ::mmap(nullptr, bytes_max, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) number = errno;
  }
  if (number != 0) {
    ::close(fd);
    return failed("make room for", path, number);
  }
  std::unique_ptr<Recording> recording(
      new Recording(path, fd, {static_cast<std::byte*>(memory), bytes_max}));
  if (is_new) {
    auto& header = *new (memory) RecordingHeader{};
    header.durability = static_cast<std::uint32_t>(durability);
    header.used_bytes.set(sizeof header);
  } else if (recording->header().magic != recording_magic ||
             recording->header().version != recording_version ||
             recording->header().used_bytes.get() > bytes_max) {
    return base::Error(base::ErrorCode::corrupt, "{} is no recording; name another file", path);
  }
  return recording;
}

Recording::~Recording() {
  const std::uint64_t used = header().magic == recording_magic ? header().used_bytes.get() : 0;
  ::munmap(memory_.data(), memory_.size());
  // What is left over is zeros; it only takes room.
  if (used != 0 && used < memory_.size())
    static_cast<void>(!::ftruncate(fd_, static_cast<off_t>(used)));
  ::close(fd_);
}

std::optional<std::uint64_t> Recording::begin(const Request& request) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t used = header().used_bytes.get();
  const std::uint64_t bytes = sizeof(RecordedEvent) +
                              base::align_up(request.name.size(), event_alignment) +
                              base::align_up(request.bytes.size(), event_alignment);
  const std::uint64_t ends = (unended_ + 1) * sizeof(RecordedEvent);
  full_ |= memory_.size() - used < bytes + ends;
  if (full_) return {};
  ++unended_;
  add({.bytes = static_cast<std::uint32_t>(bytes),
       .kind = request.kind,
       .name_bytes = static_cast<std::uint16_t>(request.name.size()),
       .operation = used,
       .at = request.at,
       .count = request.bytes.empty() ? request.count : request.bytes.size(),
       .file = base::raw(request.file)},
      request);
  return used;
}

void Recording::end(std::uint64_t operation, bool failed, FileId file) {
  const std::lock_guard lock(mutex_);
  CHECK(unended_ != 0);
  --unended_;
  add({.bytes = sizeof(RecordedEvent),
       .kind = RecordedKind::end,
       .failed = static_cast<std::uint8_t>(failed ? 1 : 0),
       .operation = operation,
       .file = base::raw(file)},
      {.kind = RecordedKind::end});
}

void Recording::add_close(FileId file) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t used = header().used_bytes.get();
  full_ |= memory_.size() - used < (unended_ + 1) * sizeof(RecordedEvent);
  if (full_) return;  // and so its id is never given to a file that is recorded
  add({.bytes = sizeof(RecordedEvent),
       .kind = RecordedKind::close,
       .operation = used,
       .file = base::raw(file)},
      {.kind = RecordedKind::close});
}

// The time is taken under the lock: it never goes back from one event to the next.
void Recording::add(RecordedEvent event, const Request& request) {
  const std::uint64_t used = header().used_bytes.get();
  CHECK(event.bytes <= memory_.size() - used);
  event.time_ns = recording_now_ns();
  std::byte* at = memory_.data() + used;
  std::memcpy(at, &event, sizeof event);
  at += sizeof event;
  if (!request.name.empty()) std::memcpy(at, request.name.data(), request.name.size());
  at += base::align_up(request.name.size(), event_alignment);
  if (!request.bytes.empty()) std::memcpy(at, request.bytes.data(), request.bytes.size());
  header().used_bytes.set(used + event.bytes);
}

// --- the disk ---

base::Result<std::unique_ptr<RecordingDisk>> RecordingDisk::open(std::unique_ptr<Disk> disk,
                                                                 const std::string& path,
                                                                 std::uint64_t bytes_max) {
  auto recording = Recording::open(path, bytes_max, disk->durability());
  if (!recording) return recording.error();
  return std::unique_ptr<RecordingDisk>(new RecordingDisk(std::move(disk), std::move(*recording)));
}

RecordingDisk::RecordingDisk(std::unique_ptr<Disk> disk, std::unique_ptr<Recording> recording)
    : recording_(std::move(recording)), disk_(std::move(disk)) {
  for (std::uint16_t i = 0; i < operations_max; ++i) {
    operations_[i].next_free = static_cast<std::uint16_t>(i + 1);
  }
}

base::Error RecordingDisk::full() const {
  return base::Error(base::ErrorCode::no_space, "the recording {} is full", recording_->path());
}

template <typename T, typename Carry>
base::Result<T> RecordingDisk::record(const Recording::Request& request, Carry carry_out) {
  const auto number = recording_->begin(request);
  if (!number) return full();
  base::Result<T> result = carry_out();
  FileId file = request.file;
  if constexpr (std::is_same_v<T, FileId>) {
    if (result) file = *result;
  }
  recording_->end(*number, !result.has_value(), file);
  return result;
}

base::Result<FileId> RecordingDisk::create(std::string_view file_name, std::uint64_t bytes) {
  return record<FileId>({.kind = RecordedKind::create, .name = file_name, .count = bytes},
                        [&] { return disk_->create(file_name, bytes); });
}

base::Result<FileId> RecordingDisk::reserve(std::string_view file_name, std::uint64_t bytes) {
  return record<FileId>({.kind = RecordedKind::reserve, .name = file_name, .count = bytes},
                        [&] { return disk_->reserve(file_name, bytes); });
}

base::Result<FileId> RecordingDisk::open(std::string_view file_name) {
  return record<FileId>({.kind = RecordedKind::open, .name = file_name},
                        [&] { return disk_->open(file_name); });
}

// Before the other disk hears of it, which may then give the id to another file.
void RecordingDisk::close(FileId file) {
  recording_->add_close(file);
  disk_->close(file);
}

base::Result<void> RecordingDisk::resize(FileId file, std::uint64_t bytes) {
  return record<void>({.kind = RecordedKind::resize, .file = file, .count = bytes},
                      [&] { return disk_->resize(file, bytes); });
}

base::Result<void> RecordingDisk::remove(std::string_view file_name) {
  return record<void>({.kind = RecordedKind::remove, .name = file_name},
                      [&] { return disk_->remove(file_name); });
}

base::Result<void> RecordingDisk::rename(std::string_view from, std::string_view to) {
  const std::string names = fmt::format("{}/{}", from, to);
  return record<void>({.kind = RecordedKind::rename, .name = names},
                      [&] { return disk_->rename(from, to); });
}

base::Result<void> RecordingDisk::write_now(FileId file, std::uint64_t at,
                                            std::span<const std::byte> from) {
  return record<void>({.kind = RecordedKind::write, .file = file, .at = at, .bytes = from},
                      [&] { return disk_->write_now(file, at, from); });
}

base::Result<void> RecordingDisk::flush_now(FileId file) {
  return record<void>({.kind = RecordedKind::flush, .file = file},
                      [&] { return disk_->flush_now(file); });
}

void RecordingDisk::write_durable(FileId file, std::uint64_t at, std::span<const std::byte> from,
                                  DiskHandler& handler, std::uint64_t token) {
  CHECK(first_free_ != operations_max);
  const std::uint16_t index = first_free_;
  Operation& operation = operations_[index];
  first_free_ = operation.next_free;
  operation = {
      .handler = &handler, .token = token, .bytes = static_cast<std::uint32_t>(from.size())};
  const auto number = recording_->begin(
      {.kind = RecordedKind::write_durable, .file = file, .at = at, .bytes = from});
  if (!number) {
    operation.is_refused = true;
    ++refused_count_;
    return;
  }
  operation.number = *number;
  disk_->write_durable(file, at, from, *this, index);
}

void RecordingDisk::on_disk(std::uint64_t token, std::int32_t result) {
  CHECK(token < operations_max);
  const Operation& operation = operations_[token];
  recording_->end(operation.number, result != static_cast<std::int64_t>(operation.bytes), FileId{});
  finish(token, result);
}

void RecordingDisk::finish(std::uint64_t index, std::int32_t result) {
  const Operation operation = operations_[index];
  operations_[index] = {.next_free = first_free_};
  first_free_ = static_cast<std::uint16_t>(index);
  operation.handler->on_disk(operation.token, result);
}

void RecordingDisk::deliver_refused() {
  for (std::uint64_t i = 0; refused_count_ != 0 && i < operations_max; ++i) {
    if (!operations_[i].is_refused) continue;
    --refused_count_;
    finish(i, -ENOSPC);
  }
}

void RecordingDisk::poll() {
  disk_->poll();
  deliver_refused();
}

void RecordingDisk::drain() {
  do {
    disk_->drain();
    deliver_refused();
  } while (refused_count_ != 0);
}

}  // namespace millrace::storage

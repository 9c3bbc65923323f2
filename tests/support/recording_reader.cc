#include "tests/support/recording_reader.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "dataplane/base/units.h"

namespace millrace::testing {
namespace {

using storage::RecordedEvent;
using storage::RecordedKind;
using storage::RecordingHeader;

base::Error not_one(const std::string& path) {
  return base::Error(base::ErrorCode::corrupt, "{} is not a recording that can be read", path);
}

bool has_bytes(RecordedKind kind) {
  return kind == RecordedKind::write || kind == RecordedKind::write_durable;
}

// False when the event does not add up.
bool parse(std::span<const std::byte> from, const RecordedEvent& raw, Event& event) {
  const std::uint64_t name_end = sizeof raw + raw.name_bytes;
  const std::uint64_t bytes_at = base::align_up(name_end, 8);
  const std::uint64_t data = has_bytes(raw.kind) ? raw.count : 0;
  if (bytes_at + data > raw.bytes) return false;
  event = {.kind = raw.kind,
           .failed = raw.failed != 0,
           .time_ns = raw.time_ns,
           .operation = raw.operation,
           .file = raw.file,
           .at = raw.at,
           .count = raw.count,
           .name = {reinterpret_cast<const char*>(from.data() + sizeof raw), raw.name_bytes},
           .to = {},
           .bytes = from.subspan(bytes_at, data)};
  if (raw.kind == RecordedKind::rename) {
    const auto slash = event.name.find('/');
    if (slash == std::string_view::npos) return false;
    event.to = event.name.substr(slash + 1);
    event.name = event.name.substr(0, slash);
  }
  return true;
}

}  // namespace

base::Result<std::unique_ptr<RecordingReader>> RecordingReader::open(const std::string& path) {
  const auto used = used_bytes(path);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat facts {};
  void* memory = MAP_FAILED;
  const bool is_there = used && fd >= 0 && ::fstat(fd, &facts) == 0 &&
                        static_cast<std::uint64_t>(facts.st_size) >= *used;
  if (is_there) memory = ::mmap(nullptr, *used, PROT_READ, MAP_SHARED, fd, 0);
  if (fd >= 0) ::close(fd);
  if (memory == MAP_FAILED) return not_one(path);
  std::unique_ptr<RecordingReader> reader(
      new RecordingReader({static_cast<const std::byte*>(memory), *used}));
  if (!reader->read(*used)) return not_one(path);
  return reader;
}

RecordingReader::~RecordingReader() {
  ::munmap(const_cast<std::byte*>(memory_.data()), memory_.size());
}

std::optional<std::uint64_t> RecordingReader::used_bytes(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  std::uint64_t head[3] = {};
  const bool whole = ::pread(fd, head, sizeof head, 0) == sizeof head;
  ::close(fd);
  if (!whole || head[0] != storage::recording_magic || head[2] < sizeof(RecordingHeader)) return {};
  return head[2];
}

bool RecordingReader::read(std::uint64_t used) {
  RecordedEvent raw;
  durability_ = static_cast<storage::Durability>(
      reinterpret_cast<const RecordingHeader*>(memory_.data())->durability);
  for (std::uint64_t at = sizeof(RecordingHeader); at < used; at += raw.bytes) {
    if (used - at < sizeof raw) return false;
    std::memcpy(&raw, memory_.data() + at, sizeof raw);
    Event event;
    if (raw.bytes < sizeof raw || raw.bytes > used - at || raw.bytes % 8 != 0 ||
        !parse(memory_.subspan(at, raw.bytes), raw, event)) {
      return false;
    }
    events_.push_back(event);
  }
  return true;
}

}  // namespace millrace::testing

#include "storage/memory_disk.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "dataplane/base/check.h"
#include "dataplane/base/ids.h"

namespace millrace::storage {

MemoryDisk::~MemoryDisk() {
  for (File& file : files_) {
    if (file.memory.data() != nullptr) munmap(file.memory.data(), file.memory.size());
  }
}

MemoryDisk::File* MemoryDisk::find(std::string_view file_name) {
  for (std::uint64_t i = 0; i < file_count_.get(); ++i) {
    if (files_[i].name == file_name) return &files_[i];
  }
  return nullptr;
}

base::Result<FileId> MemoryDisk::create(std::string_view file_name, std::uint64_t bytes) {
  CHECK(!file_name.empty() && bytes % block_bytes == 0);
  if (find(file_name) != nullptr) {
    return base::Error(base::ErrorCode::already_exists, "{} is already there in memory", file_name);
  }
  const std::uint64_t index = file_count_.get();
  if (index == files_max) {
    return base::Error(base::ErrorCode::no_space, "{}: more than {} files in memory", file_name,
                       files_max);
  }
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) {
    return base::Error(base::ErrorCode::no_space,
                       "{}: no memory for {} bytes ({}); configure smaller journals", file_name,
                       bytes, std::strerror(errno));
  }
  files_[index].name = file_name;
  files_[index].memory = {static_cast<std::byte*>(memory), bytes};
  file_count_.set(index + 1);
  return FileId{static_cast<std::uint32_t>(index)};
}

base::Result<FileId> MemoryDisk::reserve(std::string_view file_name, std::uint64_t bytes) {
  return create(file_name, bytes);
}

base::Result<void> MemoryDisk::rename(std::string_view from, std::string_view to) {
  File* file = find(from);
  if (file == nullptr) {
    return base::Error(base::ErrorCode::not_found, "{} is not in memory", from);
  }
  if (find(to) != nullptr) {
    if (auto removed = remove(to); !removed) return removed;
  }
  file->name = to;
  return {};
}

base::Result<std::vector<std::string>> MemoryDisk::list() {
  std::vector<std::string> names;
  for (std::uint64_t i = 0; i < file_count_.get(); ++i) {
    if (!files_[i].name.empty()) names.push_back(files_[i].name);
  }
  return names;
}

// What there is no memory for is refused by create().
base::Result<DiskSpace> MemoryDisk::space() {
  constexpr std::uint64_t much = std::numeric_limits<std::uint64_t>::max();
  return DiskSpace{.free_bytes = much, .total_bytes = much};
}

base::Result<FileId> MemoryDisk::open(std::string_view file_name) {
  const File* file = find(file_name);
  if (file == nullptr) {
    return base::Error(base::ErrorCode::not_found, "{} is not in memory", file_name);
  }
  return FileId{static_cast<std::uint32_t>(file - files_.data())};
}

base::Result<std::uint64_t> MemoryDisk::size(FileId file) {
  CHECK(base::raw(file) < file_count_.get());
  return files_[base::raw(file)].memory.size();
}

base::Result<void> MemoryDisk::resize(FileId file, std::uint64_t bytes) {
  CHECK(base::raw(file) < file_count_.get());
  std::span<std::byte>& memory = files_[base::raw(file)].memory;
  void* moved = mremap(memory.data(), memory.size(), bytes, MREMAP_MAYMOVE);
  if (moved == MAP_FAILED) {
    return base::Error(base::ErrorCode::no_space, "no memory for a file of {} bytes ({})", bytes,
                       std::strerror(errno));
  }
  memory = {static_cast<std::byte*>(moved), bytes};
  return {};
}

base::Result<void> MemoryDisk::remove(std::string_view file_name) {
  File* file = find(file_name);
  if (file == nullptr) {
    return base::Error(base::ErrorCode::not_found, "{} is not in memory", file_name);
  }
  munmap(file->memory.data(), file->memory.size());
  *file = File();
  return {};
}

bool MemoryDisk::exists(std::string_view file_name) { return find(file_name) != nullptr; }

std::span<std::byte> MemoryDisk::part(FileId file, std::uint64_t at, std::uint64_t bytes) {
  CHECK(base::raw(file) < file_count_.get());
  CHECK(at % block_bytes == 0 && bytes % block_bytes == 0);
  const std::span<std::byte> memory = files_[base::raw(file)].memory;
  CHECK(at <= memory.size() && bytes <= memory.size() - at);
  return memory.subspan(at, bytes);
}

base::Result<void> MemoryDisk::read_now(FileId file, std::uint64_t at, std::span<std::byte> into) {
  std::memcpy(into.data(), part(file, at, into.size()).data(), into.size());
  return {};
}

base::Result<void> MemoryDisk::write_now(FileId file, std::uint64_t at,
                                         std::span<const std::byte> from) {
  std::memcpy(part(file, at, from.size()).data(), from.data(), from.size());
  return {};
}

base::Result<void> MemoryDisk::flush_now(FileId) { return {}; }

void MemoryDisk::write_durable(FileId file, std::uint64_t at, std::span<const std::byte> from,
                               DiskHandler& handler, std::uint64_t token) {
  std::memcpy(part(file, at, from.size()).data(), from.data(), from.size());
  complete(handler, token, static_cast<std::int32_t>(from.size()));
}

void MemoryDisk::read(FileId file, std::uint64_t at, std::span<std::byte> into,
                      DiskHandler& handler, std::uint64_t token) {
  std::memcpy(into.data(), part(file, at, into.size()).data(), into.size());
  complete(handler, token, static_cast<std::int32_t>(into.size()));
}

void MemoryDisk::complete(DiskHandler& handler, std::uint64_t token, std::int32_t result) {
  CHECK(completions_added_ - completions_delivered_ < operations_max);
  completions_[completions_added_++ % operations_max] = {&handler, token, result};
}

// What a completion starts is delivered by the next poll.
void MemoryDisk::poll() {
  const std::uint64_t until = completions_added_;
  while (completions_delivered_ != until) {
    const Completion completion = completions_[completions_delivered_++ % operations_max];
    completion.handler->on_disk(completion.token, completion.result);
  }
}

void MemoryDisk::drain() {
  while (completions_delivered_ != completions_added_) poll();
}

}  // namespace millrace::storage

#include "tests/support/faulty_disk.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "dataplane/base/check.h"
#include "dataplane/base/ids.h"

namespace millrace::testing {

using storage::Durability;
using storage::FileId;

namespace {
// What a place on the medium holds that was reserved and never written.
constexpr std::byte garbage{0xa5};
}  // namespace

FaultyDisk::FaultyDisk(std::uint64_t seed, Durability durability)
    : random_(seed), durability_(durability) {}

FaultyDisk::Crash FaultyDisk::crash() {
  const std::uint64_t share = random_() % 101;  // all, none and everything between
  Crash crash;
  crash_keeping([&](std::uint64_t) {
    const bool keep = random_() % 100 < share;
    ++(keep ? crash.kept : crash.lost);
    return keep;
  });
  return crash;
}

void FaultyDisk::make_unreadable(std::string_view file_name, std::uint64_t block_at) {
  find(file_name)->unreadable.insert(block_at / storage::block_bytes * storage::block_bytes);
}

void FaultyDisk::heal(std::string_view file_name) { find(file_name)->unreadable.clear(); }

void FaultyDisk::misread_once(std::string_view file_name, std::uint64_t at) {
  find(file_name)->misread = at;
}

void FaultyDisk::flip_bit(std::string_view file_name, std::uint64_t at, std::uint32_t bit) {
  File* file = find(file_name);
  settle_all(*file);
  settled_block(*file, at / storage::block_bytes)[at % storage::block_bytes] ^=
      static_cast<std::byte>(1U << bit);
}

std::vector<std::byte> FaultyDisk::contents(std::string_view file_name) {
  const File* file = find(file_name);
  std::vector<std::byte> bytes(file->size());
  copy(*file, 0, bytes);
  return bytes;
}

void FaultyDisk::overwrite(std::string_view file_name, std::uint64_t at,
                           std::span<const std::byte> bytes) {
  File* file = find(file_name);
  settle_all(*file);
  for (std::uint64_t done = 0; done < bytes.size();) {
    const std::uint64_t in_block = (at + done) % storage::block_bytes;
    const std::uint64_t count =
        std::min<std::uint64_t>(storage::block_bytes - in_block, bytes.size() - done);
    Block& block = settled_block(*file, (at + done) / storage::block_bytes);
    std::memcpy(block.data() + in_block, bytes.data() + done, count);
    done += count;
  }
}

void FaultyDisk::deliver_one() {
  CHECK(!started_.empty());
  Operation operation = started_.front();
  started_.pop_front();
  carry_out(operation);
  operation.handler->on_disk(operation.token, operation.result);
}

FaultyDisk::File* FaultyDisk::find(std::string_view file_name) {
  for (File& file : files_) {
    if (!file.removed && file.name == file_name) return &file;
  }
  return nullptr;
}

FaultyDisk::File& FaultyDisk::file_at(FileId file) {
  CHECK(base::raw(file) < files_.size());
  return files_[base::raw(file)];
}

base::Result<FileId> FaultyDisk::create(std::string_view file_name, std::uint64_t bytes) {
  CHECK(bytes % storage::block_bytes == 0);
  if (fail_creates_ || space()->free_bytes < bytes)
    return base::Error(base::ErrorCode::no_space, "{}: disk full", file_name);
  if (find(file_name) != nullptr) {
    return base::Error(base::ErrorCode::already_exists, "{} is already there", file_name);
  }
  files_.push_back({.name = std::string(file_name),
                    .settled = {},
                    .cache = {},
                    .unreadable = {},
                    .misread = {}});
  grow(files_.back(), bytes, std::byte{});
  return FileId{static_cast<std::uint32_t>(files_.size() - 1)};
}

base::Result<FileId> FaultyDisk::reserve(std::string_view file_name, std::uint64_t bytes) {
  auto file = create(file_name, bytes);
  if (file) {
    for (Settled& settled : file_at(*file).settled) settled.filler = garbage;
  }
  return file;
}

base::Result<void> FaultyDisk::rename(std::string_view from, std::string_view to) {
  File* file = find(from);
  if (file == nullptr) return base::Error(base::ErrorCode::not_found, "no {}", from);
  if (File* other = find(to); other != nullptr) static_cast<void>(remove(to));
  file->name = to;
  return {};
}

base::Result<std::vector<std::string>> FaultyDisk::list() {
  std::vector<std::string> names;
  for (const File& file : files_) {
    if (!file.removed) names.push_back(file.name);
  }
  return names;
}

base::Result<storage::DiskSpace> FaultyDisk::space() {
  std::uint64_t used = 0;
  for (const File& file : files_) {
    if (!file.removed) used += file.size();
  }
  return storage::DiskSpace{.free_bytes = capacity_bytes_ - std::min(capacity_bytes_, used),
                            .total_bytes = capacity_bytes_};
}

base::Result<FileId> FaultyDisk::open(std::string_view file_name) {
  const File* file = find(file_name);
  if (file == nullptr) return base::Error(base::ErrorCode::not_found, "no {}", file_name);
  return FileId{static_cast<std::uint32_t>(file - files_.data())};
}

void FaultyDisk::close(FileId file) {
  if (!file_at(file).removed) return;
  file_at(file).settled.clear();
  file_at(file).cache.clear();
}

base::Result<std::uint64_t> FaultyDisk::size(FileId file) { return file_at(file).size(); }

base::Result<void> FaultyDisk::resize(FileId file, std::uint64_t bytes) {
  File& resized = file_at(file);
  CHECK(bytes % storage::block_bytes == 0);
  const std::uint64_t before = resized.size();
  if (bytes > before && (fail_creates_ || space()->free_bytes < bytes - before))
    return base::Error(base::ErrorCode::no_space, "{}: disk full", resized.name);
  resized.cache.erase(resized.cache.lower_bound(bytes / storage::block_bytes), resized.cache.end());
  grow(resized, bytes, garbage);
  return {};
}

base::Result<void> FaultyDisk::remove(std::string_view file_name) {
  File* file = find(file_name);
  if (file == nullptr) return base::Error(base::ErrorCode::not_found, "no {}", file_name);
  file->removed = true;
  return {};
}

bool FaultyDisk::exists(std::string_view file_name) { return find(file_name) != nullptr; }

base::Result<void> FaultyDisk::read_now(FileId file, std::uint64_t at, std::span<std::byte> into) {
  ++reads_;
  File& from = file_at(file);
  if (!get(from, at, into)) return base::Error(base::ErrorCode::io, "unreadable");
  if (from.misread && *from.misread >= at && *from.misread < at + into.size()) {
    into[*from.misread - at] ^= std::byte{1};
    from.misread.reset();
  }
  return {};
}

base::Result<void> FaultyDisk::write_now(FileId file, std::uint64_t at,
                                         std::span<const std::byte> from) {
  put(file_at(file), at, from);
  if (write_result_ != 0) return base::Error(base::ErrorCode::io, "write failed");
  return {};
}

base::Result<void> FaultyDisk::flush_now(FileId file) {
  ++flushes_;
  if (flush_result_ != 0) {
    file_at(file).cache.clear();
    return base::Error(base::ErrorCode::io, "flush failed");
  }
  settle_all(file_at(file));
  return {};
}

void FaultyDisk::write_durable(FileId file, std::uint64_t at, std::span<const std::byte> from,
                               storage::DiskHandler& handler, std::uint64_t token) {
  ++writes_started_;
  last_write_bytes_ = from.size();
  started_.push_back({.is_write = true,
                      .file = base::raw(file),
                      .at = at,
                      .from = from,
                      .into = {},
                      .handler = &handler,
                      .token = token});
  // The device may have any part of it from here on.
  put(file_at(file), at, from);
}

void FaultyDisk::read(FileId file, std::uint64_t at, std::span<std::byte> into,
                      storage::DiskHandler& handler, std::uint64_t token) {
  ++reads_;
  started_.push_back({.is_write = false,
                      .file = base::raw(file),
                      .at = at,
                      .from = {},
                      .into = into,
                      .handler = &handler,
                      .token = token});
}

void FaultyDisk::poll() {
  // What a completion starts waits for the next poll.
  for (std::size_t left = held_ ? 0 : started_.size(); left != 0; --left) deliver_one();
}

void FaultyDisk::drain() {
  while (!started_.empty()) deliver_one();
}

void FaultyDisk::carry_out(Operation& operation) {
  File& file = files_[operation.file];
  if (!operation.is_write) {
    operation.result = get(file, operation.at, operation.into)
                           ? static_cast<std::int32_t>(operation.into.size())
                           : -EIO;
    return;
  }
  operation.result = static_cast<std::int32_t>(operation.from.size());
  if (write_result_ != 0) {
    operation.result = write_result_;
    return;
  }
  // The caller must not have touched it: what is there now is what the device takes.
  put(file, operation.at, operation.from);
  if (flush_result_ != 0) {
    operation.result = flush_result_;
    file.cache.clear();
    return;
  }
  if (durability_ != Durability::unsafe) settle_all(file);
}

void FaultyDisk::put(File& file, std::uint64_t at, std::span<const std::byte> from) {
  CHECK(at % storage::block_bytes == 0 && from.size() % storage::block_bytes == 0);
  CHECK(at + from.size() <= file.size());
  for (std::uint64_t i = 0; i < from.size(); i += storage::block_bytes) {
    const auto block = from.subspan(i, storage::block_bytes);
    file.cache[(at + i) / storage::block_bytes].assign(block.begin(), block.end());
  }
  file.unreadable.erase(file.unreadable.lower_bound(at),
                        file.unreadable.lower_bound(at + from.size()));
}

bool FaultyDisk::get(File& file, std::uint64_t at, std::span<std::byte> into) {
  CHECK(at % storage::block_bytes == 0 && into.size() % storage::block_bytes == 0);
  CHECK(at + into.size() <= file.size());
  const auto bad = file.unreadable.lower_bound(at);
  if (bad != file.unreadable.end() && *bad < at + into.size()) return false;
  copy(file, at, into);
  return true;
}

void FaultyDisk::copy(const File& file, std::uint64_t at, std::span<std::byte> into) {
  const std::uint64_t first = at / storage::block_bytes;
  const std::uint64_t count = into.size() / storage::block_bytes;
  auto cached = file.cache.lower_bound(first);
  for (std::uint64_t i = 0; i < count; ++i) {
    const Settled& settled = file.settled[first + i];
    const Block* from = &settled.bytes;
    if (cached != file.cache.end() && cached->first == first + i) {
      from = &cached->second;
      ++cached;
    }
    std::byte* to = into.data() + i * storage::block_bytes;
    if (!from->empty()) {
      std::memcpy(to, from->data(), storage::block_bytes);
    } else {
      std::memset(to, static_cast<int>(settled.filler), storage::block_bytes);
    }
  }
}

FaultyDisk::Block& FaultyDisk::settled_block(File& file, std::uint64_t block) {
  Settled& settled = file.settled[block];
  if (settled.bytes.empty()) settled.bytes.assign(storage::block_bytes, settled.filler);
  return settled.bytes;
}

void FaultyDisk::settle_sector(File& file, std::uint64_t block, std::uint64_t at,
                               const Block& bytes) {
  std::memcpy(settled_block(file, block).data() + at, bytes.data() + at, sector_bytes);
}

void FaultyDisk::settle_all(File& file) {
  for (auto& [block, bytes] : file.cache) file.settled[block].bytes = std::move(bytes);
  file.cache.clear();
}

void FaultyDisk::grow(File& file, std::uint64_t bytes, std::byte filler) {
  const std::uint64_t before = file.settled.size();
  file.settled.resize(bytes / storage::block_bytes);
  for (std::uint64_t i = before; i < file.settled.size(); ++i) file.settled[i].filler = filler;
}

}  // namespace millrace::testing

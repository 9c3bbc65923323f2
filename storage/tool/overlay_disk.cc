#include "storage/tool/overlay_disk.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace millrace::storage {

std::optional<FileId> OverlayDisk::find(std::string_view file_name) const {
  const auto found = std::ranges::find(files_, file_name, &File::name);
  if (found == files_.end()) return {};
  return FileId{static_cast<std::uint32_t>(found - files_.begin())};
}

FileId OverlayDisk::add(File file) {
  files_.push_back(std::move(file));
  return FileId{static_cast<std::uint32_t>(files_.size() - 1)};
}

bool OverlayDisk::exists(std::string_view file_name) {
  return find(file_name) || (!hidden_.contains(file_name) && below_.exists(file_name));
}

base::Result<FileId> OverlayDisk::create(std::string_view file_name, std::uint64_t bytes) {
  if (exists(file_name)) {
    return base::Error(base::ErrorCode::already_exists, "{} is already there", file_name);
  }
  return add({.name = std::string(file_name), .below = {}, .bytes = bytes, .blocks = {}});
}

base::Result<FileId> OverlayDisk::reserve(std::string_view file_name, std::uint64_t bytes) {
  if (exists(file_name)) static_cast<void>(remove(file_name));
  return create(file_name, bytes);
}

base::Result<FileId> OverlayDisk::open(std::string_view file_name) {
  if (const auto found = find(file_name)) return *found;
  if (hidden_.contains(file_name)) {
    return base::Error(base::ErrorCode::not_found, "{} is not there", file_name);
  }
  auto below = below_.open(file_name);
  if (!below) return below.error();
  const auto bytes = below_.size(*below);
  if (!bytes) return bytes.error();
  return add({.name = std::string(file_name), .below = *below, .bytes = *bytes, .blocks = {}});
}

base::Result<std::uint64_t> OverlayDisk::size(FileId file) { return file_at(file).bytes; }

base::Result<void> OverlayDisk::resize(FileId file, std::uint64_t bytes) {
  file_at(file).bytes = bytes;
  return {};
}

base::Result<void> OverlayDisk::remove(std::string_view file_name) {
  hidden_.emplace(file_name);
  if (const auto found = find(file_name)) file_at(*found).name.clear();
  return {};
}

base::Result<void> OverlayDisk::rename(std::string_view from, std::string_view to) {
  const auto file = open(from);
  if (!file) return file.error();
  static_cast<void>(remove(to));
  hidden_.emplace(from);
  file_at(*file).name = to;
  return {};
}

base::Result<std::vector<std::string>> OverlayDisk::list() {
  auto names = below_.list();
  if (!names) return names;
  std::erase_if(*names, [&](const std::string& name) { return hidden_.contains(name); });
  for (const File& file : files_) {
    if (!file.name.empty() && std::ranges::find(*names, file.name) == names->end()) {
      names->push_back(file.name);
    }
  }
  return names;
}

base::Result<void> OverlayDisk::read_now(FileId id, std::uint64_t at, std::span<std::byte> into) {
  File& file = file_at(id);
  bool is_whole = true;
  if (file.below) {
    is_whole = below_.read_now(*file.below, at, into).has_value();
  } else {
    std::ranges::fill(into, std::byte{0});
  }
  for (std::uint64_t i = 0; i < into.size(); i += block_bytes) {
    const auto block = into.subspan(i, block_bytes);
    const auto written = file.blocks.find(at + i);
    if (written != file.blocks.end()) {
      std::ranges::copy(written->second, block.begin());
    } else if (!is_whole) {
      if (auto read = below_.read_now(*file.below, at + i, block); !read) return read;
    }
  }
  return {};
}

base::Result<void> OverlayDisk::write_now(FileId file, std::uint64_t at,
                                          std::span<const std::byte> from) {
  for (std::uint64_t i = 0; i < from.size(); i += block_bytes) {
    const auto block = from.subspan(i, block_bytes);
    file_at(file).blocks[at + i].assign(block.begin(), block.end());
  }
  return {};
}

void OverlayDisk::write_durable(FileId file, std::uint64_t at, std::span<const std::byte> from,
                                DiskHandler& handler, std::uint64_t token) {
  static_cast<void>(write_now(file, at, from));
  completions_.push_back({&handler, token, static_cast<std::int32_t>(from.size())});
}

void OverlayDisk::read(FileId file, std::uint64_t at, std::span<std::byte> into,
                       DiskHandler& handler, std::uint64_t token) {
  const bool is_read = read_now(file, at, into).has_value();
  completions_.push_back(
      {&handler, token, is_read ? static_cast<std::int32_t>(into.size()) : -EIO});
}

void OverlayDisk::poll() {
  while (!completions_.empty()) {
    const Completion done = completions_.front();
    completions_.pop_front();
    done.handler->on_disk(done.token, done.result);
  }
}

}  // namespace millrace::storage

// OverlayDisk: another disk as it would be after what is written here, which it never sees. So the
// code of a start can run on a folder that must not change.
// Owns:  the blocks that were written, in memory.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "storage/disk.h"

namespace millrace::storage {

class OverlayDisk final : public Disk {
 public:
  explicit OverlayDisk(Disk& below) : below_(below) {}

  Durability durability() const override { return Durability::unsafe; }
  std::string_view device() const override { return below_.device(); }
  base::Result<FileId> create(std::string_view file_name, std::uint64_t bytes) override;
  base::Result<FileId> reserve(std::string_view file_name, std::uint64_t bytes) override;
  base::Result<FileId> open(std::string_view file_name) override;
  void close(FileId /*file*/) override {}
  base::Result<std::uint64_t> size(FileId file) override;
  base::Result<void> resize(FileId file, std::uint64_t bytes) override;
  base::Result<void> remove(std::string_view file_name) override;
  base::Result<void> rename(std::string_view from, std::string_view to) override;
  base::Result<std::vector<std::string>> list() override;
  base::Result<DiskSpace> space() override { return below_.space(); }
  bool exists(std::string_view file_name) override;
  base::Result<void> read_now(FileId file, std::uint64_t at, std::span<std::byte> into) override;
  base::Result<void> write_now(FileId file, std::uint64_t at,
                               std::span<const std::byte> from) override;
  base::Result<void> flush_now(FileId /*file*/) override { return {}; }
  void write_durable(FileId file, std::uint64_t at, std::span<const std::byte> from,
                     DiskHandler& handler, std::uint64_t token) override;
  void read(FileId file, std::uint64_t at, std::span<std::byte> into, DiskHandler& handler,
            std::uint64_t token) override;
  void poll() override;
  void drain() override { poll(); }

 private:
  struct File {
    std::string name;  // empty: removed
    std::optional<FileId> below;
    std::uint64_t bytes = 0;
    std::map<std::uint64_t, std::vector<std::byte>> blocks;
  };
  struct Completion {
    DiskHandler* handler;
    std::uint64_t token;
    std::int32_t result;
  };

  File& file_at(FileId file) { return files_[static_cast<std::uint32_t>(file)]; }
  std::optional<FileId> find(std::string_view file_name) const;
  FileId add(File file);

  Disk& below_;
  std::deque<File> files_;
  std::set<std::string, std::less<>> hidden_;  // names that are below and no longer here
  std::deque<Completion> completions_;
};

}  // namespace millrace::storage

// MemoryDisk: a Disk on plain memory, for --memory-only and for tests. Promises nothing.
// Core:  the shard's; create() may be called by the housekeeping thread.
// Owns:  one mapping per file, taken and touched whole by create().
//
// Operations copy at once; poll() delivers their completions, in order.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "dataplane/base/counter.h"
#include "storage/disk.h"

namespace millrace::storage {

class MemoryDisk final : public Disk {
 public:
  static constexpr std::uint32_t files_max = 4096;
  static constexpr std::uint32_t operations_max = 1024;  // started and not yet delivered

  MemoryDisk() = default;
  ~MemoryDisk() override;
  MemoryDisk(const MemoryDisk&) = delete;
  MemoryDisk& operator=(const MemoryDisk&) = delete;

  Durability durability() const override { return Durability::unsafe; }
  std::string_view device() const override { return "memory"; }

  base::Result<FileId> create(std::string_view file_name, std::uint64_t bytes) override;
  base::Result<FileId> reserve(std::string_view file_name, std::uint64_t bytes) override;
  base::Result<FileId> open(std::string_view file_name) override;
  void close(FileId /*file*/) override {}
  base::Result<std::uint64_t> size(FileId file) override;
  base::Result<void> resize(FileId file, std::uint64_t bytes) override;
  base::Result<void> remove(std::string_view file_name) override;
  base::Result<void> rename(std::string_view from, std::string_view to) override;
  base::Result<std::vector<std::string>> list() override;
  base::Result<DiskSpace> space() override;
  bool exists(std::string_view file_name) override;
  base::Result<void> read_now(FileId file, std::uint64_t at, std::span<std::byte> into) override;
  base::Result<void> write_now(FileId file, std::uint64_t at,
                               std::span<const std::byte> from) override;
  base::Result<void> flush_now(FileId file) override;

  void write_durable(FileId file, std::uint64_t at, std::span<const std::byte> from,
                     DiskHandler& handler, std::uint64_t token) override;
  void read(FileId file, std::uint64_t at, std::span<std::byte> into, DiskHandler& handler,
            std::uint64_t token) override;
  void poll() override;
  void drain() override;

 private:
  struct File {
    std::string name;  // empty: removed
    std::span<std::byte> memory;
  };
  struct Completion {
    DiskHandler* handler = nullptr;
    std::uint64_t token = 0;
    std::int32_t result = 0;
  };

  File* find(std::string_view file_name);
  std::span<std::byte> part(FileId file, std::uint64_t at, std::uint64_t bytes);
  void complete(DiskHandler& handler, std::uint64_t token, std::int32_t result);

  std::array<File, files_max> files_;
  base::Counter file_count_;  // an element is written before the count passes it
  std::array<Completion, operations_max> completions_;
  std::uint64_t completions_added_ = 0;
  std::uint64_t completions_delivered_ = 0;
};

}  // namespace millrace::storage

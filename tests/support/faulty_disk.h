// FaultyDisk: a Disk in memory that loses, tears, rots and fails the way devices do, from a seed.
//
// It has a volatile write cache of 512-byte sectors: a write goes there, a flush (or the completion
// of write_durable, unless the durability is `unsafe`) makes it stay. crash() keeps an arbitrary
// part of what was not flushed, in any order and sector by sector.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "storage/disk.h"

namespace millrace::testing {

class FaultyDisk final : public storage::Disk {
 public:
  static constexpr std::uint32_t sector_bytes = 512;

  explicit FaultyDisk(std::uint64_t seed = 1,
                      storage::Durability durability = storage::Durability::flush);

  // --- faults ---
  // Loses power: operations in flight are never delivered, and of the sectors not yet flushed each
  // is kept or lost by chance. How many were which:
  struct Crash {
    std::uint64_t kept = 0;
    std::uint64_t lost = 0;
  };
  Crash crash();
  // Whoever used it is gone: operations in flight are never delivered, and all that was written is
  // still there.
  void forget_operations() { started_.clear(); }
  // Like crash(), but keeps exactly the sectors for which `keep` holds (by file offset).
  template <typename Keep>
  void crash_keeping(Keep keep) {
    started_.clear();
    for (File& file : files_) {
      for (const auto& [block, bytes] : file.cache) {
        for (std::uint64_t at = 0; at < storage::block_bytes; at += sector_bytes) {
          if (keep(block * storage::block_bytes + at)) settle_sector(file, block, at, bytes);
        }
      }
      file.cache.clear();
    }
  }
  // The next operations of the kind give this (negative) errno; a failed write leaves its sectors
  // in the cache, a failed flush loses the cache.
  void fail_writes(std::int32_t result) { write_result_ = result; }
  void fail_flushes(std::int32_t result) { flush_result_ = result; }
  void fail_creates(bool fail) { fail_creates_ = fail; }
  // All files together; a create beyond it finds the disk full.
  void set_capacity(std::uint64_t bytes) { capacity_bytes_ = bytes; }
  // Reads that touch this block of a file fail with EIO from now on; writing it heals it.
  void make_unreadable(std::string_view file_name, std::uint64_t block_at);
  void heal(std::string_view file_name);
  // The next blocking read of this byte gets it wrong.
  void misread_once(std::string_view file_name, std::uint64_t at);
  void flip_bit(std::string_view file_name, std::uint64_t at, std::uint32_t bit);
  // The bytes as they would be after a flush.
  std::vector<std::byte> contents(std::string_view file_name);
  void overwrite(std::string_view file_name, std::uint64_t at, std::span<const std::byte> bytes);

  // --- control over completions ---
  // While held, poll() delivers nothing and started operations stay in flight.
  void hold(bool held) { held_ = held; }
  std::size_t in_flight() const { return started_.size(); }
  // Delivers the oldest operation even while held.
  void deliver_one();

  // --- what was asked of it ---
  std::uint64_t writes_started() const { return writes_started_; }
  std::uint64_t last_write_bytes() const { return last_write_bytes_; }
  std::uint64_t flushes() const { return flushes_; }
  std::uint64_t reads() const { return reads_; }

  // --- Disk ---
  storage::Durability durability() const override { return durability_; }
  std::string_view device() const override { return "faulty"; }
  base::Result<storage::FileId> create(std::string_view file_name, std::uint64_t bytes) override;
  base::Result<storage::FileId> reserve(std::string_view file_name, std::uint64_t bytes) override;
  base::Result<storage::FileId> open(std::string_view file_name) override;
  void close(storage::FileId file) override;
  base::Result<std::uint64_t> size(storage::FileId file) override;
  base::Result<void> resize(storage::FileId file, std::uint64_t bytes) override;
  base::Result<void> remove(std::string_view file_name) override;
  base::Result<void> rename(std::string_view from, std::string_view to) override;
  base::Result<std::vector<std::string>> list() override;
  base::Result<storage::DiskSpace> space() override;
  bool exists(std::string_view file_name) override;
  base::Result<void> read_now(storage::FileId file, std::uint64_t at,
                              std::span<std::byte> into) override;
  base::Result<void> write_now(storage::FileId file, std::uint64_t at,
                               std::span<const std::byte> from) override;
  base::Result<void> flush_now(storage::FileId file) override;
  void write_durable(storage::FileId file, std::uint64_t at, std::span<const std::byte> from,
                     storage::DiskHandler& handler, std::uint64_t token) override;
  void read(storage::FileId file, std::uint64_t at, std::span<std::byte> into,
            storage::DiskHandler& handler, std::uint64_t token) override;
  void poll() override;
  void drain() override;

 private:
  using Block = std::vector<std::byte>;
  // What was never written takes no memory: journals are large and hardly filled.
  struct Settled {
    Block bytes;  // empty: all `filler`
    std::byte filler{};
  };
  struct File {
    std::string name;
    std::vector<Settled> settled;          // what the medium holds
    std::map<std::uint64_t, Block> cache;  // blocks not flushed
    std::set<std::uint64_t> unreadable;    // offsets of blocks
    std::optional<std::uint64_t> misread;
    bool removed = false;

    std::uint64_t size() const { return settled.size() * storage::block_bytes; }
  };
  struct Operation {
    bool is_write = false;
    std::uint32_t file = 0;
    std::uint64_t at = 0;
    std::span<const std::byte> from;
    std::span<std::byte> into;
    storage::DiskHandler* handler = nullptr;
    std::uint64_t token = 0;
    std::int32_t result = 0;
  };

  File* find(std::string_view file_name);
  File& file_at(storage::FileId file);
  void put(File& file, std::uint64_t at, std::span<const std::byte> from);
  bool get(File& file, std::uint64_t at, std::span<std::byte> into);
  static void copy(const File& file, std::uint64_t at, std::span<std::byte> into);
  static Block& settled_block(File& file, std::uint64_t block);
  static void settle_sector(File& file, std::uint64_t block, std::uint64_t at, const Block& bytes);
  static void settle_all(File& file);
  static void grow(File& file, std::uint64_t bytes, std::byte filler);
  void carry_out(Operation& operation);

  std::mt19937_64 random_;
  storage::Durability durability_;
  std::vector<File> files_;
  std::deque<Operation> started_;
  bool held_ = false;
  bool fail_creates_ = false;
  std::uint64_t capacity_bytes_ = 1ULL << 40;
  std::int32_t write_result_ = 0;
  std::int32_t flush_result_ = 0;
  std::uint64_t writes_started_ = 0;
  std::uint64_t last_write_bytes_ = 0;
  std::uint64_t flushes_ = 0;
  std::uint64_t reads_ = 0;
};

}  // namespace millrace::testing

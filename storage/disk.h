// Disk: the seam between storage and a device. Everything that touches bytes at rest goes through
// it. Core:  the shard's; operations are asynchronous and complete inside poll() or the Uring's
// delivery.
//
// Offsets, lengths and buffers of read and write are multiples of block_bytes. Files are
// preallocated and written with zeros before use, so a write never changes a size or an extent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/result.h"

namespace millrace::storage {

inline constexpr std::uint32_t block_bytes = 4096;

// The device's own way of making a write durable, found at start and printed beside every durable
// figure.
enum class Durability : std::uint8_t {
  plp,     // write cache is write-through or protected: a completed write is durable
  fua,     // write-back, takes forced unit access: each write carries RWF_DSYNC
  flush,   // write-back without it: RWF_DSYNC, which the kernel ends with a flush
  unsafe,  // cannot be told or promises nothing (memory file system, --memory-only)
};
std::string_view name(Durability durability);

enum class FileId : std::uint32_t {};

struct DiskSpace {
  std::uint64_t free_bytes = 0;
  std::uint64_t total_bytes = 0;
};

class DiskHandler {
 public:
  // result: bytes read or written, or a negative errno. A short transfer is reported
  // as -EIO.
  virtual void on_disk(std::uint64_t token, std::int32_t result) = 0;

 protected:
  ~DiskHandler() = default;
};

class Disk {
 public:
  virtual ~Disk() = default;

  virtual Durability durability() const = 0;
  // "virtio-blk vda, ext4": for status output.
  virtual std::string_view device() const = 0;

  // Start-up and housekeeping; these block. A created file is `bytes` long, all zero, and durable
  // in its folder.
  virtual base::Result<FileId> create(std::string_view file_name, std::uint64_t bytes) = 0;
  // A file of `bytes` that mean nothing until they are written and flushed; it may be gone after a
  // crash until it is renamed.
  virtual base::Result<FileId> reserve(std::string_view file_name, std::uint64_t bytes) = 0;
  virtual base::Result<FileId> open(std::string_view file_name) = 0;
  // No operation of the file is in flight, and the id may be given to another one.
  virtual void close(FileId file) = 0;
  virtual base::Result<std::uint64_t> size(FileId file) = 0;
  // Of a reserved file, before it is renamed. What is added means nothing until it is written.
  virtual base::Result<void> resize(FileId file, std::uint64_t bytes) = 0;
  virtual base::Result<void> remove(std::string_view file_name) = 0;
  // Durable when it returns; a file of the new name is replaced.
  virtual base::Result<void> rename(std::string_view from, std::string_view to) = 0;
  // Names of all files, in no order.
  virtual base::Result<std::vector<std::string>> list() = 0;
  virtual base::Result<DiskSpace> space() = 0;
  virtual bool exists(std::string_view file_name) = 0;
  virtual base::Result<void> read_now(FileId file, std::uint64_t at, std::span<std::byte> into) = 0;
  virtual base::Result<void> write_now(FileId file, std::uint64_t at,
                                       std::span<const std::byte> from) = 0;
  virtual base::Result<void> flush_now(FileId file) = 0;

  // While running. The buffer stays untouched by the caller until the completion. write_durable
  // completes when the bytes are durable by the device's own method; write completes when the
  // device has taken them.
  virtual void write_durable(FileId file, std::uint64_t at, std::span<const std::byte> from,
                             DiskHandler& handler, std::uint64_t token) = 0;
  virtual void read(FileId file, std::uint64_t at, std::span<std::byte> into, DiskHandler& handler,
                    std::uint64_t token) = 0;
  // Delivers completions that are there (a disk on a Uring has them delivered by Uring::reap and
  // does nothing here).
  virtual void poll() = 0;
  // Shutdown: blocks until every operation that was started has been delivered. A disk on a Uring
  // delivers everybody's completions meanwhile.
  virtual void drain() = 0;
};

}  // namespace millrace::storage

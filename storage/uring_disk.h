// UringDisk: a Disk on the files of one folder, through the core's io_uring and O_DIRECT.
// Core:  the one whose Uring it has; create() and the other blocking calls may come from the
//        housekeeping thread.
// Owns:  the descriptors of its files, and the folder: one process at a time (flock on
// FOLDER/lock).
//
// How a write is made durable is found at open() from the block device under the folder:
//   queue/write_cache "write through"            plp    plain write
//   "write back" and queue/fua 1                 fua    write with RWF_DSYNC
//   "write back" without                         flush  the same; the kernel flushes after it
//   no block device (tmpfs, overlay, ...)        unsafe plain write
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "dataplane/base/counter.h"
#include "dataplane/base/uring.h"
#include "storage/disk.h"

namespace millrace::storage {

struct UringDiskOptions {
  std::string folder;
  std::uint64_t lock_wait_ns = 5'000'000'000;  // for a process that is just ending
};

// What the host says about the device under a folder. Roots are parameters for tests.
struct DeviceFacts {
  Durability durability = Durability::unsafe;
  std::string text;  // "virtio_blk vda, ext4"
};
DeviceFacts find_device(const std::string& folder, const std::string& sys_root = "/sys");

class UringDisk final : public Disk, private base::CompletionHandler {
 public:
  static constexpr std::uint32_t files_max = 4096;
  static constexpr std::uint32_t operations_max = 1024;  // started and not yet delivered

  // Creates the folder when it is missing. Both must outlive the disk's last operation.
  static base::Result<std::unique_ptr<UringDisk>> open(const UringDiskOptions& options,
                                                       base::Uring& uring);
  ~UringDisk() override;
  UringDisk(const UringDisk&) = delete;
  UringDisk& operator=(const UringDisk&) = delete;

  Durability durability() const override { return device_.durability; }
  std::string_view device() const override { return device_.text; }
  // False where the file system refused O_DIRECT.
  bool is_direct() const { return direct_; }

  base::Result<FileId> create(std::string_view file_name, std::uint64_t bytes) override;
  base::Result<FileId> reserve(std::string_view file_name, std::uint64_t bytes) override;
  base::Result<FileId> open(std::string_view file_name) override;
  void close(FileId file) override;
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
  void poll() override {}
  void drain() override;

 private:
  struct Operation {
    DiskHandler* handler = nullptr;
    std::uint64_t token = 0;
    std::uint32_t bytes = 0;
    std::uint16_t next_free = 0;
  };

  UringDisk(const UringDiskOptions& options, base::Uring& uring);
  base::Result<void> lock_folder();
  void find_direct();
  base::Result<FileId> add_file(std::int32_t fd, std::string_view file_name);
  base::Result<std::int32_t> open_file(std::string_view file_name, int flags) const;
  base::Result<void> allocate_blocks(std::int32_t fd, std::string_view file_name,
                                     std::uint64_t bytes) const;
  base::Result<void> write_zeros(std::int32_t fd, std::string_view file_name,
                                 std::uint64_t bytes) const;
  base::Result<void> sync_folder() const;
  std::int32_t fd_of(FileId file) const;
  std::uint16_t take_operation(std::size_t bytes, DiskHandler& handler, std::uint64_t token);
  void on_completion(std::uint64_t token, std::int32_t result, std::uint32_t flags) override;

  UringDiskOptions options_;
  base::Uring& uring_;
  std::uint8_t uring_handler_ = 0;
  DeviceFacts device_;
  std::int32_t folder_fd_ = -1;
  std::int32_t lock_fd_ = -1;
  bool direct_ = true;

  std::array<std::int32_t, files_max> fds_{};  // closed: -1; written before anybody has the id
  base::Counter file_count_;

  std::array<Operation, operations_max> operations_;
  std::uint16_t first_free_ = 0;
  std::uint32_t in_flight_ = 0;
};

}  // namespace millrace::storage

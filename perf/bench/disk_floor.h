// DiskFloor: what the disk of this machine can do: one durable direct write at a time, the device's
// own way, through the same Disk as the journal.
// Thread: the main one; while awake it has the node's processor.
// Owns:  a file in the directory it is given.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "dataplane/base/clock.h"
#include "dataplane/base/uring.h"
#include "perf/bench/subject.h"
#include "storage/uring_disk.h"

namespace millrace::bench {

struct DiskFloorOptions {
  std::string directory;
  std::uint32_t write_bytes = storage::block_bytes;
  int awake_cpu = -2;
  int resting_cpu = -2;
};

class DiskFloor final : public Subject, private storage::DiskHandler {
 public:
  static base::Result<std::unique_ptr<DiskFloor>> open(const DiskFloorOptions& options);

  void wake() override;
  void rest() override;
  base::Result<void> measure(std::uint64_t count, Measured& into) override;

  std::string durability() const { return std::string(storage::name(disk_->durability())); }
  std::string device() const { return std::string(disk_->device()); }

 private:
  explicit DiskFloor(const DiskFloorOptions& options) : options_(options) {}
  base::Result<void> write_one();
  void on_disk(std::uint64_t token, std::int32_t result) override;

  struct Free {
    void operator()(std::byte* bytes) const { std::free(bytes); }
  };

  DiskFloorOptions options_;
  std::unique_ptr<base::Uring> uring_;
  std::unique_ptr<storage::UringDisk> disk_;
  std::unique_ptr<std::byte[], Free> buffer_;
  base::SystemClock clock_;
  storage::FileId file_{};
  std::uint64_t at_ = 0;
  std::int32_t result_ = 0;
  bool done_ = false;
};

}  // namespace millrace::bench

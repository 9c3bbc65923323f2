// DiskFloor: see disk_floor.h.
#include "perf/bench/disk_floor.h"

#include <algorithm>
#include <cstring>

#include "perf/bench/cpus.h"
#include "perf/bench/interrupt.h"

namespace millrace::bench {

using base::Error;
using base::ErrorCode;

namespace {

constexpr std::uint64_t file_bytes = 256 * base::mib;  // written round and round, like a journal
constexpr std::uint32_t ring_entries = 64;
constexpr std::uint32_t completions_max = 64;
constexpr std::uint64_t warm_up_count = 20;

}  // namespace

base::Result<std::unique_ptr<DiskFloor>> DiskFloor::open(const DiskFloorOptions& options) {
  if (options.write_bytes == 0 || options.write_bytes % storage::block_bytes != 0 ||
      options.write_bytes > file_bytes) {
    return Error(ErrorCode::invalid_argument, "writes of {} bytes: a multiple of {}, at most {}",
                 options.write_bytes, storage::block_bytes, file_bytes);
  }
  std::unique_ptr<DiskFloor> floor(new DiskFloor(options));
  auto uring = base::Uring::create(ring_entries);
  if (!uring) return uring.error();
  floor->uring_ = std::move(*uring);
  auto disk = storage::UringDisk::open({.folder = options.directory + "/floor"}, *floor->uring_);
  if (!disk) return disk.error();
  floor->disk_ = std::move(*disk);
  auto file = floor->disk_->create("floor", base::align_down(file_bytes, storage::block_bytes));
  if (!file) return file.error();
  floor->file_ = *file;
  floor->buffer_.reset(
      static_cast<std::byte*>(std::aligned_alloc(storage::block_bytes, options.write_bytes)));
  if (floor->buffer_ == nullptr) return Error(ErrorCode::no_space, "no memory for the buffer");
  std::memset(floor->buffer_.get(), 0x5A, options.write_bytes);
  return floor;
}

void DiskFloor::wake() { pin_to(options_.awake_cpu); }
void DiskFloor::rest() { pin_to(options_.resting_cpu); }

base::Result<void> DiskFloor::measure(std::uint64_t count, Measured& into) {
  for (std::uint64_t i = 0; i < std::min(count, warm_up_count); ++i) {
    if (auto written = write_one(); !written) return written;
  }
  const std::uint64_t start_ns = clock_.monotonic_ns();
  std::uint64_t before_ns = start_ns;
  for (std::uint64_t i = 0; i < count; ++i) {
    if (auto written = write_one(); !written) return written;
    const std::uint64_t now_ns = clock_.monotonic_ns();
    into.latency_ns.record(now_ns - before_ns);
    before_ns = now_ns;
  }
  into.count += count;
  into.bytes += count * options_.write_bytes;
  into.elapsed_ns += before_ns - start_ns;
  return {};
}

base::Result<void> DiskFloor::write_one() {
  if (interrupted()) return Error(ErrorCode::unavailable, "interrupted");
  if (at_ + options_.write_bytes > file_bytes) at_ = 0;
  done_ = false;
  disk_->write_durable(file_, at_, {buffer_.get(), options_.write_bytes}, *this, 0);
  while (!done_) uring_->wait(base::second_ns, completions_max);
  at_ += options_.write_bytes;
  if (result_ >= 0) return {};
  return Error(ErrorCode::io, "cannot write in {}: {}", options_.directory,
               std::strerror(-result_));
}

void DiskFloor::on_disk(std::uint64_t, std::int32_t result) {
  result_ = result;
  done_ = true;
}

}  // namespace millrace::bench

#include "storage/tool/salvage.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "storage/block_buffer.h"

namespace millrace::storage {
namespace {

constexpr std::uint64_t copy_bytes = 4ULL << 20;

// A file that is new, written from its beginning.
class Output {
 public:
  explicit Output(std::string path)
      : path_(std::move(path)),
        fd_(open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640)) {}
  ~Output() {
    if (fd_ >= 0) close(fd_);
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  base::Result<void> write(std::span<const std::byte> bytes) {
    while (fd_ >= 0 && !bytes.empty()) {
      const ssize_t count = ::write(fd_, bytes.data(), bytes.size());
      if (count < 0) return failed();
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
    return fd_ < 0 ? failed() : base::Result<void>();
  }
  base::Result<void> finish() {
    return fd_ < 0 || fsync(fd_) != 0 ? failed() : base::Result<void>();
  }

 private:
  base::Error failed() const {
    return base::Error(base::ErrorCode::io, "cannot write {}: {}", path_, std::strerror(errno));
  }

  std::string path_;
  int fd_;
};

base::Result<std::uint64_t> copy_runs(OverlayDisk& disk, const std::vector<BatchRun>& runs,
                                      const std::string& path) {
  Output output(path);
  const BlockBuffer buffer(copy_bytes);
  std::uint64_t total = 0;
  for (const BatchRun& run : runs) {
    const std::uint64_t run_end = run.position + run.bytes;
    for (std::uint64_t at = run.position; at < run_end;) {
      const std::uint64_t from = base::align_down(at, block_bytes);
      const std::uint64_t to = std::min(base::align_up(run_end, block_bytes), from + copy_bytes);
      const auto bytes = buffer.span().first(to - from);
      if (auto read = disk.read_now(run.file, from, bytes); !read) return read.error();
      const std::uint64_t count = std::min(to, run_end) - at;
      if (auto written = output.write(bytes.subspan(at - from, count)); !written) {
        return written.error();
      }
      at += count;
      total += count;
    }
  }
  if (auto finished = output.finish(); !finished) return finished.error();
  return total;
}

std::vector<OffsetSpan> spans_of(const std::vector<BatchRun>& runs) {
  std::vector<OffsetSpan> spans;
  for (const BatchRun& run : runs) {
    if (spans.empty() || spans.back().end != run.first_offset)
      spans.push_back({run.first_offset, 0});
    spans.back().end = run.end_offset;
  }
  return spans;
}

}  // namespace

base::Result<Salvaged> salvage_shard(OverlayDisk& disk, const ShardSurvey& survey,
                                     const std::string& folder) {
  Salvaged salvaged;
  for (const auto& [id, partition] : survey.partitions) {
    SalvagedPartition one{.partition = id,
                          .file = fmt::format("partition-{}", id),
                          .there = spans_of(partition.runs),
                          .missing = partition.missing};
    const auto bytes = copy_runs(disk, partition.runs, folder + "/" + one.file);
    if (!bytes) return bytes.error();
    one.bytes = *bytes;
    salvaged.partitions.push_back(std::move(one));
  }
  if (!survey.unassigned.empty()) {
    salvaged.unassigned_file = fmt::format("unassigned-shard-{}", base::raw(survey.identity.shard));
    const auto bytes = copy_runs(disk, survey.unassigned, folder + "/" + salvaged.unassigned_file);
    if (!bytes) return bytes.error();
    salvaged.unassigned_bytes = *bytes;
  }
  return salvaged;
}

}  // namespace millrace::storage

#include "storage/file_ring.h"

#include <fmt/format.h>

#include <string>

#include "dataplane/base/check.h"

namespace millrace::storage {
namespace {

std::string name_of(std::uint64_t slot) { return fmt::format("journal-{:04}", slot); }

}  // namespace

FileRing::FileRing(Disk& disk, std::uint64_t file_bytes, std::uint32_t files_max)
    : disk_(disk),
      file_bytes_(file_bytes),
      file_shift_(static_cast<std::uint32_t>(std::countr_zero(file_bytes))),
      files_(files_max) {
  CHECK(std::has_single_bit(file_bytes));
}

base::Result<void> FileRing::open_existing() {
  std::uint64_t count = 0;
  while (count < files_.size() && disk_.exists(name_of(count))) {
    auto file = disk_.open(name_of(count));
    if (!file) return file.error();
    auto bytes = disk_.size(*file);
    if (!bytes) return bytes.error();
    if (*bytes != file_bytes_) {
      return base::Error(base::ErrorCode::corrupt,
                         "{} is {} bytes long and must be {}; restore it from a copy of the data "
                         "folder",
                         name_of(count), *bytes, file_bytes_);
    }
    files_[count++] = *file;
  }
  for (std::uint64_t slot = count + 1; slot < files_.size(); ++slot) {
    if (disk_.exists(name_of(slot))) {
      return base::Error(base::ErrorCode::corrupt,
                         "{} is missing though {} is there; restore it from a copy of the data "
                         "folder",
                         name_of(count), name_of(slot));
    }
  }
  prepared_.set(count);
  return {};
}

base::Result<void> FileRing::flush_all() {
  for (std::uint64_t i = 0; i < prepared_.get(); ++i) {
    if (auto flushed = disk_.flush_now(files_[i]); !flushed) return flushed;
  }
  return {};
}

base::Result<bool> FileRing::prepare(std::uint64_t wanted) {
  const std::uint64_t count = prepared_.get();
  if (count >= wanted || count == files_.size()) return false;
  auto file = disk_.create(name_of(count), file_bytes_);
  starved_.set(file ? 0 : 1);
  if (!file) return file.error();
  files_[count] = *file;
  prepared_.set(count + 1);
  return true;
}

}  // namespace millrace::storage

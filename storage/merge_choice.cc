#include "storage/merge_choice.h"

#include <bit>
#include <set>

namespace millrace::storage {
namespace {

// Merged once more it would be too large, or its readers gain nothing by it.
bool is_settled(const MergeOptions& options, const FileWeight& file) {
  return !file.may_be_rewritten || file.segments == 0 ||
         file.bytes / file.segments >= options.large_segment_bytes ||
         file.bytes > options.file_bytes_max / options.files_per_merge;
}

// A file is a size larger than those that it was merged of.
int size_of(const MergeOptions& options, const FileWeight& file) {
  return static_cast<int>(std::bit_width(file.bytes)) / std::countr_zero(options.files_per_merge);
}

}  // namespace

// The oldest neighbours of the smallest size of which there are enough, and what is smaller between
// them.
std::vector<std::size_t> choose_merge(const MergeOptions& options,
                                      std::span<const FileWeight> files) {
  std::set<int> sizes;
  for (const FileWeight& file : files) sizes.insert(size_of(options, file));
  for (const int size : sizes) {
    std::vector<std::size_t> run;
    std::uint32_t count = 0;  // of this size
    for (std::size_t i = 0; i + 1 < files.size(); ++i) {
      const int its_size = size_of(options, files[i]);
      if (is_settled(options, files[i]) || its_size > size) {
        run.clear();
        count = 0;
        continue;
      }
      if (its_size == size) ++count;
      if (count != 0) run.push_back(i);
      if (count == options.files_per_merge) return run;
    }
  }
  return {};
}

}  // namespace millrace::storage

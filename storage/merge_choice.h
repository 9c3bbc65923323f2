// MergeChoice: which neighbours of a shard's segment files are to become one, by their sizes alone.
// Core:  none; a pure function.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace millrace::storage {

struct MergeOptions {
  std::uint32_t files_per_merge = 8;                // a power of two
  std::uint64_t file_bytes_max = 64ULL << 30;       // of what is merged
  std::uint64_t large_segment_bytes = 32ULL << 20;  // on average: a file of these is not merged
};

// What of a file is wanted.
struct FileWeight {
  std::uint64_t bytes = 0;
  std::uint64_t segments = 0;
  bool may_be_rewritten = true;
};

// Of files, oldest first, the places of those to merge now; none when all may stay as they are. The
// newest one stays: it says how far the journal is sorted.
std::vector<std::size_t> choose_merge(const MergeOptions& options,
                                      std::span<const FileWeight> files);

}  // namespace millrace::storage

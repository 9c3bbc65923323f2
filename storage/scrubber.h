// Scrubber: reads segment files again, slowly, and says what the device no longer holds as it was
// written. Changes nothing; whoever reads a damaged batch is told so by the batch's own CRC.
// Core:  housekeeping; a step reads one window at most and blocks for it.
// Owns:  where it is, and which places it has named. A file is looked up by its number at each
//        step, since it may have gone.
//
// Of a file come both headers, then both copies of the meta, then the data, judged by the CRCs of
// a sound copy. What looks wrong is read once more before it is called damaged.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/block_buffer.h"
#include "storage/segment_store.h"
#include "storage/sorter_link.h"

namespace millrace::storage {

struct ScrubberOptions {
  std::uint64_t bytes_per_s = 0;                         // 0: never
  std::uint64_t pass_ns = 24ULL * 3600 * 1'000'000'000;  // from one pass's start to the next's
  std::uint32_t places_max = 65536;                      // named; more are only counted
};

class Scrubber {
 public:
  static constexpr std::uint64_t window_bytes = 1ULL << 20;

  Scrubber(const ScrubberOptions& options, Disk& disk, SegmentStore& store, SorterLink& link)
      : options_(options), disk_(disk), store_(store), link_(link) {}

  // True when the rate allows another step at once.
  bool step(std::uint64_t now_ns);

 private:
  enum class Part : std::uint8_t { headers, meta, data };
  using Place = std::pair<std::uint64_t, std::uint64_t>;  // number of a file, byte in it

  const SegmentFile* find_file(std::uint64_t now_ns);
  const SegmentFile* begin_file();
  void end_pass();
  std::uint64_t check_some(const SegmentFile& file);
  std::uint64_t check_headers(const SegmentFile& file);
  std::uint64_t check_meta(const SegmentFile& file);
  void end_meta_copy(const SegmentFile& file);
  std::uint64_t check_data(const SegmentFile& file);
  void check_again(const SegmentFile& file, std::uint64_t block, std::span<std::byte> bytes);
  bool is_block_sound(const SegmentFile& file, std::uint64_t block,
                      std::span<const std::byte> bytes) const;

  void report(const SegmentFile& file, std::uint64_t at, std::uint64_t bytes,
              std::string_view what);
  bool tell();

  ScrubberOptions options_;
  Disk& disk_;
  SegmentStore& store_;
  SorterLink& link_;
  BlockBuffer window_;

  std::uint64_t next_ns_ = 0;
  std::optional<std::uint64_t> pass_started_ns_;  // nothing: none is under way
  std::uint64_t pass_after_ns_ = 0;               // the next one does not begin before
  std::uint64_t pass_end_ = 0;                    // numbers from here on came after it began
  bool pass_read_any_ = false;

  std::uint64_t number_ = 0;  // of the file
  bool in_file_ = false;      // not at its end yet
  Part part_ = Part::headers;
  std::uint64_t at_ = 0;  // in the copy of the meta, or in the data
  std::uint32_t copy_ = 0;
  std::uint32_t copy_crc_ = 0;
  bool copy_failed_ = false;
  bool second_look_ = false;
  std::vector<std::uint32_t> copy_crcs_;   // as this copy has them
  std::vector<std::uint32_t> block_crcs_;  // of a sound copy

  std::set<Place> named_;
  std::vector<ScrubFinding> findings_;  // of one step, not told yet
};

}  // namespace millrace::storage

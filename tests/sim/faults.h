// Faults: every kind of trouble that a simulated run can meet, and how often it did.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace millrace::sim {

enum class Fault : std::uint8_t {
  packet_lost,
  packet_doubled,
  packet_late,      // so late that later ones overtake it
  link_cut,         // one direction of one client's link, for a while
  disk_stalled,     // one disk completes nothing for a while
  disk_slow,        // each operation of one disk takes thirty times as long for a while
  killed,           // the process ends; the disk keeps what it was given
  power_cut,        // the disk keeps what was flushed and any part of the rest
  torn_write,       // a power cut kept some sectors of a write and lost others
  restarted,        // a clean end
  client_gone,      // a client ends without a word, another takes its place
  bit_rot,          // one bit of what was durable
  write_lost,       // a durable block reads as zeros
  write_misplaced,  // a durable block has another one's bytes
  unreadable,       // a durable block cannot be read
  // Where one of these four happened, the node up or down; else in the journal, the node down.
  segment_data_harmed,
  segment_index_harmed,
  segment_meta_harmed,    // one of two copies
  segment_header_harmed,  // one of two copies
  write_failed,           // a write ends in EIO
  flush_failed,           // a flush ends in EIO
  sorting_cut,            // a kill or power cut with a segment file half written
  disk_full,              // no file can be made for a while
  records_deleted,        // the oldest of a partition
  rewriting_cut,          // a kill or power cut with a merged or compacted file half written
  // No trouble, but what a night must not be without.
  files_merged,
  partitions_compacted,
  tombstone_gone,
  count,
};

constexpr std::array<std::string_view, static_cast<std::size_t>(Fault::count)> fault_names = {
    "packet_lost",
    "packet_doubled",
    "packet_late",
    "link_cut",
    "disk_stalled",
    "disk_slow",
    "killed",
    "power_cut",
    "torn_write",
    "restarted",
    "client_gone",
    "bit_rot",
    "write_lost",
    "write_misplaced",
    "unreadable",
    "segment_data_harmed",
    "segment_index_harmed",
    "segment_meta_harmed",
    "segment_header_harmed",
    "write_failed",
    "flush_failed",
    "sorting_cut",
    "disk_full",
    "records_deleted",
    "rewriting_cut",
    "files_merged",
    "partitions_compacted",
    "tombstone_gone"};

using FaultCounts = std::array<std::uint64_t, static_cast<std::size_t>(Fault::count)>;

inline void add(FaultCounts& counts, Fault fault, std::uint64_t n = 1) {
  counts[static_cast<std::size_t>(fault)] += n;
}

}  // namespace millrace::sim

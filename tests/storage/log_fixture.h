// LogFixture: a Log on a FaultyDisk, what was appended to it, and readers that check every byte.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "storage/log.h"
#include "tests/storage/journal_fixture.h"

namespace millrace::storage {

// Six files of 4 MiB and a tail of two: what is 8 MiB old has to come from the disk.
inline LogOptions small_log_options() {
  LogOptions options;
  options.journal = small_options();
  options.journal.files_max = 6;
  options.partitions_max = 16;
  options.read_buffers = 2;
  return options;
}

// Sorted as soon as there is anything to sort, and not merged.
inline LogOptions sorting_log_options() {
  LogOptions options = small_log_options();
  options.has_sorter = true;
  options.sorter = {.pass_bytes = small_file_bytes, .start_bytes = 1};
  options.compactor = {.merge = {.files_per_merge = 1U << 16}, .interval_ns = 0};
  options.segments_max = 256;
  return options;
}

class LogFixture {
 public:
  explicit LogFixture(LogOptions log_options = small_log_options()) : options(log_options) {
    open();
  }

  bool try_open() {
    log.reset();
    arena.emplace(std::move(
        base::Arena::create({.bytes = Log::arena_bytes(options), .huge_pages = false}).value()));
    auto opened = Log::open(options, disk, *arena, observer);
    if (!opened) {
      error = opened.error();
      return false;
    }
    log = std::move(*opened);
    return true;
  }
  void open() {
    if (!try_open()) {
      ADD_FAILURE() << error->message();
      std::abort();
    }
    prepare();
  }
  void crash_and_open() {
    disk.crash();
    open();
  }
  void close_and_open() {
    ASSERT_TRUE(log->journal().close().has_value());
    open();
  }
  void prepare() {
    for (auto more = log->journal().prepare_files(); more && *more;)
      more = log->journal().prepare_files();
  }

  std::uint32_t slot(std::uint32_t partition) {
    return log->create_partition(base::PartitionId{partition});
  }
  struct Written {
    base::Offset offset;
    base::Position position;
    std::vector<std::byte> bytes;  // as a reader gets them: stamped
  };
  Written append(std::uint32_t partition, std::size_t bytes) {
    auto batch = make_batch(next_number, bytes);
    ++next_number;
    const auto appended = log->append_batch(slot(partition), batch, true);
    stamp_batch(batch.data(), appended.base_offset, 0);
    const base::Position position = appended.durable_at - batch.size();
    written[partition].push_back({appended.base_offset, position, std::move(batch)});
    return written[partition].back();
  }
  void turn() {
    now_ns += 10'000;
    log->journal().submit_writes(now_ns);
    prepare();
    log->journal().reap_writes(now_ns);
  }
  void settle() {
    for (int i = 0; i < 100 && log->durable_position() < log->append_position(); ++i) turn();
    EXPECT_EQ(log->durable_position(), log->append_position());
  }
  // One step of housekeeping, and the shard's turn after it. False when there was nothing to do.
  bool keep_house() {
    auto worked = log->keep_house(now_ns, wall_ms);
    if (!worked) {
      error = worked.error();
      return false;
    }
    const bool told = log->take_messages();
    turn();
    return *worked || told;
  }
  // Until nothing is left to be sorted.
  void sort() {
    log->take_messages();
    for (int idle = 0; idle < 3;) idle = keep_house() ? 0 : idle + 1;
  }
  Written append_durably(std::uint32_t partition, std::size_t bytes) {
    const Written added = append(partition, bytes);
    settle();
    return added;
  }
  // As many batches of the size as it takes for `total` bytes, each durable before the next.
  void fill(std::uint32_t partition, std::size_t batch_bytes, std::uint64_t total) {
    for (std::uint64_t done = 0; done < total; done += batch_bytes) {
      ASSERT_GE(log->append_room_bytes(), batch_bytes + 200);
      append_durably(partition, batch_bytes);
    }
  }

  // What a reader gets, waiting for the disk as often as it is told to.
  Log::ReadStatus read(std::uint32_t partition, Log::Cursor& cursor, Log::Slice& slice,
                       std::uint32_t max_bytes = batch_bytes_max) {
    for (int i = 0; i < 100; ++i) {
      const auto status = log->read(slot(partition), cursor, max_bytes, slice);
      if (status != Log::ReadStatus::pending) return status;
      ++pending_count;
      turn();
    }
    return Log::ReadStatus::pending;
  }
  // Reads from the offset to the end and expects what was written, byte for byte.
  void expect_readable(std::uint32_t partition, base::Offset from = 0,
                       std::uint32_t max_bytes = batch_bytes_max) {
    Log::Cursor cursor = log->cursor_at(slot(partition), from);
    for (const Written& batch : written[partition]) {
      if (batch.offset < from) continue;
      std::vector<std::byte> got;
      do {
        Log::Slice slice;
        ASSERT_EQ(read(partition, cursor, slice, max_bytes), Log::ReadStatus::ready);
        ASSERT_EQ(slice.base_offset, batch.offset);
        ASSERT_EQ(slice.batch_bytes, batch.bytes.size());
        ASSERT_EQ(slice.skip_bytes, got.size());
        ASSERT_LE(slice.byte_count, max_bytes);
        got.insert(got.end(), slice.bytes, slice.bytes + slice.byte_count);
        log->advance(cursor, slice);
      } while (cursor.skip_bytes != 0);
      ASSERT_EQ(got, batch.bytes) << "offset " << batch.offset;
    }
    Log::Slice slice;
    EXPECT_EQ(read(partition, cursor, slice), Log::ReadStatus::at_end);
  }
  bool in_tail(const Written& batch) {
    return log->journal().in_tail(batch.position, static_cast<std::uint32_t>(batch.bytes.size())) !=
           nullptr;
  }
  // The file a batch lies in, and where.
  static std::string file_of(base::Position position) {
    return "journal-000" + std::to_string(position / small_file_bytes % 6);
  }

  LogOptions options;
  RecoveryVisitor* observer = nullptr;
  testing::FaultyDisk disk;
  std::optional<base::Arena> arena;
  std::unique_ptr<Log> log;
  std::optional<base::Error> error;
  std::map<std::uint32_t, std::vector<Written>> written;
  std::uint64_t next_number = 0;
  std::uint64_t now_ns = 1000;
  std::int64_t wall_ms = 0;
  std::uint64_t pending_count = 0;
};

}  // namespace millrace::storage

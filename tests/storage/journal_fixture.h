// JournalFixture: a journal on a FaultyDisk with the batches it was given and those it gives back.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "storage/batch.h"
#include "storage/journal.h"
#include "tests/support/faulty_disk.h"

namespace millrace::storage {

inline constexpr std::uint64_t small_file_bytes = 4ULL << 20;

inline JournalOptions small_options() {
  return {.shard = base::ShardId{3},
          .cluster_id = 0x1234'5678'9abc'def0,
          .file_bytes = small_file_bytes,
          .files_max = 3,
          .tail_bytes = 8ULL << 20,
          .frame_bytes_max = 2U << 20,
          .gather_ns = 1000,
          .files_ahead = 1};
}

// A batch of one record; the value is `bytes` long and depends on `number`.
inline std::vector<std::byte> make_batch(std::uint64_t number, std::size_t bytes) {
  std::vector<std::byte> buffer(bytes + 200);
  std::string value(bytes, '\0');
  std::mt19937_64 random(number);
  for (std::size_t i = 0; i < bytes; ++i) value[i] = static_cast<char>(random() & 0xff);
  BatchBuilder builder(buffer);
  EXPECT_TRUE(builder.add(std::nullopt, value, 1000 + static_cast<std::int64_t>(number)));
  const auto batch = builder.finish(9, 0, static_cast<std::int32_t>(number));
  return {batch.begin(), batch.end()};
}

struct SeenBatch {
  base::PartitionId partition;
  base::Position position;
  std::vector<std::byte> bytes;
  bool operator==(const SeenBatch&) const = default;
};
struct SeenDamage {
  std::optional<base::PartitionId> partition;
  base::Position first;
  base::Position last;
  bool operator==(const SeenDamage&) const = default;
};

class Seen final : public RecoveryVisitor {
 public:
  void on_batch(base::PartitionId partition, base::Position position,
                const BatchView& batch) override {
    EXPECT_EQ(check_batch({batch.data(), batch.bytes()}), BatchFault::none);
    batches.push_back({partition, position, {batch.data(), batch.data() + batch.bytes()}});
  }
  void on_damage(const base::PartitionId* partition, base::Position first,
                 base::Position last) override {
    EXPECT_LT(first, last);
    damage.push_back(
        {partition == nullptr ? std::nullopt : std::optional(*partition), first, last});
  }
  void on_progress(std::uint64_t bytes_done, std::uint64_t bytes_total) override {
    EXPECT_LE(bytes_done, bytes_total);
    ++progress_calls;
  }

  std::vector<SeenBatch> batches;
  std::vector<SeenDamage> damage;
  int progress_calls = 0;
};

class JournalFixture {
 public:
  explicit JournalFixture(JournalOptions options = small_options(), std::uint64_t seed = 1,
                          Durability durability = Durability::flush)
      : options(options), disk(seed, durability) {}

  bool try_open() {
    journal.reset();
    arena.emplace(
        std::move(base::Arena::create({.bytes = Journal::arena_bytes(options), .huge_pages = false})
                      .value()));
    seen = Seen();
    auto opened = Journal::open(options, disk, *arena, seen);
    if (!opened) {
      error = opened.error();
      return false;
    }
    journal = std::move(*opened);
    return true;
  }
  void open() {
    if (!try_open()) {
      ADD_FAILURE() << error->message();
      std::abort();
    }
    prepare();
  }
  // The housekeeping thread's part.
  void prepare() {
    for (auto more = journal->prepare_files(); more && *more;) more = journal->prepare_files();
  }
  // Power fails; what the disk kept is read again.
  void crash_and_open() {
    disk.crash();
    open();
  }

  Journal::Appended append(std::uint64_t number, std::size_t bytes, std::uint32_t partition = 7,
                           bool urgent = true) {
    const auto batch = make_batch(number, bytes);
    const auto offset = static_cast<base::Offset>(100 + number);
    const auto appended =
        journal->append_batch(base::PartitionId{partition}, batch, offset, 5, urgent);
    SeenBatch written{base::PartitionId{partition}, appended.position, batch};
    stamp_batch(written.bytes.data(), offset, 5);
    written_batches.push_back(written);
    durable_at.push_back(appended.durable_at);
    return appended;
  }
  // One turn of the shard's loop.
  bool turn(std::uint64_t ns = 10) {
    now_ns += ns;
    journal->submit_writes(now_ns);
    if (housekeeping) prepare();
    return journal->reap_writes(now_ns);
  }
  // Appends and waits until it is durable.
  Journal::Appended append_durably(std::uint64_t number, std::size_t bytes,
                                   std::uint32_t partition = 7) {
    const auto appended = append(number, bytes, partition);
    for (int i = 0; i < 4 && journal->durable_position() < appended.durable_at; ++i) turn();
    EXPECT_GE(journal->durable_position(), appended.durable_at);
    return appended;
  }

  JournalOptions options;
  testing::FaultyDisk disk;
  std::optional<base::Arena> arena;
  Seen seen;
  std::unique_ptr<Journal> journal;
  std::optional<base::Error> error;
  std::uint64_t now_ns = 1000;
  bool housekeeping = true;
  std::vector<SeenBatch> written_batches;
  std::vector<base::Position> durable_at;
};

}  // namespace millrace::storage

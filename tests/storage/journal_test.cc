#include "storage/journal.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

#include "dataplane/base/alloc_guard.h"
#include "storage/crc32c.h"
#include "storage/frame.h"
#include "storage/memory_disk.h"
#include "tests/storage/journal_fixture.h"

namespace millrace::storage {
namespace {

TEST(Journal, what_was_durable_is_there_after_a_crash) {
  JournalFixture at;
  at.open();
  EXPECT_TRUE(at.seen.batches.empty());
  for (std::uint64_t i = 0; i < 20; ++i) at.append_durably(i, 10 + i * 500);
  at.crash_and_open();
  EXPECT_EQ(at.seen.batches, at.written_batches);
  EXPECT_TRUE(at.seen.damage.empty());
  EXPECT_GT(at.seen.progress_calls, 0);
  EXPECT_EQ(at.journal->append_position() % block_bytes, 0U);
  EXPECT_EQ(at.journal->durable_position(), at.journal->append_position());
}

TEST(Journal, a_clean_end_is_read_back_whole_and_carried_on) {
  JournalFixture at;
  at.open();
  for (std::uint64_t round = 0; round < 4; ++round) {
    at.append(round * 2, 3000);
    at.append(round * 2 + 1, 70'000, 8, false);
    ASSERT_TRUE(at.journal->close());
    EXPECT_EQ(at.journal->durable_position(), at.journal->append_position());
    at.disk.crash();
    at.open();
    EXPECT_EQ(at.seen.batches, at.written_batches);
    EXPECT_TRUE(at.seen.damage.empty());
  }
}

TEST(Journal, an_urgent_batch_goes_out_in_the_same_turn) {
  JournalFixture at;
  at.open();
  const auto appended = at.append(0, 100);
  EXPECT_EQ(appended.position, frame_header_bytes + entry_header_bytes);
  EXPECT_EQ(appended.durable_at, appended.position + at.written_batches[0].bytes.size());
  at.disk.hold(true);
  EXPECT_FALSE(at.turn());
  EXPECT_TRUE(at.journal->write_in_flight());
  EXPECT_EQ(at.journal->durable_position(), 0U);
  at.disk.hold(false);
  EXPECT_TRUE(at.turn(500));
  EXPECT_FALSE(at.turn());  // moved once only
  EXPECT_EQ(at.journal->durable_position(), block_bytes);
  EXPECT_EQ(at.journal->counters().frames_written.get(), 1U);
  EXPECT_EQ(at.journal->counters().frame_bytes_written.get(), block_bytes);
  EXPECT_EQ(at.journal->counters().write_ns_total.get(), 500U);
}

TEST(Journal, all_that_gathers_during_a_write_goes_out_in_the_next) {
  JournalFixture at;
  at.open();
  at.disk.hold(true);
  at.append(0, 100);
  at.turn();
  for (std::uint64_t i = 1; i <= 50; ++i) {
    at.append(i, 1000);
    at.turn();
  }
  EXPECT_EQ(at.disk.writes_started(), 1U);  // one at a time
  at.disk.deliver_one();
  EXPECT_TRUE(at.turn());
  EXPECT_EQ(at.disk.writes_started(), 2U);
  EXPECT_GT(at.disk.last_write_bytes(), 50'000U);
  at.disk.deliver_one();
  EXPECT_TRUE(at.turn());
  EXPECT_GE(at.journal->durable_position(), at.durable_at.back());
  at.crash_and_open();
  EXPECT_EQ(at.seen.batches, at.written_batches);
}

TEST(Journal, bytes_nobody_waits_for_gather_for_a_while) {
  JournalFixture at;
  at.open();
  at.append(0, 100, 7, false);
  at.turn(0);
  at.turn(at.options.gather_ns - 1);
  EXPECT_EQ(at.disk.writes_started(), 0U);
  at.turn(1);
  EXPECT_EQ(at.disk.writes_started(), 1U);
  EXPECT_EQ(at.journal->durable_position(), block_bytes);
  at.turn(10 * at.options.gather_ns);
  EXPECT_EQ(at.disk.writes_started(), 1U);                       // nothing, however long it waits
  for (int i = 1; i <= 2; ++i) at.append(i, 600'000, 7, false);  // enough to be worth a write
  at.turn(0);
  EXPECT_EQ(at.disk.writes_started(), 2U);
  at.append(3, 100, 7, false);
  at.append(4, 100, 7, true);  // takes along what gathered before it
  at.turn(0);
  EXPECT_EQ(at.disk.writes_started(), 3U);
}

TEST(Journal, no_write_is_longer_than_its_limit) {
  JournalFixture at;
  at.open();
  at.disk.hold(true);
  at.append(0, 100);
  at.turn();
  std::uint64_t i = 1;
  for (; at.journal->room_bytes() > 100'300; ++i) at.append(i, 100'000);
  at.disk.hold(false);
  for (int turns = 0; turns < 20; ++turns) {
    at.turn();
    EXPECT_LE(at.disk.last_write_bytes(), at.options.frame_bytes_max + block_bytes);
  }
  EXPECT_EQ(at.journal->durable_position(), at.journal->append_position());
  at.crash_and_open();
  EXPECT_EQ(at.seen.batches, at.written_batches);
}

// Recovery hands out sound entries of a frame whose CRC is wrong, so it would not notice.
TEST(Journal, the_crc_of_each_frame_covers_its_body_however_it_was_gathered) {
  JournalFixture at;
  at.open();
  at.disk.hold(true);
  std::uint64_t i = 0;
  for (; at.journal->room_bytes() > 100'300; ++i) {
    at.append(i, i % 3 == 0 ? 100'000 : 100);
    if (i % 5 == 0) at.turn();
  }
  at.disk.hold(false);
  while (at.journal->durable_position() < at.durable_at.back()) at.turn();
  const std::uint32_t seed = journal_seed(at.options.cluster_id, at.options.shard);
  std::vector<std::byte> frame(at.options.frame_bytes_max);
  std::uint32_t frames = 0;
  std::uint32_t entries = 0;
  for (base::Position place = 0; place < at.journal->durable_position();) {
    const std::uint64_t in_file = place % small_file_bytes;
    const std::uint64_t bytes = std::min(frame.size(), small_file_bytes - in_file);
    const FileId file =
        at.disk.open(fmt::format("journal-{:04}", place / small_file_bytes)).value();
    ASSERT_TRUE(at.disk.read_now(file, in_file, std::span(frame).first(bytes)));
    const auto header = read_frame_header(frame, seed, at.options.shard, place, small_file_bytes);
    ASSERT_TRUE(header);
    if (header->flags == frame_flag_data) {
      const auto body = std::span(frame).subspan(frame_header_bytes, header->body_bytes);
      EXPECT_EQ(crc32c(body, frame_seed(seed, place, header->generation)), header->body_crc);
      entries += header->entry_count;
      ++frames;
    }
    place = frame_end(*header);
  }
  EXPECT_EQ(entries, i);
  EXPECT_GT(frames, 3U);
}

TEST(Journal, a_failed_write_ends_all_acknowledgement) {
  JournalFixture at;
  at.open();
  at.append_durably(0, 100);
  const base::Position durable = at.journal->durable_position();
  at.disk.fail_writes(-EIO);
  at.append(1, 100);
  EXPECT_FALSE(at.turn());
  EXPECT_TRUE(at.journal->failed());
  ASSERT_NE(at.journal->failure(), nullptr);
  EXPECT_NE(at.journal->failure()->message().find("Input/output error"), std::string_view::npos);
  at.disk.fail_writes(0);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(at.turn());
  EXPECT_EQ(at.journal->durable_position(), durable);
  EXPECT_EQ(at.journal->room_bytes(), 0U);
  EXPECT_FALSE(at.journal->close());
}

TEST(Journal, a_failed_flush_is_never_tried_again) {
  JournalFixture at;
  at.open();
  at.append_durably(0, 100);
  at.disk.fail_flushes(-EIO);
  at.append(1, 100);
  EXPECT_FALSE(at.turn());
  EXPECT_TRUE(at.journal->failed());
  at.disk.fail_flushes(0);
  const std::uint64_t writes = at.disk.writes_started();
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(at.turn());
  EXPECT_EQ(at.disk.writes_started(), writes);
  at.crash_and_open();
  ASSERT_EQ(at.seen.batches.size(), 1U);
  EXPECT_EQ(at.seen.batches[0], at.written_batches[0]);
}

TEST(Journal, room_is_exactly_what_append_takes) {
  JournalFixture at;
  at.options.files_max = 2;
  at.open();
  std::mt19937_64 random(3);
  std::uint64_t appended_bytes = 0;
  // Every size up to the room is taken (append_batch checks), until the ring is full.
  for (std::uint64_t i = 0; !at.journal->full(); ++i) {
    const std::uint64_t room = at.journal->room_bytes();
    ASSERT_LE(room, batch_bytes_max);
    const std::uint64_t bytes = random() % 3 == 0 ? room : 100 + random() % 60'000;
    if (bytes > 200 && bytes <= room) {
      at.append(i, bytes - 90 - bytes % 8, 1, random() % 2 == 0);
      appended_bytes += bytes;
    }
    if (random() % 4 == 0 || room < 200) at.turn();
  }
  EXPECT_GT(appended_bytes, 6 * base::mib);
  for (int i = 0; i < 10; ++i) at.turn(at.options.gather_ns);
  EXPECT_TRUE(at.journal->full());
  EXPECT_GT(at.journal->used_bytes(), 6 * base::mib);
  at.crash_and_open();
  EXPECT_EQ(at.seen.batches, at.written_batches);
  EXPECT_TRUE(at.seen.damage.empty());
  EXPECT_TRUE(at.journal->full());
}

TEST(Journal, a_batch_that_fills_the_room_to_the_byte_fits) {
  JournalFixture at;
  at.open();
  at.disk.hold(true);
  std::vector<std::byte> batch = make_batch(1, 1'048'400);
  batch.resize(batch_bytes_max);
  std::uint32_t appended = 0;
  while (at.journal->room_bytes() >= batch_header_bytes) {
    const std::uint64_t room = at.journal->room_bytes();
    at.journal->append_batch(base::PartitionId{1}, std::span(batch).first(room), 0, 0, true);
    ++appended;
    at.turn();
  }
  EXPECT_GT(appended, 6U);
  // Within the tail, and nothing of it written over before it was durable.
  EXPECT_LE(at.journal->append_position(), at.options.tail_bytes);
  EXPECT_FALSE(at.journal->full());
}

TEST(Journal, memory_in_use_by_readers_is_not_written_over) {
  JournalFixture at;
  at.open();
  const auto first = at.append_durably(0, 5000);
  at.journal->set_pinned_from(first.position);
  const auto* bytes = at.journal->in_tail(first.position, 5000);
  ASSERT_NE(bytes, nullptr);
  std::uint64_t i = 1;
  for (; at.journal->room_bytes() > 700'000; ++i) at.append_durably(i, 600'000);
  EXPECT_FALSE(at.journal->full());
  EXPECT_LE(at.journal->append_position(), at.options.tail_bytes);
  EXPECT_EQ(at.journal->in_tail(first.position, 5000), bytes);
  EXPECT_EQ(std::memcmp(bytes, at.written_batches[0].bytes.data(), 5000), 0);
  at.journal->set_pinned_from(~0ULL);
  EXPECT_GT(at.journal->room_bytes(), 700'000U);
  at.append_durably(i, 600'000);
  at.append_durably(i + 1, 600'000);
  EXPECT_EQ(at.journal->in_tail(first.position, 5000), nullptr);
}

TEST(Journal, the_tail_answers_for_its_length_and_the_disk_for_the_rest) {
  struct Read final : DiskHandler {
    void on_disk(std::uint64_t token, std::int32_t result) override {
      EXPECT_EQ(token, 42U);
      bytes = result;
    }
    std::int32_t bytes = 0;
  };
  JournalFixture at;
  at.open();
  for (std::uint64_t i = 0; i < 11; ++i) at.append_durably(i, 900'000);
  int in_memory = 0, on_disk = 0;
  for (const SeenBatch& batch : at.written_batches) {
    const auto size = static_cast<std::uint32_t>(batch.bytes.size());
    const std::byte* bytes = at.journal->in_tail(batch.position, size);
    const bool within = batch.position + at.options.tail_bytes >= at.journal->append_position();
    EXPECT_EQ(bytes != nullptr, within);
    std::vector<std::byte> buffer(size + 2 * block_bytes);
    if (bytes != nullptr) {
      ++in_memory;
    } else {
      ++on_disk;
      const base::Position from = base::align_down(batch.position, block_bytes);
      const std::uint64_t whole = base::align_up(batch.position + size, block_bytes) - from;
      Read read;
      at.journal->read(from, std::span(buffer).first(whole), read, 42);
      at.turn();
      ASSERT_EQ(read.bytes, static_cast<std::int32_t>(whole));
      bytes = buffer.data() + (batch.position - from);
    }
    EXPECT_EQ(std::memcmp(bytes, batch.bytes.data(), size), 0);
  }
  EXPECT_GT(in_memory, 6);
  EXPECT_GT(on_disk, 1);
  EXPECT_EQ(at.journal->in_tail(at.journal->append_position(), 1), nullptr);
}

TEST(Journal, after_recovery_the_newest_batches_are_in_memory_and_right) {
  JournalFixture at;
  at.open();
  for (std::uint64_t i = 0; i < 12; ++i) at.append_durably(i, 850'000);
  at.crash_and_open();
  int in_memory = 0;
  for (const SeenBatch& batch : at.written_batches) {
    const auto size = static_cast<std::uint32_t>(batch.bytes.size());
    const std::byte* bytes = at.journal->in_tail(batch.position, size);
    if (bytes == nullptr) continue;
    ++in_memory;
    EXPECT_EQ(std::memcmp(bytes, batch.bytes.data(), size), 0);
  }
  EXPECT_GT(in_memory, 4);
}

TEST(Journal, a_full_ring_takes_more_once_trimmed_round_and_round) {
  JournalFixture at;
  at.open();
  std::uint64_t number = 0;
  for (int round = 0; round < 7; ++round) {
    while (!at.journal->full()) at.append_durably(number++, 700'000);
    EXPECT_LE(at.journal->used_bytes(), at.options.file_bytes * at.options.files_max);
    // All but the last file's worth goes.
    const base::Position keep = at.journal->durable_position() - at.options.file_bytes;
    at.journal->trim(keep);
    EXPECT_FALSE(at.journal->full());
    at.turn();
    at.turn();
    EXPECT_GT(at.journal->room_bytes(), 700'000U);
    at.append_durably(number++, 100);
    if (round % 3 == 1) {
      at.crash_and_open();
      const base::Position head = base::align_down(keep, at.options.file_bytes);
      std::vector<SeenBatch> expected;
      for (const SeenBatch& batch : at.written_batches) {
        if (batch.position >= head) expected.push_back(batch);
      }
      EXPECT_EQ(at.seen.batches, expected);
      EXPECT_TRUE(at.seen.damage.empty());
    }
  }
  EXPECT_GT(at.journal->append_position(), 4 * at.options.file_bytes * at.options.files_max / 2);
}

TEST(Journal, a_trimmed_file_is_not_used_before_the_superblock_says_so) {
  JournalFixture at;
  at.open();
  std::uint64_t number = 0;
  while (!at.journal->full()) at.append_durably(number++, 700'000);
  const std::uint64_t room = at.journal->room_bytes();
  EXPECT_LT(room, batch_bytes_max);
  at.disk.hold(true);
  at.journal->trim(at.options.file_bytes + 5);
  at.turn();
  EXPECT_EQ(at.journal->room_bytes(), room);
  at.disk.deliver_one();  // one half
  EXPECT_EQ(at.journal->room_bytes(), room);
  at.journal->trim(2 * at.options.file_bytes);  // waits for its turn
  at.disk.deliver_one();
  EXPECT_EQ(at.journal->room_bytes(), batch_bytes_max);
  EXPECT_EQ(at.disk.in_flight(), 1U);
  at.disk.hold(false);
  at.turn();
  at.turn();
  at.crash_and_open();
  ASSERT_FALSE(at.seen.batches.empty());
  EXPECT_GE(at.seen.batches.front().position, 2 * at.options.file_bytes);
}

TEST(Journal, trimming_never_passes_what_is_durable) {
  JournalFixture at;
  at.open();
  for (std::uint64_t i = 0; i < 6; ++i) at.append_durably(i, 900'000);
  at.journal->trim(~0ULL);
  at.turn();
  at.turn();
  EXPECT_LT(at.journal->used_bytes(), at.options.file_bytes);
  at.crash_and_open();
  EXPECT_EQ(at.seen.batches.back(), at.written_batches.back());
}

TEST(Journal, a_superblock_that_cannot_be_written_ends_all_acknowledgement) {
  JournalFixture at;
  at.open();
  for (std::uint64_t i = 0; i < 6; ++i) at.append_durably(i, 900'000);
  at.disk.fail_writes(-ENOSPC);
  at.journal->trim(5 << 20);
  at.turn();
  EXPECT_TRUE(at.journal->failed());
}

TEST(Journal, files_are_prepared_ahead_by_housekeeping_only) {
  JournalFixture at;
  at.open();
  at.housekeeping = false;
  EXPECT_TRUE(at.disk.exists("journal-0001"));
  EXPECT_FALSE(at.disk.exists("journal-0002"));
  EXPECT_FALSE(*at.journal->prepare_files());
  std::uint64_t number = 0;
  while (at.journal->room_bytes() > 700'200) at.append_durably(number++, 700'000);
  EXPECT_LE(at.journal->append_position(), 2 * at.options.file_bytes);
  EXPECT_FALSE(at.journal->full());  // it is a matter of waiting
  EXPECT_TRUE(*at.journal->prepare_files());
  EXPECT_TRUE(at.disk.exists("journal-0002"));
  EXPECT_EQ(at.journal->room_bytes(), batch_bytes_max);
}

TEST(Journal, a_disk_without_room_for_the_next_file_is_full) {
  JournalFixture at;
  at.open();
  at.housekeeping = false;
  std::uint64_t number = 0;
  while (at.journal->room_bytes() > 700'200) at.append_durably(number++, 700'000);
  at.disk.fail_creates(true);
  EXPECT_FALSE(at.journal->prepare_files());
  EXPECT_TRUE(at.journal->full());
  at.crash_and_open();  // still starts, still readable
  EXPECT_EQ(at.seen.batches, at.written_batches);
  EXPECT_TRUE(at.journal->full());
  at.disk.fail_creates(false);
  EXPECT_TRUE(*at.journal->prepare_files());
  EXPECT_FALSE(at.journal->full());
}

TEST(Journal, appending_writing_and_trimming_allocate_nothing) {
  const JournalOptions options = small_options();
  const auto disk = std::make_unique<MemoryDisk>();
  auto arena = std::move(
      base::Arena::create({.bytes = Journal::arena_bytes(options), .huge_pages = false}).value());
  Seen seen;
  auto journal = std::move(Journal::open(options, *disk, arena, seen).value());
  while (*journal->prepare_files()) {
  }
  const auto batch = make_batch(1, 30'000);
  base::seal();
  std::uint64_t now_ns = 0;
  for (int i = 0; i < 2000; ++i) {
    if (journal->room_bytes() >= batch.size()) {
      journal->append_batch(base::PartitionId{1}, batch, i, 0, i % 2 == 0);
    }
    journal->submit_writes(now_ns += 100);
    journal->reap_writes(now_ns);
    journal->trim(journal->durable_position());
    if (i % 50 == 0) {
      base::unseal();
      while (*journal->prepare_files()) {
      }
      base::seal();
    }
  }
  base::unseal();
  EXPECT_GT(journal->durable_position(), 4 * options.files_max * options.file_bytes);
  EXPECT_TRUE(journal->close());
}

// Power fails at a random moment, again and again. Every acknowledged batch is there, in order,
// with the right bytes, none twice; of the others any number that leaves no gap.
class JournalCrash : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(JournalCrash, loses_nothing_that_was_acknowledged) {
  const std::uint64_t seed = GetParam();
  std::mt19937_64 random(seed);
  const Durability durability = seed % 2 == 0 ? Durability::flush : Durability::fua;
  JournalFixture at(small_options(), seed, durability);
  at.open();
  std::vector<SeenBatch> expected;  // of what the last recovery gave
  base::Position needed = 0;
  std::uint64_t number = 0;
  for (int life = 0; life < 4; ++life) {
    const int turns = 5 + static_cast<int>(random() % 60);
    for (int turn = 0; turn < turns; ++turn) {
      for (std::uint64_t i = random() % 4; i != 0; --i) {
        const std::uint64_t bytes = random() % 8 == 0 ? random() % 900'000 : random() % 20'000;
        if (at.journal->room_bytes() < bytes + 200) break;
        at.append(number++, bytes, static_cast<std::uint32_t>(random() % 5), random() % 2 == 0);
      }
      at.disk.hold(random() % 3 == 0);
      at.turn(random() % 600);
      if (random() % 16 == 0) {
        needed = std::max(needed, at.journal->durable_position() -
                                      std::min<base::Position>(at.journal->durable_position(),
                                                               random() % (8 << 20)));
        at.journal->trim(needed);
      }
    }
    at.disk.hold(false);
    const base::Position durable = at.journal->durable_position();
    if (random() % 4 == 0) {
      ASSERT_TRUE(at.journal->close());
    }
    at.crash_and_open();
    ASSERT_TRUE(at.seen.damage.empty());

    // What came back is a run of what was written...
    ASSERT_GE(at.journal->append_position(), durable);
    auto first = at.written_batches.begin();
    if (!at.seen.batches.empty()) {
      first = std::find(at.written_batches.begin(), at.written_batches.end(), at.seen.batches[0]);
      ASSERT_NE(first, at.written_batches.end());
      ASSERT_LE(at.seen.batches.size(), static_cast<std::size_t>(at.written_batches.end() - first));
      ASSERT_TRUE(std::equal(at.seen.batches.begin(), at.seen.batches.end(), first));
    } else {
      first = at.written_batches.end();
    }
    // ...that reaches from what is still needed to what was acknowledged.
    for (auto it = at.written_batches.begin(); it != at.written_batches.end(); ++it) {
      const bool seen =
          it >= first && it < first + static_cast<std::ptrdiff_t>(at.seen.batches.size());
      if (it->position >= needed && it->position + it->bytes.size() <= durable) {
        ASSERT_TRUE(seen) << "life " << life << " position " << it->position;
      }
    }
    // Positions of what is gone may be given again.
    at.written_batches = at.seen.batches;
  }
}

INSTANTIATE_TEST_SUITE_P(seeds, JournalCrash, ::testing::Range<std::uint64_t>(0, 20));

}  // namespace
}  // namespace millrace::storage

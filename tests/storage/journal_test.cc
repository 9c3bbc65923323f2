#include "storage/journal.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace millrace::storage

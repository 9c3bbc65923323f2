#include "dataplane/shard/producer_table.h"

#include <gtest/gtest.h>

#include "dataplane/base/units.h"

namespace millrace::shard {
namespace {

constexpr base::PartitionId partition{7};
constexpr base::ProducerId producer_id = 42;

class ProducerTableTest : public ::testing::Test {
 protected:
  ProducerTableTest()
      : arena_(std::move(*base::Arena::create(
            {.bytes = ProducerTable::arena_bytes(producers_max), .huge_pages = false}))),
        table_(arena_, producers_max) {}

  // Offers a batch; accepted ones go to successive offsets.
  Status offer(std::int32_t first, std::int32_t last, std::int16_t epoch = 0,
               base::ProducerId id = producer_id, std::uint64_t now_ns = 1) {
    const auto verdict = table_.check(partition, id, epoch, first, last, now_ns);
    told_offset_ = verdict.base_offset;
    if (verdict.status == Status::ok) {
      ProducerTable::accept(*verdict.producer, first, last, next_offset_);
      next_offset_ += last - first + 1;
    }
    return verdict.status;
  }

  static constexpr std::uint32_t producers_max = 64;
  base::Arena arena_;
  ProducerTable table_;
  base::Offset next_offset_ = 1000;
  base::Offset told_offset_ = -1;
};

TEST_F(ProducerTableTest, takes_batches_that_continue_the_sequence) {
  EXPECT_EQ(offer(0, 9), Status::ok);
  EXPECT_EQ(offer(10, 10), Status::ok);
  EXPECT_EQ(offer(11, 30), Status::ok);
}

TEST_F(ProducerTableTest, answers_a_repeat_with_the_offset_of_the_first_time) {
  ASSERT_EQ(offer(0, 9), Status::ok);
  ASSERT_EQ(offer(10, 19), Status::ok);
  EXPECT_EQ(offer(0, 9), Status::duplicate);
  EXPECT_EQ(told_offset_, 1000);
  EXPECT_EQ(offer(10, 19), Status::duplicate);
  EXPECT_EQ(told_offset_, 1010);
}

TEST_F(ProducerTableTest, knows_a_repeat_older_than_it_remembers_without_its_offset) {
  for (std::int32_t i = 0; i < 10; ++i) ASSERT_EQ(offer(i, i), Status::ok);
  EXPECT_EQ(offer(0, 0), Status::duplicate);
  EXPECT_EQ(told_offset_, -1);
}

TEST_F(ProducerTableTest, refuses_a_gap_in_the_sequence) {
  ASSERT_EQ(offer(0, 9), Status::ok);
  EXPECT_EQ(offer(11, 12), Status::out_of_order);
}

TEST_F(ProducerTableTest, refuses_a_batch_that_is_half_old_and_half_new) {
  ASSERT_EQ(offer(0, 9), Status::ok);
  EXPECT_EQ(offer(5, 14), Status::out_of_order);
}

TEST_F(ProducerTableTest, follows_the_sequence_around_its_end) {
  constexpr std::int32_t last = 0x7fff'ffff;
  ASSERT_EQ(offer(last - 1, last), Status::ok);
  ASSERT_EQ(offer(0, 4), Status::ok);
  EXPECT_EQ(offer(last - 1, last), Status::duplicate);
  EXPECT_EQ(offer(5, 5), Status::ok);
}

TEST_F(ProducerTableTest, fences_the_older_epoch_and_starts_the_newer_at_zero) {
  ASSERT_EQ(offer(0, 9, 3), Status::ok);
  EXPECT_EQ(offer(7, 7, 4), Status::out_of_order);
  EXPECT_EQ(offer(0, 0, 4), Status::ok);
  EXPECT_EQ(offer(10, 10, 3), Status::fenced);
}

TEST_F(ProducerTableTest, opening_with_a_newer_epoch_fences_at_once) {
  ASSERT_EQ(offer(0, 9, 3), Status::ok);
  Status status;
  ASSERT_NE(table_.open(partition, producer_id, 4, 1, status), nullptr);
  EXPECT_EQ(status, Status::ok);
  EXPECT_EQ(offer(10, 10, 3), Status::fenced);
  table_.open(partition, producer_id, 2, 1, status);
  EXPECT_EQ(status, Status::fenced);
}

TEST_F(ProducerTableTest,
       refuses_a_newcomer_while_every_producer_is_live_and_makes_room_when_one_is_idle) {
  for (std::uint32_t i = 0; i < producers_max; ++i) ASSERT_EQ(offer(0, 0, 0, 100 + i), Status::ok);
  EXPECT_EQ(offer(0, 0, 0, 9000), Status::too_many_producers);
  const std::uint64_t later_ns = ProducerTable::idle_ns + 2;
  EXPECT_EQ(offer(0, 0, 0, 9000, later_ns), Status::ok);
  EXPECT_EQ(table_.size(), producers_max);
}

TEST_F(ProducerTableTest, every_producer_is_found_again_after_many_were_removed) {
  constexpr base::PartitionId other{8};
  for (std::uint32_t i = 0; i < producers_max; ++i) {
    const base::PartitionId where = i % 2 == 0 ? partition : other;
    const auto verdict = table_.check(where, 500 + i, 0, 0, 0, 1);
    ASSERT_EQ(verdict.status, Status::ok);
    ProducerTable::accept(*verdict.producer, 0, 0, i);
  }
  table_.sweep([](base::PartitionId gone) { return gone == other; });
  EXPECT_EQ(table_.size(), producers_max / 2);
  for (std::uint32_t i = 0; i < producers_max; i += 2) {
    const auto verdict = table_.check(partition, 500 + i, 0, 0, 0, 1);
    EXPECT_EQ(verdict.status, Status::duplicate) << i;
    EXPECT_EQ(verdict.base_offset, i);
  }
}

TEST_F(ProducerTableTest, recovery_restores_what_was_written_and_keeps_the_newest_producers) {
  table_.recover(partition, producer_id, 2, 0, 9, 0);
  table_.recover(partition, producer_id, 2, 10, 19, 10);
  for (std::uint32_t i = 0; i < 4 * producers_max; ++i) {
    table_.recover(partition, 5000 + i, 0, 0, 0, 100 + i);
  }
  table_.finish_recovery(1);
  EXPECT_EQ(table_.size(), producers_max);
  EXPECT_EQ(offer(0, 0, 0, 5000 + 4 * producers_max - 1), Status::duplicate);
}

TEST_F(ProducerTableTest, a_batch_without_a_producer_id_is_never_a_repeat) {
  EXPECT_EQ(table_.check(partition, base::no_producer_id, -1, -1, -1, 1).status, Status::ok);
  EXPECT_EQ(table_.check(partition, base::no_producer_id, -1, -1, -1, 1).producer, nullptr);
}

}  // namespace
}  // namespace millrace::shard

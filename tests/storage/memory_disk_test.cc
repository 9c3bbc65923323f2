#include "storage/memory_disk.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/storage/journal_fixture.h"

namespace millrace::storage {
namespace {

struct Order final : DiskHandler {
  void on_disk(std::uint64_t token, std::int32_t result) override {
    tokens.push_back(token);
    EXPECT_EQ(result, static_cast<std::int32_t>(block_bytes));
    if (again != nullptr) {
      MemoryDisk* disk = std::exchange(again, nullptr);
      disk->read(FileId{0}, 0, block, *this, 99);
    }
  }
  std::vector<std::uint64_t> tokens;
  MemoryDisk* again = nullptr;
  std::vector<std::byte> block = std::vector<std::byte>(block_bytes);
};

TEST(MemoryDisk, files_are_zero_and_keep_what_is_written) {
  const auto disk = std::make_unique<MemoryDisk>();
  const FileId file = disk->create("x", 4 * block_bytes).value();
  EXPECT_EQ(disk->durability(), Durability::unsafe);
  EXPECT_EQ(disk->size(file).value(), 4 * block_bytes);
  EXPECT_EQ(disk->open("x").value(), file);
  EXPECT_FALSE(disk->open("y"));
  EXPECT_FALSE(disk->create("x", block_bytes));
  std::vector<std::byte> block(block_bytes, std::byte{1}), read(block_bytes, std::byte{2});
  ASSERT_TRUE(disk->read_now(file, block_bytes, read));
  EXPECT_EQ(read, std::vector<std::byte>(block_bytes));
  ASSERT_TRUE(disk->write_now(file, block_bytes, block));
  ASSERT_TRUE(disk->read_now(file, block_bytes, read));
  EXPECT_EQ(read, block);
  ASSERT_TRUE(disk->remove("x"));
  EXPECT_FALSE(disk->exists("x"));
  EXPECT_FALSE(disk->remove("x"));
}

TEST(MemoryDisk, completions_come_in_order_and_only_from_poll) {
  const auto disk = std::make_unique<MemoryDisk>();
  const FileId file = disk->create("x", 4 * block_bytes).value();
  Order order;
  std::vector<std::byte> block(block_bytes, std::byte{7});
  disk->write_durable(file, 0, block, order, 1);
  disk->write_durable(file, block_bytes, block, order, 2);
  disk->read(file, 0, order.block, order, 3);
  EXPECT_TRUE(order.tokens.empty());
  order.again = disk.get();
  disk->poll();
  EXPECT_EQ(order.tokens, (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_EQ(order.block, block);
  disk->poll();
  EXPECT_EQ(order.tokens.back(), 99U);
  disk->write_durable(file, 0, block, order, 4);
  disk->drain();
  EXPECT_EQ(order.tokens.back(), 4U);
}

TEST(MemoryDisk, a_journal_on_it_is_read_back_after_a_restart_of_the_journal) {
  const JournalOptions options = small_options();
  const auto disk = std::make_unique<MemoryDisk>();
  auto arena = std::move(
      base::Arena::create({.bytes = 3 * Journal::arena_bytes(options), .huge_pages = false})
          .value());
  Seen first, second;
  {
    auto journal = std::move(Journal::open(options, *disk, arena, first).value());
    for (int i = 0; i < 3; ++i) {
      const auto batch = make_batch(1, 5000);
      journal->append_batch(base::PartitionId{1}, batch, i, 0, true);
      journal->submit_writes(1);
      EXPECT_TRUE(journal->reap_writes(2));
    }
  }
  auto journal = std::move(Journal::open(options, *disk, arena, second).value());
  EXPECT_EQ(first.batches.size(), 0U);
  EXPECT_EQ(second.batches.size(), 3U);
}

}  // namespace
}  // namespace millrace::storage

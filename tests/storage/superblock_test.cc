#include "storage/superblock.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/support/faulty_disk.h"

namespace millrace::storage {
namespace {

struct SuperblockFile {
  SuperblockFile() : file(disk.create(superblock_file_name, 2 * superblock_half_bytes).value()) {}
  // What load_superblock finds.
  std::optional<Superblock> load() { return load_superblock(disk, file); }
  void put_copy(std::uint32_t copy, const Superblock& superblock) {
    std::array<std::byte, block_bytes> block;
    write_superblock_copy(superblock, block);
    disk.overwrite(superblock_file_name, std::uint64_t{copy} * block_bytes, block);
  }
  testing::FaultyDisk disk;
  FileId file;
};

Superblock sample(std::uint64_t sequence) {
  return {.sequence = sequence,
          .cluster_id = 11,
          .shard = 2,
          .clean = sequence % 2 == 0,
          .file_bytes = 1 << 22,
          .files_max = 5,
          .frame_bytes_max = 1 << 20,
          .boundary_bytes = 1 << 21,
          .generation = sequence + 1,
          .head = 1 << 22,
          .end = (1 << 22) + 4096 * sequence};
}

TEST(Superblock, what_is_stored_is_loaded) {
  SuperblockFile at;
  EXPECT_FALSE(at.load());
  for (std::uint64_t sequence = 1; sequence < 4; ++sequence) {
    ASSERT_TRUE(store_superblock(at.disk, at.file, sample(sequence)));
    EXPECT_EQ(at.load(), sample(sequence));
  }
}

TEST(Superblock, any_two_copies_are_enough_and_one_is_not) {
  for (std::uint32_t lost = 0; lost < 16; ++lost) {
    SuperblockFile at;
    ASSERT_TRUE(store_superblock(at.disk, at.file, sample(8)));
    std::uint32_t left = 4;
    for (std::uint32_t copy = 0; copy < 4; ++copy) {
      if ((lost >> copy & 1) == 0) continue;
      if (copy % 2 == 0) {
        at.disk.flip_bit(superblock_file_name, copy * block_bytes + 20, 3);
      } else {
        at.disk.make_unreadable(superblock_file_name, copy * block_bytes);
      }
      --left;
    }
    EXPECT_EQ(at.load().has_value(), left >= superblock_quorum) << lost;
  }
}

TEST(Superblock, no_changed_byte_of_a_copy_passes) {
  std::array<std::byte, block_bytes> block;
  write_superblock_copy(sample(3), block);
  ASSERT_EQ(read_superblock_copy(block), sample(3));
  for (std::byte& byte : block) {
    byte ^= std::byte{1};
    EXPECT_FALSE(read_superblock_copy(block));
    byte ^= std::byte{1};
  }
}

TEST(Superblock, the_newest_quorum_counts) {
  SuperblockFile at;
  ASSERT_TRUE(store_superblock(at.disk, at.file, sample(6)));
  at.put_copy(0, sample(7));
  EXPECT_EQ(at.load(), sample(6));
  at.put_copy(1, sample(7));
  EXPECT_EQ(at.load(), sample(7));
  at.put_copy(2, sample(9));
  EXPECT_EQ(at.load(), sample(7));
}

// Whatever part of an update a crash lets through, the old or the new state is there.
TEST(Superblock, an_update_cut_short_leaves_the_old_or_the_new) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    for (const bool second_half : {false, true}) {
      testing::FaultyDisk disk(seed);
      const FileId file = disk.create(superblock_file_name, 2 * superblock_half_bytes).value();
      ASSERT_TRUE(store_superblock(disk, file, sample(6)));
      std::array<std::byte, superblock_half_bytes> half;
      write_superblock_copy(sample(7), std::span(half).first(block_bytes));
      write_superblock_copy(sample(7), std::span(half).last(block_bytes));
      ASSERT_TRUE(disk.write_now(file, 0, half));
      if (second_half) {
        ASSERT_TRUE(disk.flush_now(file));
        ASSERT_TRUE(disk.write_now(file, superblock_half_bytes, half));
      }
      disk.crash();
      const auto found = load_superblock(disk, file);
      ASSERT_TRUE(found);
      if (second_half) {
        EXPECT_EQ(found, sample(7));
      } else {
        EXPECT_TRUE(found == sample(6) || found == sample(7));
      }
    }
  }
}

TEST(Superblock, a_store_that_cannot_be_flushed_is_an_error) {
  SuperblockFile at;
  at.disk.fail_flushes(-5);
  EXPECT_FALSE(store_superblock(at.disk, at.file, sample(1)));
  at.disk.fail_flushes(0);
  at.disk.fail_writes(-5);
  EXPECT_FALSE(store_superblock(at.disk, at.file, sample(1)));
}

}  // namespace
}  // namespace millrace::storage

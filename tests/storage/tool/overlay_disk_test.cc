#include "storage/tool/overlay_disk.h"

#include <gtest/gtest.h>

#include "storage/block_buffer.h"
#include "storage/memory_disk.h"

namespace millrace::storage {
namespace {

TEST(OverlayDisk, what_is_written_is_read_and_the_disk_below_never_sees_it) {
  MemoryDisk below;
  const FileId beneath = below.create("a", 2 * block_bytes).value();
  OverlayDisk disk(below);
  const FileId file = disk.open("a").value();
  const BlockBuffer block(block_bytes);
  std::ranges::fill(block.span(), std::byte{7});
  ASSERT_TRUE(disk.write_now(file, block_bytes, block.span()));
  const BlockBuffer both(2 * block_bytes);
  ASSERT_TRUE(disk.read_now(file, 0, both.span()));
  EXPECT_EQ(both.data()[0], std::byte{0});
  EXPECT_EQ(both.data()[block_bytes], std::byte{7});
  ASSERT_TRUE(below.read_now(beneath, 0, both.span()));
  EXPECT_EQ(both.data()[block_bytes], std::byte{0});
}

TEST(OverlayDisk, files_are_made_renamed_and_removed_only_in_it) {
  MemoryDisk below;
  ASSERT_TRUE(below.create("a", block_bytes));
  OverlayDisk disk(below);
  ASSERT_TRUE(disk.reserve("b", block_bytes));
  ASSERT_TRUE(disk.rename("b", "c"));
  ASSERT_TRUE(disk.remove("a"));
  EXPECT_EQ(disk.list().value(), std::vector<std::string>{"c"});
  EXPECT_FALSE(disk.exists("a"));
  EXPECT_FALSE(disk.open("a"));
  EXPECT_EQ(below.list().value(), std::vector<std::string>{"a"});
}

}  // namespace
}  // namespace millrace::storage

#include "dataplane/base/arena.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "dataplane/base/units.h"

namespace millrace::base {
namespace {

// How many 2 MiB pages the kernel could hand out right now.
std::uint64_t obtainable_huge_pages() {
  const std::string directory = "/sys/kernel/mm/hugepages/hugepages-2048kB/";
  std::uint64_t sum = 0;
  for (const char* name : {"free_hugepages", "nr_overcommit_hugepages"}) {
    std::uint64_t pages = 0;
    std::ifstream(directory + name) >> pages;
    sum += pages;
  }
  return sum;
}

Arena make_arena(std::uint64_t bytes) {
  auto arena = Arena::create({.bytes = bytes});
  if (!arena) throw std::runtime_error(std::string(arena.error().message()));
  return std::move(*arena);
}

TEST(Arena, falls_back_to_ordinary_pages_and_says_so_when_huge_pages_run_short) {
  auto arena = Arena::create({.bytes = (obtainable_huge_pages() + 1) * 2 * mib});
  ASSERT_TRUE(arena) << arena.error().message();
  EXPECT_EQ(arena->backing(), Arena::Backing::ordinary_pages);
  std::memset(arena->allocate_bytes(4096, 64).data(), 1, 4096);
}

TEST(Arena, does_not_try_huge_pages_when_told_not_to) {
  auto arena = Arena::create({.bytes = mib, .huge_pages = false});
  ASSERT_TRUE(arena) << arena.error().message();
  EXPECT_EQ(arena->backing(), Arena::Backing::ordinary_pages);
}

TEST(Arena, uses_huge_pages_where_the_host_has_them) {
  std::uint64_t free_pages = 0;
  std::ifstream("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages") >> free_pages;
  if (free_pages == 0) GTEST_SKIP() << "no free 2 MiB huge page on this host";
  auto arena = Arena::create({.bytes = 2 * mib});
  ASSERT_TRUE(arena) << arena.error().message();
  EXPECT_EQ(arena->backing(), Arena::Backing::huge_pages);
}

TEST(Arena, memory_that_cannot_be_had_is_an_error_that_names_the_size) {
  auto arena = Arena::create({.bytes = 1ULL << 62});
  ASSERT_FALSE(arena);
  EXPECT_EQ(arena.error().code(), ErrorCode::no_space);
  EXPECT_NE(arena.error().message().find("4398046511104 MiB"), std::string_view::npos)
      << arena.error().message();
}

TEST(Arena, is_all_zeros_again_when_it_is_cleared) {
  Arena arena = make_arena(4 * mib);
  const std::uint64_t bytes = arena.whole().size();
  const auto before = arena.allocate_bytes(bytes, 64);
  for (const std::uint64_t at : {std::uint64_t{0}, bytes / 2, bytes - 1}) before[at] = std::byte{1};
  arena.clear();
  EXPECT_EQ(arena.used_bytes(), 0U);
  const auto after = arena.allocate_bytes(bytes, 64);
  EXPECT_EQ(std::ranges::count(after, std::byte{0}), static_cast<std::ptrdiff_t>(bytes));
}

TEST(Arena, pieces_are_zeroed_aligned_and_do_not_overlap) {
  Arena arena = make_arena(mib);
  std::byte* end_of_last = nullptr;
  for (const std::uint64_t alignment : {1U, 64U, 8U, 4096U, 128U}) {
    const auto piece = arena.allocate_bytes(100, alignment);
    ASSERT_EQ(piece.size(), 100U);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(piece.data()) % alignment, 0U);
    EXPECT_GE(piece.data(), end_of_last);
    for (const std::byte b : piece) ASSERT_EQ(b, std::byte{0});
    std::memset(piece.data(), 0xff, piece.size());
    end_of_last = piece.data() + piece.size();
  }
}

TEST(Arena, arrays_are_value_initialised_and_start_on_a_cache_line) {
  struct Slot {
    std::uint32_t index = 7;
  };
  Arena arena = make_arena(mib);
  arena.allocate_bytes(3, 1);
  const auto slots = arena.allocate<Slot>(50);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(slots.data()) % 64, 0U);
  ASSERT_EQ(slots.size(), 50U);
  for (const Slot& slot : slots) EXPECT_EQ(slot.index, 7U);
}

TEST(Arena, used_bytes_counts_what_was_handed_out) {
  Arena arena = make_arena(mib);
  EXPECT_EQ(arena.used_bytes(), 0U);
  arena.allocate_bytes(10, 1);
  arena.allocate_bytes(10, 64);
  EXPECT_EQ(arena.used_bytes(), 74U);
}

TEST(Arena, the_whole_is_its_memory_file) {
  Arena arena = make_arena(mib);
  const auto piece = arena.allocate_bytes(5, 1);
  std::memcpy(piece.data(), "hello", 5);
  char read_back[5] = {};
  ASSERT_EQ(pread(arena.fd(), read_back, 5, piece.data() - arena.whole().data()), 5);
  EXPECT_EQ(std::memcmp(read_back, "hello", 5), 0);
  EXPECT_EQ(arena.whole().size(), 2 * mib);  // rounded up to a huge page
}

TEST(Arena, moving_keeps_the_memory) {
  Arena first = make_arena(mib);
  const auto piece = first.allocate_bytes(1, 1);
  piece[0] = std::byte{42};
  Arena second = std::move(first);
  EXPECT_EQ(second.whole()[0], std::byte{42});
  EXPECT_EQ(second.used_bytes(), 1U);
}

TEST(ArenaDeathTest, asking_for_more_than_is_left_aborts) {
  Arena arena = make_arena(2 * mib);
  arena.allocate_bytes(2 * mib - 10, 1);
  arena.allocate_bytes(10, 1);
  EXPECT_DEATH(arena.allocate_bytes(1, 1), "CHECK failed");
}

TEST(ArenaDeathTest, a_size_that_wraps_around_aborts) {
  Arena arena = make_arena(2 * mib);
  arena.allocate_bytes(64, 1);
  EXPECT_DEATH(arena.allocate_bytes(~0ULL - 10, 1), "CHECK failed");
}

}  // namespace
}  // namespace millrace::base

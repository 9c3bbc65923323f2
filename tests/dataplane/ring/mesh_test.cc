#include "dataplane/ring/mesh.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "dataplane/base/units.h"

namespace millrace::ring {
namespace {

using base::CoreId;
using SmallMesh = Mesh<std::uint64_t, 16>;

base::Arena make_arena() {
  auto arena = base::Arena::create({.bytes = base::mib, .huge_pages = false});
  CHECK(arena);
  return std::move(*arena);
}

CoreId core(std::uint32_t index) { return static_cast<CoreId>(index); }

TEST(Mesh, every_ordered_pair_of_cores_has_a_ring_of_its_own) {
  base::Arena arena = make_arena();
  SmallMesh mesh(std::vector<base::Arena*>(3, &arena));
  std::set<const void*> rings;
  for (std::uint32_t from = 0; from < 3; ++from) {
    for (std::uint32_t to = 0; to < 3; ++to) rings.insert(&mesh.ring(core(from), core(to)));
  }
  EXPECT_EQ(rings.size(), 9U);
  EXPECT_EQ(mesh.core_count(), 3U);
}

TEST(Mesh, what_one_core_pushes_only_the_named_core_reads) {
  base::Arena arena = make_arena();
  SmallMesh mesh(std::vector<base::Arena*>(2, &arena));
  mesh.ring(core(0), core(1)).push(42);
  EXPECT_EQ(mesh.ring(core(1), core(0)).peek(), nullptr);
  EXPECT_EQ(mesh.ring(core(0), core(0)).peek(), nullptr);
  EXPECT_EQ(mesh.ring(core(1), core(1)).peek(), nullptr);
  ASSERT_NE(mesh.ring(core(0), core(1)).peek(), nullptr);
  EXPECT_EQ(*mesh.ring(core(0), core(1)).peek(), 42U);
}

TEST(Mesh, a_row_is_everything_a_core_reads_in_the_order_of_the_senders) {
  base::Arena arena = make_arena();
  SmallMesh mesh(std::vector<base::Arena*>(3, &arena));
  const auto row = mesh.row(core(1));
  ASSERT_EQ(row.size(), 3U);
  for (std::uint32_t from = 0; from < 3; ++from) {
    EXPECT_EQ(&row[from], &mesh.ring(core(from), core(1)));
  }
}

TEST(Mesh, rings_lie_in_the_arena_of_the_core_that_reads_them) {
  base::Arena arena_0 = make_arena();
  base::Arena arena_1 = make_arena();
  SmallMesh mesh(std::vector<base::Arena*>{&arena_0, &arena_1});
  const auto lies_in = [](const base::Arena& arena, const SmallMesh::Ring& ring) {
    const auto* at = reinterpret_cast<const std::byte*>(&ring);
    return at >= arena.whole().data() && at < arena.whole().data() + arena.used_bytes();
  };
  for (std::uint32_t from = 0; from < 2; ++from) {
    EXPECT_TRUE(lies_in(arena_0, mesh.ring(core(from), core(0))));
    EXPECT_TRUE(lies_in(arena_1, mesh.ring(core(from), core(1))));
  }
  EXPECT_LE(arena_0.used_bytes(), SmallMesh::arena_bytes(2));
}

TEST(Mesh, three_cores_talk_to_each_other_at_once) {
  constexpr std::uint32_t core_count = 3;
  constexpr std::uint64_t messages = 5'000;
  base::Arena arena = make_arena();
  SmallMesh mesh(std::vector<base::Arena*>(core_count, &arena));
  std::uint64_t wrong[core_count] = {};
  std::vector<std::thread> threads;
  for (std::uint32_t self = 0; self < core_count; ++self) {
    threads.emplace_back([&mesh, &wrong, self] {
      std::uint64_t sent[core_count] = {};
      std::uint64_t received[core_count] = {};
      std::uint64_t open = 2 * core_count;  // directions not finished yet
      while (open > 0) {
        bool moved = false;
        for (std::uint32_t peer = 0; peer < core_count; ++peer) {
          if (sent[peer] < messages && mesh.ring(core(self), core(peer)).push(sent[peer])) {
            moved = true;
            if (++sent[peer] == messages) --open;
          }
          auto& from_peer = mesh.ring(core(peer), core(self));
          if (const std::uint64_t* message = from_peer.peek()) {
            moved = true;
            if (*message != received[peer]) ++wrong[self];
            from_peer.release(1);
            if (++received[peer] == messages) --open;
          }
        }
        if (!moved) std::this_thread::yield();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const std::uint64_t count : wrong) EXPECT_EQ(count, 0U);
}

TEST(MeshDeathTest, a_mesh_of_no_cores_aborts) {
  EXPECT_DEATH(SmallMesh(std::span<base::Arena* const>{}), "CHECK failed");
}

}  // namespace
}  // namespace millrace::ring

#include "dataplane/protocol/native/slot_table.h"

#include <gtest/gtest.h>

#include <set>

namespace millrace::native {
namespace {

struct Tenant {
  std::uint32_t id = 0;
};

base::Arena make_arena() {
  auto arena = base::Arena::create({.bytes = 1 << 20, .huge_pages = false, .touch = false});
  CHECK(arena.has_value());
  return std::move(*arena);
}

TEST(SlotTable, an_id_names_its_own_tenant_and_not_the_next_one) {
  base::Arena arena = make_arena();
  SlotTable<Tenant> table(arena, 2, 1);
  Tenant* first = table.take();
  const std::uint32_t id = first->id;
  EXPECT_EQ(table.find(id), first);
  table.give_back(*first);
  EXPECT_EQ(table.find(id), nullptr);
  ASSERT_NE(table.take(), nullptr);
  ASSERT_NE(table.take(), nullptr);
  EXPECT_EQ(table.take(), nullptr);
  EXPECT_EQ(table.find(id), nullptr);
}

TEST(SlotTable, a_process_does_not_give_out_the_ids_of_the_one_before) {
  base::Arena arena = make_arena();
  constexpr std::uint32_t slots = 64;
  std::set<std::uint32_t> seen;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    SlotTable<Tenant> table(arena, slots, seed);
    for (std::uint32_t i = 0; i < slots; ++i) {
      const Tenant* tenant = table.take();
      ASSERT_NE(tenant, nullptr);
      EXPECT_GE(id_generation(tenant->id), 1U);
      seen.insert(tenant->id);
    }
  }
  // One in 4095 falls on an old one by chance.
  EXPECT_GE(seen.size(), slots * 8 - 4);
}

}  // namespace
}  // namespace millrace::native

#include "dataplane/core/rebuild.h"

#include <gtest/gtest.h>

#include <memory>

#include "tests/dataplane/protocol/native/peer.h"

namespace millrace::core {
namespace {

class RebuildFixture {
 public:
  base::Arena arena =
      std::move(base::Arena::create({.bytes = 1 << 20, .huge_pages = false}).value());
  shard::ProducerTable producers{arena, 16};
  std::unique_ptr<link::Region> region = std::make_unique<link::Region>();
  base::VirtualClock clock;
  Rebuild rebuild{producers, *region, region->cores[2], clock};
};

TEST(Rebuild, a_batch_that_was_found_is_known_as_a_repeat) {
  RebuildFixture at;
  auto batch = testing::make_batch(100, 0, 3, 10);
  storage::stamp_batch(batch.data(), 40, 0);
  at.rebuild.on_batch(base::PartitionId{7}, 0, storage::BatchView(batch.data()));
  at.producers.finish_recovery(1);
  const auto verdict = at.producers.check(base::PartitionId{7}, 100, 0, 0, 2, 2);
  EXPECT_EQ(verdict.status, shard::Status::duplicate);
  EXPECT_EQ(verdict.base_offset, 40);
  EXPECT_EQ(at.producers.check(base::PartitionId{8}, 100, 0, 0, 2, 2).status, shard::Status::ok);
}

TEST(Rebuild, damage_is_told_to_control_with_its_place_and_partition) {
  RebuildFixture at;
  const base::PartitionId partition{9};
  at.rebuild.on_damage(&partition, 4096, 8192);
  at.rebuild.on_damage(nullptr, 20'000, 20'480);
  auto& events = at.region->cores[2].events;
  const link::ControlEvent* event = events.peek();
  ASSERT_NE(event, nullptr);
  EXPECT_EQ(event->kind, link::ControlEventKind::partition_damaged);
  EXPECT_EQ(event->partition, partition);
  EXPECT_EQ(event->text.get(),
            "acknowledged bytes at journal positions 4096 to 8192 cannot be read");
  event = events.peek(1);
  ASSERT_NE(event, nullptr);
  EXPECT_EQ(event->partition, base::PartitionId{~0U});
  EXPECT_NE(event->text.get().find("20480"), std::string_view::npos);
}

TEST(Rebuild, more_damage_than_events_fit_is_no_trouble) {
  RebuildFixture at;
  for (base::Position i = 0; i < 200; ++i) at.rebuild.on_damage(nullptr, i, i + 1);
  EXPECT_NE(at.region->cores[2].events.peek(63), nullptr);
}

TEST(Rebuild, progress_is_shown) {
  RebuildFixture at;
  at.rebuild.on_progress(5, 9);
  EXPECT_EQ(at.region->recovery_bytes_done.get(), 5U);
  EXPECT_EQ(at.region->recovery_bytes_total.get(), 9U);
}

}  // namespace
}  // namespace millrace::core

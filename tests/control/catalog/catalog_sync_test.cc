// CatalogSync: the data plane learns the whole catalog, whoever of the two starts, dies or is slow.
#include "control/catalog/catalog_sync.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

#include "control/catalog/topic_service.h"
#include "tests/control/fake_data_plane.h"

namespace millrace::control {
namespace {

class CatalogSyncTest : public testing::Test {
 protected:
  Topic create(const std::string& name, std::uint32_t partitions = 1) {
    auto topic = catalog_.create_topic({.name = name, .partition_count = partitions});
    EXPECT_TRUE(topic);
    return *topic;
  }
  void pump(CatalogSync& sync) {
    now_ns_ += 20'000'000;
    EXPECT_TRUE(sync.pump(catalog_, now_ns_));
  }

  std::unique_ptr<link::Region> owned_ = std::make_unique<link::Region>();
  link::Region& region_ = *owned_;
  Catalog catalog_ = std::move(*Catalog::open(":memory:"));
  CatalogSync sync_{region_};
  FakeDataPlane plane_{region_};
  std::uint64_t now_ns_ = 1;
};

TEST_F(CatalogSyncTest, a_data_plane_that_comes_late_gets_every_topic_in_order_and_then_complete) {
  create("a");
  const auto b = create("b");
  const auto ticket = sync_.announce_created(b);
  pump(sync_);
  EXPECT_FALSE(sync_.is_applied(ticket));
  EXPECT_FALSE(sync_.is_synced());

  plane_.start(100);
  pump(sync_);
  EXPECT_FALSE(sync_.is_synced());
  EXPECT_EQ(region_.catalog_ready.get(), 0U);
  plane_.turn();
  EXPECT_TRUE(sync_.is_synced());
  EXPECT_TRUE(sync_.is_applied(ticket));
  EXPECT_EQ(region_.catalog_ready.get(), 1U);
  EXPECT_EQ(plane_.history, (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_EQ(plane_.topics.size(), 2U);
}

TEST_F(CatalogSyncTest, a_change_is_applied_only_when_every_core_has_it) {
  plane_.start(100);
  pump(sync_);
  plane_.turn();
  const auto ticket = sync_.announce_created(create("late"));
  pump(sync_);
  EXPECT_FALSE(sync_.is_applied(ticket));
  auto& core = region_.cores[0];
  ASSERT_NE(core.mailbox.peek(), nullptr);
  core.mailbox_applied.set(core.mailbox.peek()->sequence);
  EXPECT_FALSE(sync_.is_applied(ticket)) << "core 1 does not know yet";
  plane_.turn();
  EXPECT_TRUE(sync_.is_applied(ticket));
}

TEST_F(CatalogSyncTest, a_restarted_data_plane_gets_everything_again) {
  create("a");
  plane_.start(100);
  pump(sync_);
  plane_.turn();
  ASSERT_TRUE(sync_.is_synced());
  plane_.start(200);
  EXPECT_FALSE(sync_.is_synced());
  EXPECT_TRUE(plane_.topics.empty());
  pump(sync_);
  plane_.turn();
  EXPECT_TRUE(sync_.is_synced());
  EXPECT_EQ(plane_.topics.size(), 1U);
}

TEST_F(CatalogSyncTest, more_topics_than_a_mailbox_holds_arrive_all_the_same) {
  for (int i = 0; i < 700; ++i) create(fmt::format("t{}", i));
  plane_.start(100);
  int rounds = 0;
  for (; rounds < 20 && region_.catalog_ready.get() == 0; ++rounds) {
    pump(sync_);
    plane_.turn();
  }
  EXPECT_EQ(rounds, 3) << "256 at a time";
  EXPECT_EQ(plane_.topics.size(), 700U);
  EXPECT_TRUE(sync_.is_synced());
}

TEST_F(CatalogSyncTest, a_restarted_control_plane_is_not_fooled_by_what_its_predecessor_sent) {
  const auto a = create("a");
  plane_.start(100);
  pump(sync_);
  plane_.turn();
  sync_.announce_created(create("b"));  // in the rings, and not applied when the predecessor dies
  pump(sync_);
  const auto deleted = catalog_.delete_topic("a");  // on disk, never sent
  ASSERT_TRUE(deleted);

  CatalogSync successor(region_);
  pump(successor);
  EXPECT_FALSE(successor.is_synced());
  plane_.turn();
  EXPECT_TRUE(successor.is_synced());
  EXPECT_EQ(plane_.topics.size(), 1U) << "the deletion that was never sent has arrived";
  EXPECT_EQ(plane_.topics.count(base::raw(a.id)), 0U);
  for (std::size_t i = 1; i < plane_.history.size(); ++i) {
    EXPECT_GT(plane_.history[i], plane_.history[i - 1]);
  }
  pump(successor);
  EXPECT_TRUE(catalog_.tombstones()->empty());
}

TEST_F(CatalogSyncTest, a_tombstone_is_kept_until_the_data_plane_has_forgotten_the_topic) {
  create("a");
  plane_.start(100);
  pump(sync_);
  plane_.turn();
  const auto deleted = catalog_.delete_topic("a");
  ASSERT_TRUE(deleted);
  sync_.announce_deleted(*deleted);
  pump(sync_);
  EXPECT_EQ(catalog_.tombstones()->size(), 1U);
  plane_.turn();
  pump(sync_);
  EXPECT_TRUE(catalog_.tombstones()->empty());
  EXPECT_TRUE(plane_.topics.empty());
}

TEST_F(CatalogSyncTest, messages_that_a_starting_data_plane_skipped_are_sent_again) {
  create("a");
  plane_.start(100);
  pump(sync_);
  for (auto& core : region_.cores) core.mailbox.skip_all();
  plane_.turn();
  EXPECT_FALSE(sync_.is_synced());
  for (int i = 0; i < 105; ++i) pump(sync_);  // 2.1 s
  plane_.turn();
  EXPECT_TRUE(sync_.is_synced());
  EXPECT_EQ(plane_.topics.size(), 1U);
}

TEST(TopicService, answers_pending_when_the_data_plane_is_away_and_applied_when_it_is_there) {
  auto region = std::make_unique<link::Region>();
  TopicService topics(std::move(*Catalog::open(":memory:")), *region,
                      std::chrono::milliseconds(10'000));
  const auto pending = topics.create_topic({.name = "early"});
  ASSERT_TRUE(pending);
  EXPECT_FALSE(pending->is_applied);
  const FakeDataPlaneThread plane(*region);
  const auto applied = topics.create_topic({.name = "later"});
  ASSERT_TRUE(applied);
  EXPECT_TRUE(applied->is_applied);
  EXPECT_TRUE(topics.is_synced());
  EXPECT_TRUE(topics.ensure_topic({.name = "later"}));
  EXPECT_EQ(topics.topics()->size(), 2U);
  EXPECT_TRUE(topics.delete_topic("early")->is_applied);
}

TEST(TopicService, does_not_call_records_deleted_that_a_coming_data_plane_never_heard_of) {
  auto region = std::make_unique<link::Region>();
  TopicService topics(std::move(*Catalog::open(":memory:")), *region,
                      std::chrono::milliseconds(10'000));
  FakeDataPlane plane(*region);
  plane.start(100);
  std::atomic<bool> stop = false;
  std::thread turns([&] {
    std::uint64_t incarnation = 100;
    while (!stop) {
      const link::MailboxMessage* next = region->cores[0].mailbox.peek();
      const bool is_deletion = next != nullptr && next->kind == link::MailboxKind::delete_records;
      if (is_deletion && incarnation == 100) plane.start(incarnation = 200);
      plane.turn();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  EXPECT_TRUE(topics.create_topic({.name = "t"})->is_applied);
  const auto unheard = topics.delete_records("t", 0, 5);
  EXPECT_FALSE(unheard);
  if (!unheard) {
    EXPECT_EQ(unheard.error().code(), base::ErrorCode::unavailable);
  }
  EXPECT_EQ(region->partitions[0].log_start.get(), 0U);
  EXPECT_TRUE(topics.delete_records("t", 0, 5));
  EXPECT_EQ(region->partitions[0].log_start.get(), 5U);
  stop = true;
  turns.join();
}

}  // namespace
}  // namespace millrace::control

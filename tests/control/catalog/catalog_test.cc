// Catalog: what it keeps, what it refuses, and that an answered change survives a kill.
#include "control/catalog/catalog.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <set>

namespace millrace::control {
namespace {

using base::ErrorCode;

class CatalogTest : public testing::Test {
 protected:
  CatalogTest() { EXPECT_NE(mkdtemp(directory_.data()), nullptr); }
  ~CatalogTest() override { std::filesystem::remove_all(directory_); }
  std::string path() const { return directory_ + "/catalog.sqlite"; }
  Catalog open() const {
    auto catalog = Catalog::open(path());
    if (!catalog) ADD_FAILURE() << catalog.error().message();
    return std::move(*catalog);
  }

 private:
  std::string directory_ = testing::TempDir() + "catalog-XXXXXX";
};

TEST_F(CatalogTest, finds_after_reopening_what_was_created) {
  {
    auto catalog = open();
    ASSERT_TRUE(catalog.create_topic({.name = "a", .partition_count = 3}));
    ASSERT_TRUE(catalog.create_topic({.name = "b", .partition_count = 2, .durable = false}));
  }
  const auto catalog = open();
  const auto topics = catalog.topics();
  ASSERT_TRUE(topics);
  ASSERT_EQ(topics->size(), 2U);
  EXPECT_EQ((*topics)[0].name, "a");
  EXPECT_TRUE((*topics)[0].durable);
  EXPECT_EQ((*topics)[1].partition_count, 2U);
  EXPECT_FALSE((*topics)[1].durable);
  EXPECT_EQ(base::raw((*topics)[1].first_partition), base::raw((*topics)[0].first_partition) + 3U);
  EXPECT_GT((*topics)[1].created_ms, 1'600'000'000'000);
}

TEST_F(CatalogTest, never_gives_an_id_twice_even_after_deletion_and_reopening) {
  std::set<std::uint32_t> topic_ids;
  std::uint32_t next_partition = 0;
  for (int round = 0; round < 3; ++round) {
    auto catalog = open();
    const auto topic = catalog.create_topic({.name = "again", .partition_count = 5});
    ASSERT_TRUE(topic);
    EXPECT_TRUE(topic_ids.insert(base::raw(topic->id)).second);
    EXPECT_GE(base::raw(topic->first_partition), next_partition);
    next_partition = base::raw(topic->first_partition) + 5;
    const auto deleted = catalog.delete_topic("again");
    ASSERT_TRUE(deleted);
    ASSERT_TRUE(catalog.forget_tombstone(deleted->id));
  }
}

TEST_F(CatalogTest, keeps_a_deleted_topic_as_a_tombstone_until_told_to_forget_it) {
  auto catalog = open();
  const auto topic = catalog.create_topic({.name = "t"});
  ASSERT_TRUE(topic);
  EXPECT_TRUE(catalog.forget_tombstone(topic->id));  // it lives, so nothing is forgotten
  EXPECT_EQ(catalog.topics()->size(), 1U);
  ASSERT_TRUE(catalog.delete_topic("t"));
  EXPECT_TRUE(catalog.topics()->empty());
  EXPECT_FALSE(catalog.find("t")->has_value());
  ASSERT_EQ(catalog.tombstones()->size(), 1U);
  EXPECT_TRUE(catalog.create_topic({.name = "t"}));  // the name is free at once
  ASSERT_TRUE(catalog.forget_tombstone(topic->id));
  EXPECT_TRUE(catalog.tombstones()->empty());
  EXPECT_EQ(catalog.topics()->size(), 1U);
}

TEST_F(CatalogTest, refuses_what_is_wrong_and_stays_as_it_was) {
  auto catalog = open();
  ASSERT_TRUE(catalog.create_topic({.name = "a"}));
  EXPECT_EQ(catalog.create_topic({.name = "a"}).error().code(), ErrorCode::already_exists);
  EXPECT_EQ(catalog.create_topic({.name = ".."}).error().code(), ErrorCode::invalid_argument);
  EXPECT_EQ(catalog.create_topic({.name = "b", .partition_count = 0}).error().code(),
            ErrorCode::invalid_argument);
  EXPECT_EQ(catalog.create_topic({.name = "b", .partition_count = 10'001}).error().code(),
            ErrorCode::invalid_argument);
  EXPECT_EQ(catalog.delete_topic("b").error().code(), ErrorCode::not_found);
  EXPECT_EQ(catalog.topics()->size(), 1U);
}

TEST_F(CatalogTest, holds_as_many_partitions_as_the_data_plane_and_not_one_more) {
  auto catalog = open();
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_TRUE(catalog.create_topic({.name = name, .partition_count = 10'000}));
  }
  const std::uint32_t left = partitions_total_max - 30'000;
  EXPECT_EQ(catalog.create_topic({.name = "d", .partition_count = left + 1}).error().code(),
            ErrorCode::no_space);
  EXPECT_TRUE(catalog.create_topic({.name = "d", .partition_count = left}));
  // A deleted topic's partitions count until the data plane has let go of them.
  const auto deleted = catalog.delete_topic("a");
  ASSERT_TRUE(deleted);
  EXPECT_FALSE(catalog.create_topic({.name = "e"}));
  ASSERT_TRUE(catalog.forget_tombstone(deleted->id));
  EXPECT_TRUE(catalog.create_topic({.name = "e"}));
}

TEST_F(CatalogTest, belongs_to_one_process_at_a_time) {
  const auto first = open();
  const pid_t child = fork();
  if (child == 0) {
    const auto second = Catalog::open(path());
    _exit(!second && second.error().code() == ErrorCode::unavailable ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(CatalogTest, that_is_damaged_is_refused_and_left_as_it_is) {
  {
    auto catalog = open();
    for (int i = 0; i < 200; ++i) {
      ASSERT_TRUE(catalog.create_topic({.name = fmt::format("topic-{}", i)}));
    }
  }
  const auto bytes = std::filesystem::file_size(path());
  {
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096);
    file << std::string(bytes - 4096, '\x5a');
  }
  const auto damaged = Catalog::open(path());
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code(), ErrorCode::corrupt) << damaged.error().message();
  EXPECT_NE(damaged.error().message().find(path()), std::string_view::npos);
  EXPECT_EQ(std::filesystem::file_size(path()), bytes);
}

TEST_F(CatalogTest, that_is_no_database_or_anothers_is_refused) {
  std::ofstream(path()) << std::string(5000, 'x');
  EXPECT_EQ(Catalog::open(path()).error().code(), ErrorCode::corrupt);
  std::filesystem::remove(path());

  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(path().c_str(), &other), SQLITE_OK);
  sqlite3_exec(other, "CREATE TABLE songs (title TEXT)", nullptr, nullptr, nullptr);
  sqlite3_close(other);
  const auto foreign = Catalog::open(path());
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().code(), ErrorCode::corrupt);
  EXPECT_NE(foreign.error().message().find("not a Millrace catalog"), std::string_view::npos);
}

TEST_F(CatalogTest, keeps_a_topics_retention_and_its_change) {
  {
    auto catalog = open();
    ASSERT_TRUE(catalog.create_topic({.name = "t", .retention = {.ms = 5000}}));
    ASSERT_TRUE(catalog.create_topic({.name = "other"}));
    const auto altered = catalog.alter_topic("t", {.retention_bytes = 1000});
    ASSERT_TRUE(altered);
    EXPECT_EQ(altered->retention, (Retention{.ms = 5000, .bytes = 1000}));
    EXPECT_EQ(catalog.alter_topic("nobody", {}).error().code(), ErrorCode::not_found);
    for (const std::int64_t wrong : {std::int64_t{0}, std::int64_t{-2}}) {
      EXPECT_EQ(catalog.alter_topic("t", {.retention_ms = wrong}).error().code(),
                ErrorCode::invalid_argument);
      EXPECT_EQ(catalog.create_topic({.name = "u", .retention = {.bytes = wrong}}).error().code(),
                ErrorCode::invalid_argument);
    }
  }
  auto catalog = open();
  EXPECT_EQ((*catalog.find("t"))->retention, (Retention{.ms = 5000, .bytes = 1000}));
  EXPECT_EQ((*catalog.find("other"))->retention, Retention());
  ASSERT_TRUE(catalog.alter_topic("t", {.retention_ms = -1, .retention_bytes = -1}));
  EXPECT_EQ((*catalog.find("t"))->retention, Retention());
  for (const std::int64_t wrong : {std::int64_t{-2}, std::numeric_limits<std::int64_t>::max()}) {
    EXPECT_EQ(catalog.alter_topic("t", {.tombstones_ms = wrong}).error().code(),
              ErrorCode::invalid_argument);
  }
  ASSERT_TRUE(catalog.alter_topic("t", {.tombstones_ms = 0}));
  EXPECT_EQ((*catalog.find("t"))->retention, Retention{.tombstones_ms = 0});
  ASSERT_TRUE(catalog.create_topic({.name = "compacted", .retention = {.tombstones_ms = 9}}));
  EXPECT_EQ((*catalog.find("compacted"))->retention, Retention{.tombstones_ms = 9});
  ASSERT_TRUE(catalog.alter_topic("t", {.tombstones_ms = -1}));
  EXPECT_EQ((*catalog.find("t"))->retention, Retention());
}

TEST_F(CatalogTest, of_a_release_before_is_taken_over_and_keeps_what_it_kept) {
  const char* const first = R"(
    CREATE TABLE counters (only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
      next_topic INTEGER NOT NULL, next_partition INTEGER NOT NULL);
    INSERT INTO counters VALUES (1, 2, 4);
    CREATE TABLE topics (id INTEGER PRIMARY KEY, name TEXT NOT NULL,
      first_partition INTEGER NOT NULL, partition_count INTEGER NOT NULL CHECK (partition_count > 0),
      durable INTEGER NOT NULL, created_ms INTEGER NOT NULL, alive INTEGER NOT NULL);
    CREATE UNIQUE INDEX topic_names ON topics (name) WHERE alive = 1;
    INSERT INTO topics VALUES (1, 'old', 1, 3, 1, 1700000000000, 1);
    PRAGMA application_id = 1296847427;
    PRAGMA user_version = 1;)";
  const char* const second = R"(
    ALTER TABLE topics ADD COLUMN retention_ms INTEGER NOT NULL DEFAULT -1;
    ALTER TABLE topics ADD COLUMN retention_bytes INTEGER NOT NULL DEFAULT -1;
    UPDATE topics SET retention_bytes = 500;
    PRAGMA user_version = 2;)";
  for (const bool is_second : {false, true}) {
    std::filesystem::remove(path());
    sqlite3* raw = nullptr;
    ASSERT_EQ(sqlite3_open(path().c_str(), &raw), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(raw, first, nullptr, nullptr, nullptr), SQLITE_OK);
    if (is_second) {
      ASSERT_EQ(sqlite3_exec(raw, second, nullptr, nullptr, nullptr), SQLITE_OK);
    }
    sqlite3_close(raw);
    for (int start = 0; start < 2; ++start) {
      auto catalog = open();
      const auto topic = catalog.find("old");
      ASSERT_TRUE(topic && topic->has_value());
      EXPECT_EQ((*topic)->partition_count, 3U);
      EXPECT_EQ((*topic)->retention, Retention{.bytes = is_second ? 500 : -1});
      const std::string name = "new-" + std::to_string(start);
      ASSERT_TRUE(catalog.create_topic({.name = name, .retention = {.ms = 7, .tombstones_ms = 8}}));
      EXPECT_EQ((*catalog.find(name))->retention, (Retention{.ms = 7, .tombstones_ms = 8}));
    }
  }
}

TEST_F(CatalogTest, of_a_newer_release_is_refused_with_both_versions) {
  { open(); }
  sqlite3* raw = nullptr;
  ASSERT_EQ(sqlite3_open(path().c_str(), &raw), SQLITE_OK);
  sqlite3_exec(raw, "PRAGMA user_version = 7", nullptr, nullptr, nullptr);
  sqlite3_close(raw);
  const auto newer = Catalog::open(path());
  ASSERT_FALSE(newer);
  EXPECT_EQ(newer.error().code(), ErrorCode::invalid_argument);
  EXPECT_NE(newer.error().message().find("schema version 7"), std::string_view::npos);
}

TEST_F(CatalogTest, in_a_missing_directory_is_an_error_that_names_it) {
  const auto catalog = Catalog::open("/no/such/directory/catalog.sqlite");
  ASSERT_FALSE(catalog);
  EXPECT_EQ(catalog.error().code(), ErrorCode::permission);
}

// The child writes each name to a pipe once the catalog has answered; whatever came through the
// pipe before the kill must be there.
void create_topics_until_killed(const std::string& path, int round, int acknowledged) {
  auto catalog = Catalog::open(path);
  if (!catalog) _exit(1);
  for (std::uint32_t i = 0;; ++i) {
    const auto topic = catalog->create_topic({.name = fmt::format("r{}-{:06}", round, i)});
    if (!topic) _exit(2);
    if (write(acknowledged, &i, sizeof i) != sizeof i) _exit(3);
  }
}

TEST_F(CatalogTest, has_every_acknowledged_topic_after_kill_9_at_any_moment) {
  std::set<std::string> expected;
  for (int round = 0; round < 6; ++round) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) create_topics_until_killed(path(), round, ends[1]);
    close(ends[1]);
    std::uint32_t index = 0;
    for (int got = 0; got < 20 + 7 * round; ++got) {
      ASSERT_EQ(read(ends[0], &index, sizeof index), static_cast<ssize_t>(sizeof index));
      expected.insert(fmt::format("r{}-{:06}", round, index));
    }
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    while (read(ends[0], &index, sizeof index) == static_cast<ssize_t>(sizeof index)) {
      expected.insert(fmt::format("r{}-{:06}", round, index));
    }
    close(ends[0]);

    const auto catalog = open();
    const auto topics = catalog.topics();
    ASSERT_TRUE(topics);
    std::set<std::string> names;
    std::set<std::uint32_t> ids;
    std::set<std::uint32_t> partitions;
    for (const Topic& topic : *topics) {
      names.insert(topic.name);
      EXPECT_TRUE(ids.insert(base::raw(topic.id)).second);
      EXPECT_TRUE(partitions.insert(base::raw(topic.first_partition)).second);
    }
    for (const auto& name : expected) EXPECT_EQ(names.count(name), 1U) << name;
    // At most the one change of each round that was not answered yet.
    EXPECT_LE(names.size(), expected.size() + static_cast<std::size_t>(round) + 1);
  }
}

}  // namespace
}  // namespace millrace::control

// Catalog: the topics of this node, in a SQLite file that survives a kill at any byte.
// Thread: any one at a time; the caller serialises.
// Owns:   the database, locked for this process alone while open.
//
// Ids of topics and of partitions come from counters that only grow, so neither is ever reused. A
// deleted topic stays as a tombstone until the data plane is known to have forgotten it too.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/catalog/topic.h"
#include "dataplane/base/result.h"

struct sqlite3;

namespace millrace::control {

struct TopicRequest {
  std::string name;
  std::uint32_t partition_count = 1;
  bool durable = true;
  Retention retention = {};
};

// What of a topic is to be otherwise.
struct TopicChanges {
  std::optional<std::int64_t> retention_ms = {};
  std::optional<std::int64_t> retention_bytes = {};
  std::optional<std::int64_t> tombstones_ms = {};
};

class Catalog {
 public:
  // Opens or makes the file. Errors: corrupt (never repaired or replaced by itself), unavailable
  // (another process has it), invalid_argument (written by a newer release), permission, io.
  static base::Result<Catalog> open(const std::string& path);

  // On return the topic is on disk. Errors: invalid_argument, already_exists, no_space (of
  // partitions, or of disk), io.
  base::Result<Topic> create_topic(const TopicRequest& request);
  // On return the change is on disk. Errors: invalid_argument, not_found, io.
  base::Result<Topic> alter_topic(std::string_view name, const TopicChanges& changes);
  // On return the tombstone is on disk. Errors: not_found, io.
  base::Result<Topic> delete_topic(std::string_view name);

  base::Result<std::vector<Topic>> topics() const;  // by id
  base::Result<std::optional<Topic>> find(std::string_view name) const;
  base::Result<std::vector<Topic>> tombstones() const;  // by id
  base::Result<void> forget_tombstone(base::TopicId id);

 private:
  struct CloseDatabase {
    void operator()(sqlite3* database) const;
  };
  Catalog(std::unique_ptr<sqlite3, CloseDatabase> database, std::string path);

  base::Error error(const char* doing) const;
  base::Result<void> execute(const char* sql);
  base::Result<void> check_and_migrate();
  base::Result<Topic> insert_topic(const TopicRequest& request);
  base::Result<std::vector<Topic>> select(const char* sql, std::string_view name) const;

  std::unique_ptr<sqlite3, CloseDatabase> database_;
  std::string path_;
};

}  // namespace millrace::control

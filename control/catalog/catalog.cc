// Catalog: see catalog.h. All SQL is in this file.
//
// WAL with synchronous=FULL: a commit is one appended, checksummed, synced group of pages; a torn
// one is ignored on the next open. Locking is exclusive, which keeps a second control plane out and
// needs no shared-memory file.
#include "control/catalog/catalog.h"

#include <sqlite3.h>

#include <chrono>
#include <iterator>
#include <utility>

namespace millrace::control {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr int application_id = 0x4d4c5243;  // "MLRC", told apart from any other SQLite file
constexpr int schema_version = 3;

// next_*: the ids given next. alive = 0 is a tombstone; names are unique among the living only.
constexpr const char* schema_sql = R"(
  CREATE TABLE counters (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    next_topic INTEGER NOT NULL,
    next_partition INTEGER NOT NULL);
  INSERT INTO counters VALUES (1, 1, 1);
  CREATE TABLE topics (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    first_partition INTEGER NOT NULL,
    partition_count INTEGER NOT NULL CHECK (partition_count > 0),
    durable INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    alive INTEGER NOT NULL,
    retention_ms INTEGER NOT NULL DEFAULT -1,
    retention_bytes INTEGER NOT NULL DEFAULT -1,
    tombstones_ms INTEGER NOT NULL DEFAULT -1);
  CREATE UNIQUE INDEX topic_names ON topics (name) WHERE alive = 1;
  PRAGMA application_id = 1296847427;
  PRAGMA user_version = 3;
)";
static_assert(application_id == 1296847427 && schema_version == 3, "as the schema's text says");

// From version 1, which kept everything for ever, and 2, which kept all records of a key: from each
// to the next.
constexpr const char* migrations_sql[] = {R"(
  ALTER TABLE topics ADD COLUMN retention_ms INTEGER NOT NULL DEFAULT -1;
  ALTER TABLE topics ADD COLUMN retention_bytes INTEGER NOT NULL DEFAULT -1;
  PRAGMA user_version = 2;
)",
                                          R"(
  ALTER TABLE topics ADD COLUMN tombstones_ms INTEGER NOT NULL DEFAULT -1;
  PRAGMA user_version = 3;
)"};
static_assert(std::size(migrations_sql) == schema_version - 1);

constexpr std::int64_t tombstones_ms_max = 100LL * 365 * 86'400'000;  // a hundred years
constexpr std::int64_t id_max = 0xffff'ffff;                          // ids are 32 bits wide

// One prepared statement, finalised on the way out.
class Statement {
 public:
  Statement(sqlite3* database, const char* sql) {
    sqlite3_prepare_v2(database, sql, -1, &statement_, nullptr);
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  void bind(int index, std::int64_t value) { sqlite3_bind_int64(statement_, index, value); }
  void bind(int index, std::string_view text) {
    sqlite3_bind_text(statement_, index, text.data(), static_cast<int>(text.size()),
                      SQLITE_TRANSIENT);
  }
  // A statement that did not prepare answers SQLITE_MISUSE here; the database keeps the reason.
  int step() { return sqlite3_step(statement_); }
  std::int64_t integer(int column) const { return sqlite3_column_int64(statement_, column); }
  std::string text(int column) const {
    const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return bytes == nullptr ? std::string() : std::string(bytes);
  }

 private:
  sqlite3_stmt* statement_ = nullptr;
};

Topic topic_of(const Statement& row) {
  return Topic{.id = base::TopicId{static_cast<std::uint32_t>(row.integer(0))},
               .name = row.text(1),
               .first_partition = base::PartitionId{static_cast<std::uint32_t>(row.integer(2))},
               .partition_count = static_cast<std::uint32_t>(row.integer(3)),
               .durable = row.integer(4) != 0,
               .created_ms = row.integer(5),
               .retention = {
                   .ms = row.integer(7), .bytes = row.integer(8), .tombstones_ms = row.integer(9)}};
}

Result<void> check_retention(const Retention& retention) {
  if (retention.tombstones_ms < -1 || retention.tombstones_ms > tombstones_ms_max) {
    return Error(ErrorCode::invalid_argument,
                 "tombstones are kept 0 ms to {} ms, or -1 where a topic is not compacted; not "
                 "{} ms",
                 tombstones_ms_max, retention.tombstones_ms);
  }
  if (retention.ms >= -1 && retention.ms != 0 && retention.bytes >= -1 && retention.bytes != 0) {
    return {};
  }
  return Error(
      ErrorCode::invalid_argument,
      "retention must be longer than 0 ms and larger than 0 bytes, or -1 for ever and all; "
      "not {} ms and {} bytes",
      retention.ms, retention.bytes);
}

std::int64_t wall_ms() {
  using std::chrono::system_clock;
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Result<Topic> Catalog::create_topic(const TopicRequest& request) {
  if (const auto name = check_topic_name(request.name); !name) return name.error();
  if (request.partition_count < 1 || request.partition_count > partitions_per_topic_max) {
    return Error(ErrorCode::invalid_argument, "a topic has 1 to {} partitions, not {}",
                 partitions_per_topic_max, request.partition_count);
  }
  if (const auto checked = check_retention(request.retention); !checked) return checked.error();
  if (const auto begun = execute("BEGIN IMMEDIATE"); !begun) return begun.error();
  auto topic = insert_topic(request);
  if (topic) {
    if (const auto committed = execute("COMMIT"); !committed) topic = committed.error();
  }
  if (!topic) static_cast<void>(execute("ROLLBACK"));
  return topic;
}

Result<Topic> Catalog::insert_topic(const TopicRequest& request) {
  const auto existing = find(request.name);
  if (!existing) return existing.error();
  if (existing->has_value()) {
    return Error(ErrorCode::already_exists, "topic {} already exists, with {} partitions",
                 request.name, (*existing)->partition_count);
  }
  // Tombstones count: the data plane may still hold their partitions.
  Statement sum(database_.get(), "SELECT coalesce(sum(partition_count), 0) FROM topics");
  if (sum.step() != SQLITE_ROW) return error("counting partitions");
  const std::int64_t used = sum.integer(0);
  if (used + request.partition_count > partitions_total_max) {
    return Error(ErrorCode::no_space,
                 "{} more partitions would make {}, and a node holds {}: delete a topic or ask for "
                 "fewer",
                 request.partition_count, used + request.partition_count, partitions_total_max);
  }
  Statement counters(database_.get(), "SELECT next_topic, next_partition FROM counters");
  if (counters.step() != SQLITE_ROW) return error("reading the id counters");
  const std::int64_t id = counters.integer(0);
  const std::int64_t partition = counters.integer(1);
  if (id >= id_max || partition + request.partition_count >= id_max) {
    return Error(ErrorCode::no_space, "the catalog has given out all of its ids");
  }
  Statement advance(database_.get(), "UPDATE counters SET next_topic = ?, next_partition = ?");
  advance.bind(1, id + 1);
  advance.bind(2, partition + request.partition_count);
  if (advance.step() != SQLITE_DONE) return error("advancing the id counters");

  Topic topic{.id = base::TopicId{static_cast<std::uint32_t>(id)},
              .name = request.name,
              .first_partition = base::PartitionId{static_cast<std::uint32_t>(partition)},
              .partition_count = request.partition_count,
              .durable = request.durable,
              .created_ms = wall_ms(),
              .retention = request.retention};
  Statement insert(database_.get(), "INSERT INTO topics VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?)");
  insert.bind(1, id);
  insert.bind(2, topic.name);
  insert.bind(3, partition);
  insert.bind(4, topic.partition_count);
  insert.bind(5, topic.durable ? 1 : 0);
  insert.bind(6, topic.created_ms);
  insert.bind(7, topic.retention.ms);
  insert.bind(8, topic.retention.bytes);
  insert.bind(9, topic.retention.tombstones_ms);
  if (insert.step() != SQLITE_DONE) return error("writing the topic");
  return topic;
}

Result<Topic> Catalog::alter_topic(std::string_view name, const TopicChanges& changes) {
  auto existing = find(name);
  if (!existing) return existing.error();
  if (!existing->has_value()) return Error(ErrorCode::not_found, "there is no topic {}", name);
  Topic topic = **existing;
  topic.retention.ms = changes.retention_ms.value_or(topic.retention.ms);
  topic.retention.bytes = changes.retention_bytes.value_or(topic.retention.bytes);
  topic.retention.tombstones_ms = changes.tombstones_ms.value_or(topic.retention.tombstones_ms);
  if (const auto checked = check_retention(topic.retention); !checked) return checked.error();
  Statement alter(database_.get(),
                  "UPDATE topics SET retention_ms = ?, retention_bytes = ?, tombstones_ms = ? "
                  "WHERE id = ?");
  alter.bind(1, topic.retention.ms);
  alter.bind(2, topic.retention.bytes);
  alter.bind(3, topic.retention.tombstones_ms);
  alter.bind(4, base::raw(topic.id));
  if (alter.step() != SQLITE_DONE) return error("changing the topic");
  return topic;
}

Result<Topic> Catalog::delete_topic(std::string_view name) {
  auto existing = find(name);
  if (!existing) return existing.error();
  if (!existing->has_value()) return Error(ErrorCode::not_found, "there is no topic {}", name);
  Statement bury(database_.get(), "UPDATE topics SET alive = 0 WHERE id = ?");
  bury.bind(1, base::raw((*existing)->id));
  if (bury.step() != SQLITE_DONE) return error("deleting the topic");
  return **existing;
}

Result<std::vector<Topic>> Catalog::topics() const {
  return select("SELECT * FROM topics WHERE alive = 1 ORDER BY id", {});
}

Result<std::vector<Topic>> Catalog::tombstones() const {
  return select("SELECT * FROM topics WHERE alive = 0 ORDER BY id", {});
}

Result<std::optional<Topic>> Catalog::find(std::string_view name) const {
  auto found = select("SELECT * FROM topics WHERE alive = 1 AND name = ?", name);
  if (!found) return found.error();
  if (found->empty()) return std::optional<Topic>();
  return std::optional<Topic>(std::move(found->front()));
}

Result<void> Catalog::forget_tombstone(base::TopicId id) {
  Statement forget(database_.get(), "DELETE FROM topics WHERE alive = 0 AND id = ?");
  forget.bind(1, base::raw(id));
  if (forget.step() != SQLITE_DONE) return error("forgetting a deleted topic");
  return {};
}

Result<std::vector<Topic>> Catalog::select(const char* sql, std::string_view name) const {
  Statement rows(database_.get(), sql);
  if (!name.empty()) rows.bind(1, name);
  std::vector<Topic> topics;
  int step = SQLITE_ROW;
  while ((step = rows.step()) == SQLITE_ROW) topics.push_back(topic_of(rows));
  if (step != SQLITE_DONE) return error("reading topics");
  return topics;
}

Result<Catalog> Catalog::open(const std::string& path) {
  sqlite3* raw = nullptr;
  const int opened =
      sqlite3_open_v2(path.c_str(), &raw,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, nullptr);
  Catalog catalog(std::unique_ptr<sqlite3, CloseDatabase>(raw), path);
  if (opened != SQLITE_OK) return catalog.error("opening it");
  sqlite3_extended_result_codes(raw, 1);
  // A predecessor that was just killed may hold the lock for a moment longer.
  sqlite3_busy_timeout(raw, 2000);
  for (const char* pragma : {"PRAGMA locking_mode = EXCLUSIVE", "PRAGMA journal_mode = WAL",
                             "PRAGMA synchronous = FULL", "PRAGMA wal_autocheckpoint = 256"}) {
    if (const auto set = catalog.execute(pragma); !set) return set.error();
  }
  if (const auto checked = catalog.check_and_migrate(); !checked) return checked.error();
  return catalog;
}

Result<void> Catalog::check_and_migrate() {
  // The write lock first: it is what keeps a second control plane out from here on.
  if (const auto locked = execute("BEGIN EXCLUSIVE"); !locked) return locked.error();
  if (const auto committed = execute("COMMIT"); !committed) return committed.error();
  Statement check(database_.get(), "PRAGMA quick_check(1)");
  if (check.step() != SQLITE_ROW) return error("checking it");
  if (const std::string verdict = check.text(0); verdict != "ok") {
    return Error(ErrorCode::corrupt,
                 "the catalog {} is damaged ({}); nothing was changed. Restore it from a copy; "
                 "without it the journal's topics have no names",
                 path_, verdict);
  }
  Statement header(database_.get(),
                   "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master) "
                   "FROM pragma_application_id, pragma_user_version");
  if (header.step() != SQLITE_ROW) return error("reading its version");
  const auto application = header.integer(0);
  const auto version = header.integer(1);
  if (application == 0 && version == 0 && header.integer(2) == 0) {
    if (const auto begun = execute("BEGIN IMMEDIATE"); !begun) return begun.error();
    if (const auto made = execute(schema_sql); !made) return made.error();
    return execute("COMMIT");
  }
  if (application == application_id && version >= 1 && version < schema_version) {
    if (const auto begun = execute("BEGIN IMMEDIATE"); !begun) return begun.error();
    for (auto from = version; from < schema_version; ++from) {
      if (const auto migrated = execute(migrations_sql[from - 1]); !migrated) {
        return migrated.error();
      }
    }
    return execute("COMMIT");
  }
  if (application != application_id) {
    return Error(ErrorCode::corrupt, "{} is a SQLite database but not a Millrace catalog", path_);
  }
  if (version != schema_version) {
    return Error(ErrorCode::invalid_argument,
                 "the catalog {} has schema version {}, this release knows {}: run the release "
                 "that wrote it, or a newer one",
                 path_, version, schema_version);
  }
  return {};
}

Result<void> Catalog::execute(const char* sql) {
  if (sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return error("writing to it");
  }
  return {};
}

Error Catalog::error(const char* doing) const {
  sqlite3* database = database_.get();
  const int code = database == nullptr ? SQLITE_NOMEM : sqlite3_errcode(database) & 0xff;
  const char* reason = database == nullptr ? "out of memory" : sqlite3_errmsg(database);
  switch (code) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return Error(ErrorCode::corrupt,
                   "the catalog {} is damaged ({}); nothing was changed. Restore it from a copy; "
                   "without it the journal's topics have no names",
                   path_, reason);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Error(ErrorCode::unavailable,
                   "the catalog {} is in use by another process: is a second millrace-control "
                   "running on this data directory?",
                   path_);
    case SQLITE_FULL:
      return Error(ErrorCode::no_space, "the catalog {}: {} failed, the disk is full", path_,
                   doing);
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return Error(ErrorCode::permission,
                   "the catalog {}: {} failed: {}. Check that its directory exists and that this "
                   "user may write there",
                   path_, doing, reason);
    default:
      return Error(ErrorCode::io, "the catalog {}: {} failed: {}", path_, doing, reason);
  }
}

Catalog::Catalog(std::unique_ptr<sqlite3, CloseDatabase> database, std::string path)
    : database_(std::move(database)), path_(std::move(path)) {}

void Catalog::CloseDatabase::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

}  // namespace millrace::control

// Checker: what was offered, acknowledged and read, and what of it contradicts the promises of a
// log.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataplane/base/ids.h"

namespace millrace::sim {

enum class Anomaly : std::uint8_t {
  lost,         // acknowledged as durable, and not in the log
  duplicated,   // twice in the log
  reordered,    // of one producer, not in the order it was offered
  stale,        // a durable record whose offset later held another
  foreign,      // bytes nobody offered
  unreadable,   // the log cannot be read, and no disk was harmed
  stuck,        // no progress though every fault is over
  broken_rule,  // an invariant at rest does not hold
  count,
};

constexpr std::array<std::string_view, static_cast<std::size_t>(Anomaly::count)> anomaly_names = {
    "lost", "duplicated", "reordered", "stale", "foreign", "unreadable", "stuck", "broken rule"};

constexpr std::string_view name_of(Anomaly kind) {
  return anomaly_names[static_cast<std::size_t>(kind)];
}

struct Finding {
  Anomaly kind;
  std::string text;
};

class Checker {
 public:
  // The value of a producer's n-th record: it names itself and says how long it is, so that any
  // other bytes are foreign, and so is a part of it.
  static std::string value_of(std::uint64_t producer, std::uint64_t number,
                              std::size_t filling_bytes);

  // A record as one text, which tells which of all it is: its value; "key=value" where it has a
  // key; "key!" of a tombstone, of which a key has one at most. Keys are of letters and digits.
  using Bytes = std::optional<std::string_view>;
  static std::string text_of(Bytes key, Bytes value);

  // A producer of a partition; both are numbers of the run.
  void offered(std::uint64_t producer, std::uint32_t partition, std::uint64_t number);
  // The same of a record with a key. Once it is taken no other tombstone of its key is offered.
  struct Keyed {
    std::string key;  // empty: none
    bool is_tombstone = false;
    std::int64_t offered_ms = 0;
  };
  void offered(std::uint64_t producer, std::uint32_t partition, std::uint64_t number, Keyed keyed);
  // Of each key of the partition the last record is kept, and a tombstone at least so long.
  void compacted(std::uint32_t partition, std::int64_t tombstones_ms) {
    compacted_[partition] = tombstones_ms;
  }
  bool is_compacted(std::uint32_t partition) const { return compacted_.contains(partition); }
  // All below `count` are durable.
  void acknowledged(std::uint64_t producer, std::uint64_t count);
  // A live reader met this. is_current: in this life of the node, not on a packet of an earlier
  // one.
  void read(std::uint32_t partition, std::int64_t offset, std::string_view value, bool is_current);

  // A reader of a compacted partition was led past these offsets.
  void skipped(std::uint32_t partition, std::int64_t first, std::int64_t end);

  // The node was told to delete the records of a partition before the offset.
  void trimmed(std::uint32_t partition, std::int64_t before);
  // A reader met the record there, once it was durable.
  void settled(std::uint32_t partition, std::int64_t offset, std::uint64_t producer,
               std::uint64_t number) {
    settled_.insert_or_assign({partition, offset}, Record{producer, number});
  }

  // The record there went bad at rest: a node may refuse it from here on.
  void harmed(std::uint32_t partition, std::int64_t offset, std::string_view value);
  // What lies there can no longer be found; it need not be a record.
  void harmed(std::uint32_t partition, std::int64_t first, std::int64_t end);
  bool is_harmed_from(std::uint32_t partition, std::int64_t offset) const {
    const auto next = harmed_.lower_bound({partition, offset});
    return next != harmed_.end() && next->first == partition;
  }
  // A node refuses the offset. Where what it may refuse ends; nothing if it may not, which is
  // reported.
  std::optional<std::int64_t> refused(std::uint32_t partition, std::int64_t offset);

  // The whole of a partition, after all is over. is_damaged: the node says that it misses some.
  struct Entry {
    std::int64_t offset;
    std::string value;  // as text_of() has it
    std::int64_t timestamp_ms = 0;
  };
  void verify(std::uint32_t partition, const std::vector<Entry>& whole, bool is_damaged,
              std::int64_t now_ms = 0);
  // What a reader met that began at a time, after verify() and before anything else was written.
  void verify_from_time(std::uint32_t partition, const std::vector<Entry>& whole,
                        std::int64_t from_ms, const std::vector<Entry>& met);

  void report(Anomaly kind, std::string text);
  const std::vector<Finding>& findings() const { return findings_; }
  std::uint64_t acknowledged_count() const;
  std::uint64_t read_count() const { return read_count_; }
  std::uint64_t tombstones_gone() const { return tombstones_gone_; }

 private:
  struct Record {
    std::uint64_t producer = 0;
    std::uint64_t number = 0;
    auto operator<=>(const Record&) const = default;
  };
  struct Producer {
    std::uint32_t partition = 0;
    std::uint64_t offered = 0;
    std::uint64_t durable = 0;
    std::vector<Keyed> keyed;  // by number, in a compacted partition
  };
  // A compacted partition as it is in the end.
  struct Compacted {
    std::int64_t tombstones_ms = 0;
    std::int64_t now_ms = 0;
    std::map<Record, std::int64_t> offsets;           // of those that are there
    std::map<Record, std::int64_t> known;             // of all that were ever met
    std::map<std::string, std::int64_t> last_of_key;  // their offsets
    std::map<std::string, Record> tombstones;         // that are not there
  };

  void verify_producer(std::uint64_t id, const Producer& producer,
                       const std::set<std::uint64_t>& there);
  void verify_compacted(std::uint32_t partition, std::int64_t now_ms,
                        const std::map<Record, std::int64_t>& there);
  void verify_compacted_producer(std::uint32_t partition, std::uint64_t id, Compacted& compacted);
  bool may_be_gone(std::uint32_t partition, const Record& record, std::int64_t after,
                   const Compacted& compacted) const;
  bool may_be_over(const Keyed& keyed, const Compacted& compacted) const;
  void verify_no_return(std::uint32_t partition, const Compacted& compacted);
  const Keyed& keyed_of(const Record& record) const;
  bool parse(std::string_view value, Record& record) const;
  bool parse_value(std::string_view value, Record& record) const;
  // Nothing when nobody offered it there, which is reported.
  std::optional<Record> recognise(std::uint32_t partition, std::int64_t offset,
                                  std::string_view value);
  void take(std::uint32_t partition, std::int64_t offset, const Record& record);
  bool is_durable(const Record& record) const;
  bool may_miss(std::uint32_t partition, std::int64_t first, std::int64_t end) const;

  std::map<std::uint64_t, Producer> producers_;
  std::map<std::uint32_t, std::int64_t> trimmed_;  // by partition
  // By partition and offset: what a reader met there when it was known to be durable.
  std::map<std::pair<std::uint32_t, std::int64_t>, Record> settled_;
  std::set<std::pair<std::uint32_t, std::int64_t>> harmed_;  // partitions and offsets
  std::set<Record> harmed_records_;
  std::map<std::uint32_t, std::int64_t> compacted_;           // how long a tombstone stays
  std::map<std::string, Record, std::less<>> tombstones_;     // by key
  std::set<std::pair<std::uint32_t, std::int64_t>> skipped_;  // that were known, and durable
  std::set<std::string> harmed_keys_;
  std::vector<Finding> findings_;
  std::uint64_t read_count_ = 0;
  std::uint64_t tombstones_gone_ = 0;
};

}  // namespace millrace::sim

// TopicTable: what a core knows of the catalog: names to partitions.
// Core:  one copy on each, changed only by the mailbox.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "dataplane/base/arena.h"
#include "dataplane/base/ids.h"

namespace millrace::shard {

struct Topic {
  static constexpr std::uint32_t name_bytes_max = 249;

  base::TopicId id{};
  base::PartitionId first_partition{};
  std::uint32_t partition_count = 0;
  bool durable = true;  // what an acknowledgement means where the protocol does not say
  bool used = false;
  std::uint8_t name_bytes = 0;
  char name[name_bytes_max] = {};

  std::string_view name_text() const { return {name, name_bytes}; }
  base::PartitionId partition(std::uint32_t index) const {
    return base::PartitionId{base::raw(first_partition) + index};
  }
};

class TopicTable {
 public:
  TopicTable(base::Arena& arena, std::uint32_t topics_max);
  static std::uint64_t arena_bytes(std::uint32_t topics_max);

  const Topic* find(std::string_view name) const;
  const Topic* find(base::TopicId id) const;
  // The same id again replaces nothing and is fine. False when the table is full.
  bool add(const Topic& topic);
  void remove(base::TopicId id);

  std::uint32_t size() const { return size_; }

 private:
  std::uint32_t home_of(std::string_view name) const;
  std::uint32_t index_of(std::string_view name) const;

  std::span<Topic> topics_;
  std::span<std::uint32_t> table_;  // open addressing by name: index + 1, 0 empty
  std::uint32_t high_ = 0;          // topics_ from here on were never used
  std::uint32_t size_ = 0;
};

}  // namespace millrace::shard

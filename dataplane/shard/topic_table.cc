#include "dataplane/shard/topic_table.h"

#include <bit>

namespace millrace::shard {
namespace {

std::uint64_t hash_name(std::string_view name) {  // FNV-1a
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325ULL;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100'0000'01b3ULL;
  return hash;
}

}  // namespace

TopicTable::TopicTable(base::Arena& arena, std::uint32_t topics_max)
    : topics_(arena.allocate<Topic>(topics_max)),
      table_(arena.allocate<std::uint32_t>(std::bit_ceil(topics_max * 2))) {}

std::uint64_t TopicTable::arena_bytes(std::uint32_t topics_max) {
  return topics_max * sizeof(Topic) + std::bit_ceil(topics_max * 2) * sizeof(std::uint32_t) + 256;
}

std::uint32_t TopicTable::home_of(std::string_view name) const {
  return static_cast<std::uint32_t>(hash_name(name)) &
         static_cast<std::uint32_t>(table_.size() - 1);
}

// The place in table_ that holds the name, or the empty one where the search ended.
std::uint32_t TopicTable::index_of(std::string_view name) const {
  const auto mask = static_cast<std::uint32_t>(table_.size() - 1);
  std::uint32_t at = home_of(name);
  while (table_[at] != 0 && topics_[table_[at] - 1].name_text() != name) at = (at + 1) & mask;
  return at;
}

const Topic* TopicTable::find(std::string_view name) const {
  const std::uint32_t entry = table_[index_of(name)];
  return entry == 0 ? nullptr : &topics_[entry - 1];
}

const Topic* TopicTable::find(base::TopicId id) const {
  for (std::uint32_t i = 0; i < high_; ++i) {
    if (topics_[i].used && topics_[i].id == id) return &topics_[i];
  }
  return nullptr;
}

bool TopicTable::add(const Topic& topic) {
  const std::uint32_t at = index_of(topic.name_text());
  if (table_[at] != 0) {
    topics_[table_[at] - 1] = topic;
  } else {
    std::uint32_t slot = high_;
    if (high_ == topics_.size()) {
      for (slot = 0; slot < high_ && topics_[slot].used; ++slot) {
      }
      if (slot == high_) return false;
    } else {
      ++high_;
    }
    topics_[slot] = topic;
    table_[at] = slot + 1;
    ++size_;
  }
  topics_[table_[at] - 1].used = true;
  return true;
}

void TopicTable::remove(base::TopicId id) {
  const Topic* topic = find(id);
  if (topic == nullptr) return;
  const auto mask = static_cast<std::uint32_t>(table_.size() - 1);
  std::uint32_t hole = index_of(topic->name_text());
  Topic& slot = topics_[table_[hole] - 1];
  for (std::uint32_t at = (hole + 1) & mask; table_[at] != 0; at = (at + 1) & mask) {
    const std::uint32_t home = home_of(topics_[table_[at] - 1].name_text());
    if (((at - home) & mask) >= ((at - hole) & mask)) {
      table_[hole] = table_[at];
      hole = at;
    }
  }
  table_[hole] = 0;
  slot = Topic();
  --size_;
}

}  // namespace millrace::shard

#include "dataplane/shard/producer_table.h"

#include <bit>

namespace millrace::shard {
namespace {

constexpr std::int32_t next_sequence(std::int32_t last) {
  return static_cast<std::int32_t>((static_cast<std::uint32_t>(last) + 1) & 0x7fff'ffffU);
}

// Is a before b, in a space of 2^31 that wraps?
constexpr bool is_before(std::int32_t a, std::int32_t b) {
  return ((static_cast<std::uint32_t>(b) - static_cast<std::uint32_t>(a)) & 0x7fff'ffffU) <
         0x4000'0000U;
}

}  // namespace

ProducerTable::ProducerTable(base::Arena& arena, std::uint32_t producers_max)
    : table_(arena.allocate<Producer>(std::bit_ceil(producers_max + producers_max / 2))),
      producers_max_(producers_max) {}

std::uint64_t ProducerTable::arena_bytes(std::uint32_t producers_max) {
  return std::bit_ceil(producers_max + producers_max / 2) * sizeof(Producer) + 64;
}

ProducerTable::Verdict ProducerTable::check(base::PartitionId partition, base::ProducerId id,
                                            std::int16_t epoch, std::int32_t base_sequence,
                                            std::int32_t last_sequence, std::uint64_t now_ns) {
  if (id == base::no_producer_id) return {};
  Producer* producer = find(partition, id);
  if (producer == nullptr) {
    producer = insert(partition, id, epoch, now_ns);
    if (producer == nullptr) return {.status = Status::too_many_producers};
  }
  producer->last_used_ns = now_ns;
  if (epoch < producer->epoch) return {.status = Status::fenced};
  if (epoch > producer->epoch) {
    if (base_sequence != 0) return {.status = Status::out_of_order};
    producer->epoch = epoch;
    producer->batch_count = 0;
  }
  if (producer->batch_count == 0 || base_sequence == next_sequence(producer->last_sequence())) {
    return {.producer = producer};
  }
  for (std::uint32_t i = 0; i < producer->batch_count; ++i) {
    const Sequences& batch = producer->batches[i];
    if (batch.first == base_sequence && batch.last == last_sequence) {
      return {.status = Status::duplicate, .base_offset = batch.base_offset, .producer = producer};
    }
  }
  // Wholly behind us: an old repeat. One that reaches past what we have was cut differently the
  // second time, which no client may do.
  const bool old = last_sequence == producer->last_sequence() ||
                   is_before(last_sequence, producer->last_sequence());
  return {.status = old ? Status::duplicate : Status::out_of_order, .producer = producer};
}

void ProducerTable::accept(Producer& producer, std::int32_t base_sequence,
                           std::int32_t last_sequence, base::Offset base_offset) {
  producer.newest = producer.batch_count == 0
                        ? std::uint8_t{0}
                        : static_cast<std::uint8_t>((producer.newest + 1) % remembered_batches);
  producer.batches[producer.newest] = {base_sequence, last_sequence, base_offset};
  if (producer.batch_count < remembered_batches) ++producer.batch_count;
}

ProducerTable::Producer* ProducerTable::open(base::PartitionId partition, base::ProducerId id,
                                             std::int16_t epoch, std::uint64_t now_ns,
                                             Status& status) {
  status = Status::ok;
  Producer* producer = find(partition, id);
  if (producer == nullptr) producer = insert(partition, id, epoch, now_ns);
  if (producer == nullptr) {
    status = Status::too_many_producers;
    return nullptr;
  }
  producer->last_used_ns = now_ns;
  if (epoch < producer->epoch) status = Status::fenced;
  if (epoch > producer->epoch) {
    producer->epoch = epoch;
    producer->batch_count = 0;
  }
  return producer;
}

void ProducerTable::recover(base::PartitionId partition, base::ProducerId id, std::int16_t epoch,
                            std::int32_t base_sequence, std::int32_t last_sequence,
                            base::Offset base_offset) {
  if (id == base::no_producer_id) return;
  Producer* producer = find(partition, id);
  if (producer == nullptr) {
    if (size_ == producers_max_) evict_older();
    producer = insert(partition, id, epoch, 0);
  }
  producer->last_used_ns = ++recovered_;  // only the order counts until finish_recovery
  if (epoch != producer->epoch) producer->batch_count = 0;
  producer->epoch = epoch;
  accept(*producer, base_sequence, last_sequence, base_offset);
}

std::uint32_t ProducerTable::home_of(base::PartitionId partition, base::ProducerId id) const {
  std::uint64_t hash = static_cast<std::uint64_t>(id) * 0x9e37'79b9'7f4a'7c15ULL;
  hash ^= (static_cast<std::uint64_t>(base::raw(partition)) + 0x5851'f42d'4c95'7f2dULL) *
          0xd6e8'feb8'6659'fd93ULL;
  return static_cast<std::uint32_t>(hash >> 32) & static_cast<std::uint32_t>(table_.size() - 1);
}

ProducerTable::Producer* ProducerTable::find(base::PartitionId partition, base::ProducerId id) {
  const auto mask = static_cast<std::uint32_t>(table_.size() - 1);
  for (std::uint32_t at = home_of(partition, id); table_[at].id != base::no_producer_id;
       at = (at + 1) & mask) {
    if (table_[at].id == id && table_[at].partition == partition) return &table_[at];
  }
  return nullptr;
}

ProducerTable::Producer* ProducerTable::insert(base::PartitionId partition, base::ProducerId id,
                                               std::int16_t epoch, std::uint64_t now_ns) {
  if (size_ == producers_max_ && !evict_idle(now_ns)) return nullptr;
  const auto mask = static_cast<std::uint32_t>(table_.size() - 1);
  std::uint32_t at = home_of(partition, id);
  while (table_[at].id != base::no_producer_id) at = (at + 1) & mask;
  table_[at] = Producer();
  table_[at].id = id;
  table_[at].partition = partition;
  table_[at].epoch = epoch;
  table_[at].last_used_ns = now_ns;
  ++size_;
  return &table_[at];
}

bool ProducerTable::evict_idle(std::uint64_t now_ns) {
  const auto mask = static_cast<std::uint32_t>(table_.size() - 1);
  for (std::uint32_t step = 0; step <= mask; ++step) {
    const std::uint32_t at = (evict_hand_ + step) & mask;
    if (table_[at].id == base::no_producer_id || table_[at].last_used_ns + idle_ns > now_ns)
      continue;
    erase(at);
    evict_hand_ = at;
    return true;
  }
  return false;
}

// Of the next few, the one that wrote longest ago.
void ProducerTable::evict_older() {
  const auto mask = static_cast<std::uint32_t>(table_.size() - 1);
  std::uint32_t oldest = mask + 1;
  std::uint32_t seen = 0;
  for (; seen < 64; evict_hand_ = (evict_hand_ + 1) & mask) {
    if (table_[evict_hand_].id == base::no_producer_id) continue;
    ++seen;
    if (oldest > mask || table_[evict_hand_].last_used_ns < table_[oldest].last_used_ns)
      oldest = evict_hand_;
  }
  erase(oldest);
}

void ProducerTable::finish_recovery(std::uint64_t now_ns) {
  for (Producer& producer : table_) producer.last_used_ns = now_ns;
}

void ProducerTable::erase(std::uint32_t hole) {
  const auto mask = static_cast<std::uint32_t>(table_.size() - 1);
  for (std::uint32_t at = (hole + 1) & mask; table_[at].id != base::no_producer_id;
       at = (at + 1) & mask) {
    const std::uint32_t home = home_of(table_[at].partition, table_[at].id);
    if (((at - home) & mask) >= ((at - hole) & mask)) {
      table_[hole] = table_[at];
      hole = at;
    }
  }
  table_[hole] = Producer();
  --size_;
}

}  // namespace millrace::shard

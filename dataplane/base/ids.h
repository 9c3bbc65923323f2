// Strong ids. Two things that must not be mixed up do not share a type.
#pragma once

#include <cstdint>
#include <type_traits>

namespace millrace::base {

enum class CoreId : std::uint16_t {};   // index of a data core, from 0
enum class ShardId : std::uint16_t {};  // index of a shard, from 0; fixed for the life of the data
enum class TopicId : std::uint32_t {};  // given by the catalog, never reused
enum class PartitionId : std::uint32_t {
};  // given by the catalog, never reused, unique over all topics

// A record's place in its partition, from 0 (Kafka's offset; signed as on its wire).
using Offset = std::int64_t;
// A byte's place in a shard's journal, from 0 and never reused (the log sequence number).
using Position = std::uint64_t;
// Kafka's producer id; -1 is a producer without one (no duplicates check).
using ProducerId = std::int64_t;
inline constexpr ProducerId no_producer_id = -1;

template <typename Id>
requires std::is_enum_v<Id>
constexpr auto raw(Id id) { return static_cast<std::underlying_type_t<Id>>(id); }

}  // namespace millrace::base

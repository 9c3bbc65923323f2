// Region: the one piece of memory that both planes see. Layout only.
//
// A memory file that whoever starts the planes creates; each plane maps it by path. Each field has
// one writer: the data plane (D) or control (C). Neither waits for the other: a ring that is full
// is tried again later, and either side may die and come back at any point. A plane that restarts
// picks up its side of each ring where the indices stand. Messages name the incarnation of the data
// plane they are meant for, so nothing that was sent to an earlier one is applied.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "dataplane/base/counter.h"
#include "dataplane/base/drop_reason.h"
#include "dataplane/base/ids.h"
#include "dataplane/ring/spsc_ring.h"

namespace millrace::link {

inline constexpr std::uint64_t region_magic = 0x314b4e4c4c494d21ULL;
inline constexpr std::uint32_t region_version = 4;
inline constexpr std::uint32_t cores_max = 16;
inline constexpr std::uint32_t ports_max = 32;
inline constexpr std::uint32_t partitions_max = 32768;
inline constexpr std::uint32_t topic_name_bytes_max = 249;  // Kafka's limit

// Text that is set before the field that publishes it, and not changed while that field stands.
template <std::uint32_t N>
struct Text {
  char bytes[N] = {};
  void set(std::string_view text) {
    const auto length = text.size() < N - 1 ? text.size() : N - 1;
    std::memcpy(bytes, text.data(), length);
    bytes[length] = 0;
  }
  std::string_view get() const { return {bytes, strnlen(bytes, N)}; }
};

enum class State : std::uint64_t { none, starting, recovering, ready, stopping, failed };

enum class MailboxKind : std::uint32_t {
  create_topic,  // or changes its settings
  delete_topic,
  catalog_complete,  // everything the catalog holds has been sent
  delete_records,    // of first_partition, those before `offset`
};

// Control to a core.
struct MailboxMessage {
  std::uint64_t incarnation = 0;  // of the data plane it is for
  std::uint64_t sequence =
      0;  // rising within an incarnation, with gaps; a core publishes the last one it applied
  MailboxKind kind = MailboxKind::create_topic;
  base::TopicId topic{};
  base::PartitionId first_partition{};  // the topic's partitions have consecutive ids
  std::uint32_t partition_count = 0;
  bool durable = true;  // what an acknowledgement means where the protocol does not say
  std::uint8_t name_bytes = 0;
  char name[topic_name_bytes_max] = {};
  std::int64_t retention_ms = -1;     // create_topic; -1: for ever
  std::int64_t retention_bytes = -1;  // of each partition; -1: all
  std::int64_t tombstones_ms = -1;    // kept so long where only each key's last record is; -1: all
  base::Offset offset = 0;            // delete_records
};

enum class ControlEventKind : std::uint32_t {
  topic_wanted,  // a producer asked for a topic that does not exist
  partition_damaged,
  storage_failed,
  disk_low,
  segment_damaged,
};

// A core to control.
struct ControlEvent {
  ControlEventKind kind = ControlEventKind::topic_wanted;
  base::PartitionId partition{};
  base::Offset first_offset = 0;
  base::Offset last_offset = 0;
  Text<256> text;
};

struct PortBlock {     // D
  base::Counter live;  // 1 while the port is up
  Text<128> path;      // "kernel-udp 0.0.0.0:7070"
  Text<32> kind;       // kernel-udp, memif, af_xdp, pci, tap, pcap
  std::uint32_t core = 0;
  base::Counter rx_packets, rx_bytes, tx_packets, tx_bytes, rx_missed, rx_errors, tx_refused;
  std::array<base::Counter, base::delivery_count> delivered;
  std::array<base::Counter, base::drop_reason_count> dropped;
};

struct CoreBlock {                // D but for the mailbox's producer side
  base::Counter mailbox_applied;  // sequence of the last mailbox message applied
  base::Counter turns;
  base::Counter busy_turns;  // those that found work
  base::Counter slow_turns;  // over the budget of 100 us
  base::Counter sleeps;
  base::Counter sessions;  // open now
  base::Counter sessions_opened;
  base::Counter streams;        // open now
  base::Counter subscriptions;  // open now
  base::Counter batches_appended;
  base::Counter records_appended;
  base::Counter bytes_appended;
  base::Counter batches_duplicate;
  base::Counter batches_refused;
  base::Counter batches_delivered;
  base::Counter bytes_delivered;
  base::Counter packets_repaired;
  ring::SpscRing<MailboxMessage, 256> mailbox;
  ring::SpscRing<ControlEvent, 64> events;
};

struct ShardBlock {  // D
  base::Counter journal_bytes_max;
  base::Counter journal_bytes_used;
  base::Counter durable_position;
  base::Counter append_position;
  base::Counter frames_written;
  base::Counter frame_bytes_written;
  base::Counter write_ns_total;  // of durable writes, submit to completion
  base::Counter refused_full;
  base::Counter failed;           // 1 once a write failed
  base::Counter sorted_position;  // of the journal; before it all is in segments
  base::Counter segment_files;
  base::Counter segment_bytes;
  base::Counter scrub_bytes;       // of segment files, read and checked
  base::Counter scrub_bad_blocks;  // found damaged, each once
  base::Counter scrub_passes;      // over all segment files
  base::Counter disk_free_bytes;   // 0: not known
  base::Counter disk_low;          // 1: appends are refused
  base::Counter producers;
};

struct PartitionBlock {       // D
  base::Counter id_plus_one;  // 0: free
  base::Counter log_start;
  base::Counter log_end;      // next offset
  base::Counter durable_end;  // next offset that is not yet durable
  base::Counter bytes;        // of batches held
  base::Counter damaged;      // 1: appends are refused, see the event
};

struct Region {
  std::uint64_t magic = region_magic;
  std::uint32_t version = region_version;
  std::uint32_t reserved = 0;
  base::Counter
      incarnation;  // D: wall time in ns at which this data plane started; changes with every start
  base::Counter pid;          // D
  base::Counter control_pid;  // C
  base::Counter state;        // D: State
  base::Counter started_wall_ns;
  base::Counter recovery_bytes_done, recovery_bytes_total;
  base::Counter core_count, shard_count, port_count, partition_count;  // D
  base::Counter catalog_ready;  // D: 1 once all cores and their listeners know the topics
  Text<16> durability;          // D: plp, fua, flush, unsafe
  Text<128> device;             // D
  Text<256> memory;             // D: "huge pages" or why not
  Text<512> failure;            // D: why state is failed
  std::array<PortBlock, ports_max> ports;
  std::array<ShardBlock, cores_max> shards;
  std::array<CoreBlock, cores_max> cores;
  std::array<PartitionBlock, partitions_max> partitions;
};

}  // namespace millrace::link

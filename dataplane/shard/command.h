// Command, Event: the narrow waist. Every protocol is a translation to and from these.
// Core:  made on the core of the connection, applied on the core of the shard; they cross by value.
//
// A requester names itself with (core, protocol, session, stream), which no shard interprets and
// every event echoes. Memory that a command or an event points at stays valid until the receiving
// core has processed it and released its slot; whoever needs the bytes longer copies them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/base/ids.h"

namespace millrace::shard {

enum class CommandKind : std::uint8_t {
  open,          // attach a producer or reader to a partition: who is it, where does it stand
  append,        // one record batch
  read,          // a range of one batch, once; repair uses it
  subscribe,     // a cursor that is pushed to as long as it has credit
  credit,        // sets a cursor and how many bytes may be pushed from it
  close,         // forget the subscription (or, with subscription 0, all of the session's)
  topic_change,  // a partition appears or goes; from the mailbox, answered by nothing
};

// Where a subscription starts.
enum class StartAt : std::uint8_t { earliest, latest, offset, time };

// What happened to a partition (topic_change).
enum class TopicChange : std::uint8_t { created, deleted, catalog_complete };

enum class Status : std::uint8_t {
  ok,
  duplicate,      // already in the log; answered like ok, with the first time's offset where known
  unknown_topic,  // no such topic or partition on this node
  out_of_order,   // sequence is past the next expected one
  fenced,         // a newer epoch of this producer id exists
  corrupt,        // CRC or structure of the batch is wrong
  too_large,      // over the limit for one batch
  journal_full,   // no room until something is deleted
  too_many_producers,  // the table of producer ids is full of live ones
  too_many_subscriptions,
  offset_out_of_range,  // below the log start or beyond the log end
  partition_damaged,    // acknowledged bytes of it are unreadable at rest
  storage_failed,       // the device failed; the shard acknowledges nothing any more
  not_ready,            // the catalog has not arrived yet; try again
  disk_full,            // the device is nearly full; what is left is kept for deleting
};

struct Command {
  CommandKind kind = CommandKind::open;
  StartAt start_at = StartAt::earliest;  // subscribe
  bool wants_durable = false;            // append: somebody waits for the device
  TopicChange change = TopicChange::created;
  base::CoreId core{};                // where events for the requester go
  std::uint16_t partition_index = 0;  // open: index within the topic
  std::uint32_t session = 0;
  std::uint32_t stream = 0;
  base::PartitionId partition{};  // all but open
  std::uint32_t byte_count =
      0;  // open: of the topic's name; append: of the batch; read, credit: limit
  const std::byte* bytes = nullptr;  // open: the topic's name; append: the batch (storage/batch.h)
  base::Offset offset = 0;  // read, credit: of a batch, its base offset if skip_bytes; subscribe:
                            // offset or time in ms
  std::uint32_t skip_bytes = 0;    // read, credit: bytes of that batch already had
  std::uint32_t subscription = 0;  // credit, close: given by the subscribed event
  base::ProducerId producer_id = base::no_producer_id;  // open
  std::uint64_t token = 0;                              // read: echoed
  std::int16_t producer_epoch = 0;                      // open
  std::uint16_t partition_count = 0;  // open: of the topic; the router sets it with partition
  std::uint8_t protocol = 0;          // who asks on that core; set by the router, echoed
};
static_assert(sizeof(Command) <= 88);

enum class EventKind : std::uint8_t {
  opened,      // answers open
  appended,    // answers append
  durable,     // per shard, to every core: all up to `position` is on the device
  batch,       // answers read, and comes by itself to a subscription with credit
  subscribed,  // answers subscribe
  ended,       // of a stream or subscription: its partition is gone, and so is the subscription; or
               // at `offset` nothing can be read (partition_damaged, offset_out_of_range), and it
               // stays, without credit, until it is closed: ranges before may have been forgotten
};

struct Event {
  EventKind kind = EventKind::opened;
  Status status = Status::ok;
  base::ShardId shard{};
  std::uint32_t session = 0;
  std::uint32_t stream = 0;
  base::PartitionId partition{};
  std::uint32_t byte_count = 0;      // batch: bytes here
  const std::byte* bytes = nullptr;  // batch: a range of the batch that starts at skip_bytes
  base::Offset offset =
      0;  // opened: log start; appended, batch: base offset; subscribed: cursor; ended
  base::Offset log_end = 0;  // opened, subscribed, batch: next offset to be given
  base::Position position =
      0;  // appended: durable once the shard's durable position is at or past it; durable
  union {
    std::uint64_t token = 0;    // batch that answers a read
    base::Offset asked_offset;  // batch of a subscription: from here to it there is no record
  };
  std::uint32_t skip_bytes = 0;    // batch
  std::uint32_t batch_bytes = 0;   // batch: size of the whole
  std::uint32_t subscription = 0;  // subscribed, batch (0: answers a read), ended
  std::int32_t sequence =
      -1;  // opened: last sequence of the producer, -1 none; appended: last of the batch
  std::uint32_t offset_count = 0;     // appended, batch: offsets it stands for
  std::uint16_t partition_count = 0;  // opened: of the topic
  std::int16_t producer_epoch = 0;    // opened: the newest epoch known
  std::uint8_t protocol = 0;          // of the command; 0 in durable, which all protocols get
};
static_assert(sizeof(Event) <= 96);

}  // namespace millrace::shard

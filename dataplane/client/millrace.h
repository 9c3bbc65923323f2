/* millrace.h: the client library's C ABI: publish to and subscribe from a Millrace node.
 *
 * Threads: one client and everything opened from it belong to one thread at a time; there are no
 * hidden threads and no locks. Nothing blocks but mr_wait and mr_drain. mr_poll drives everything:
 * connecting, sending, repairing lost packets, reconnecting, delivering. Call it often.
 *
 * Memory: handles belong to the library; mr_close frees the client and all that was opened from it.
 * Keys and values given to mr_offer are copied before it returns. Keys and values of a delivered
 * record are the library's and valid until the handler returns.
 *
 * Every function that can fail returns a negative mr_status; what to do then is told beside each.
 */
#ifndef MILLRACE_H
#define MILLRACE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MR_API __attribute__((visibility("default")))
#else
#define MR_API
#endif

typedef struct mr_client mr_client;
typedef struct mr_producer mr_producer;
typedef struct mr_subscription mr_subscription;

typedef enum mr_status {
  MR_OK = 0,
  /* Passing: mr_poll (or mr_wait, then mr_poll) and try again. */
  MR_BACK_PRESSURED = -1, /* the producer's buffers are full of records not yet acknowledged */
  MR_NOT_CONNECTED = -2,  /* no session, or the stream is not open yet; reconnecting by itself */
  MR_NOT_READY = -3,      /* the node is still starting; asked again by itself */
  MR_SERVER_FULL = -4,    /* the node has no session to give; asked again by itself */
  /* The call was wrong: change it. */
  MR_INVALID = -10, /* a null handle, a bad option, a claim within a claim, mr_poll in a handler */
  MR_TOO_LARGE = -11,   /* the record does not fit a batch of 1 MiB: split it */
  MR_BAD_ADDRESS = -12, /* mr_connect: the address does not read; the error text says where */
  /* This producer or subscription stopped. */
  MR_TIMED_OUT = -21,     /* records were not acknowledged within delivery_timeout_ms: whether they
                             are in the log is not known. mr_producer_retry keeps trying, without
                             duplicates; or close the producer */
  MR_REFUSED_FULL = -22,  /* the log has no room: delete or wait for retention, mr_producer_retry */
  MR_UNKNOWN_TOPIC = -23, /* no such topic or partition (or it was deleted): create it, then
                             mr_producer_retry, or subscribe again */
  MR_FENCED = -24,        /* a newer epoch of this producer id exists: another instance took over;
                             stop, or open again with a higher epoch */
  MR_OUT_OF_ORDER = -25,  /* the node misses earlier records of this producer id: acknowledged data
                             was lost there, or two programs share the id. Open a new producer */
  MR_CORRUPT = -26, /* a batch's CRC is wrong. Producer: open a new one. Subscription: subscribe
                       again from mr_subscription_position */
  MR_TOO_MANY_PRODUCERS =
      -27, /* the node's table of producer ids is full; mr_producer_retry later */
  MR_TOO_MANY_SUBSCRIPTIONS = -28, /* the node's table is full; unsubscribe some, subscribe again */
  MR_OUT_OF_RANGE = -29, /* the offset is below the log's start (retention took it) or beyond its
                            end: subscribe from earliest or latest */
  MR_DAMAGED = -30,      /* acknowledged bytes of the partition are unreadable on the node's disk:
                            repair it there */
  MR_STORAGE_FAILED =
      -31,              /* the node's disk failed; it acknowledges nothing until it is replaced */
  MR_UNSUPPORTED = -32, /* a compressed batch, which this library does not read */
  MR_DISK_FULL = -33,   /* the node's disk is nearly full: delete or lower retention there,
                           mr_producer_retry */
  /* The host. */
  MR_NO_MEMORY = -40, /* allocation failed, at connect, open or subscribe */
  MR_NO_PORT = -41 /* mr_connect: the socket or DPDK port did not open; the error text says why */
} mr_status;

/* One line for people; never null. */
MR_API const char* mr_status_text(int status);
MR_API const char* mr_version(void);

/* ---- client ---- */

typedef struct mr_options {
  uint32_t struct_bytes; /* set by mr_options_init */
  /* "HOST:PORT", "udp:HOST:PORT"              kernel UDP; a name is looked up once, and blocks
   * "memif:socket=PATH,server=IP:PORT"         shared memory to a node on this host
   * "af_xdp:iface=NAME,ip=IP,server=IP:PORT"   AF_XDP
   * "pci:0000:00:05.0,ip=IP,server=IP:PORT"    a NIC of our own
   * The last three go through DPDK and take what the node's own port settings take (ip=, mac=,
   * mtu=); ip= is this program's address there. Several clients of one process need an address
   * each. Without server= a memif client asks 192.168.77.1:7070. */
  const char* address;
  uint32_t silence_timeout_ms; /* nothing heard for so long: reconnect. Default 2000 */
  uint32_t
      delivery_timeout_ms;  /* of a record, from its first sending, reconnects included. 30000 */
  uint32_t idle_timeout_ms; /* the node forgets a client silent for so long. 10000 */
  /* Kernel UDP: buffers for packets in each direction, of up to 9 KiB; a power of two, 8 to 32768,
   * or 0 for 1024. Fewer where there are many clients in a process. */
  uint32_t packet_buffers;
} mr_options;

MR_API void mr_options_init(mr_options* options);

/* Opens the socket or port and begins to connect; does not wait for the node: mr_poll completes it.
 * On failure *client is null and error (may be null) holds cause and fix. */
MR_API int mr_connect(const mr_options* options, mr_client** client, char* error,
                      size_t error_bytes);
/* Says goodbye to the node and frees everything. What was not acknowledged is not sent again:
 * mr_drain first where that matters. Null is allowed. */
MR_API void mr_close(mr_client* client);

/* MR_OK while there is a session. Else MR_NOT_CONNECTED, or what the node last answered:
 * MR_SERVER_FULL, MR_UNSUPPORTED (it speaks another version); in each case mr_poll tries on. */
MR_API int mr_connection_status(const mr_client* client);
/* The live path: "kernel-udp 0.0.0.0:41234", "dpdk net_memif0 (memif)". Valid as long as client. */
MR_API const char* mr_path(const mr_client* client);

typedef struct mr_record {
  mr_subscription* subscription;
  int64_t offset;
  int64_t timestamp_ms; /* since 1970, UTC */
  const void* key;      /* null: the record has no key */
  size_t key_bytes;
  const void* value; /* null: a tombstone */
  size_t value_bytes;
  const void* headers; /* as encoded in the record: varint count, then key and value of each */
  size_t headers_bytes;
} mr_record;

/* Must not call mr_poll, mr_wait, mr_drain, mr_close or mr_unsubscribe; mr_offer is allowed. */
typedef void (*mr_handler)(void* context, const mr_record* record);

/* Does all work that is due and returns without blocking. Delivers at most records_max records to
 * handler (null only with records_max 0), in offset order within each partition, each once. Returns
 * how many. */
MR_API int mr_poll(mr_client* client, mr_handler handler, void* context, uint32_t records_max);
/* Blocks until a packet arrives, a timer of the library is due, or timeout_us has passed; then call
 * mr_poll. On a DPDK port it polls the device. Returns 1 when there is something to do, else 0. */
MR_API int mr_wait(mr_client* client, uint64_t timeout_us);

typedef struct mr_stats {
  uint64_t packets_sent;
  uint64_t packets_received;
  uint64_t packets_repaired; /* sent again because they were lost */
  uint64_t packets_dropped;  /* received and not understood, old or double */
  uint64_t sessions;         /* sessions made so far; over 1: reconnected */
  uint64_t rtt_ns;           /* smoothed round trip; 0 before the first */
} mr_stats;
MR_API int mr_get_stats(const mr_client* client, mr_stats* stats);

/* ---- publish ---- */

typedef enum mr_ack {
  MR_ACK_MEMORY = 0,     /* in the leader's memory */
  MR_ACK_REPLICATED = 1, /* in the memory of a quorum */
  MR_ACK_DURABLE = 2     /* on the node's device */
} mr_ack;

#define MR_ALL_PARTITIONS (-1)
#define MR_NEW_PRODUCER (-1)

typedef struct mr_producer_options {
  uint32_t struct_bytes; /* set by mr_producer_options_init */
  const char* topic;     /* at most 249 bytes */
  int32_t partition;     /* index, or MR_ALL_PARTITIONS (default): by murmur2 of the key, as Kafka's
                            clients do; records without a key go to one partition after another, a
                            batch each */
  int64_t producer_id;   /* MR_NEW_PRODUCER (default): random. With an id of your own, numbering
                            continues where the node's log says it stopped: see mr_next_sequence */
  int16_t producer_epoch; /* a higher one shuts out older instances of the same id. Default 0 */
  uint8_t ack;           /* mr_ack: until when records are kept to be sent again. Default durable */
  uint32_t batch_bytes;  /* a batch is sent when it is this big; 0 (default): one packet; at most
                            1 MiB. A bigger record is sent in a batch of its own */
  uint32_t linger_us;    /* an unfilled batch leaves when nothing is in flight, or after so long
                            at the latest. Default 1000 */
  uint64_t buffer_bytes; /* for records not yet acknowledged. Default 8 MiB */
} mr_producer_options;

MR_API void mr_producer_options_init(mr_producer_options* options);

/* Does not wait: the stream opens as mr_poll goes on, and mr_offer says MR_NOT_CONNECTED until
 * then. A refusal shows in mr_offer and mr_producer_status. */
MR_API int mr_producer_open(mr_client* client, const mr_producer_options* options,
                            mr_producer** producer);
/* What was not acknowledged is forgotten: mr_drain first where that matters. Null is allowed. */
MR_API void mr_producer_close(mr_producer* producer);

/* Adds one record to the batch under construction. Key null: no key. Value null: a tombstone.
 * Returns the record's sequence (from 0, one more for each record of this producer), or a negative
 * status; then nothing was taken. */
MR_API int64_t mr_offer(mr_producer* producer, const void* key, size_t key_bytes, const void* value,
                        size_t value_bytes);
/* The same without a copy: room for value_bytes is given in *value, to be filled and then committed
 * or aborted before anything else is done with this producer. */
MR_API int64_t mr_claim(mr_producer* producer, const void* key, size_t key_bytes,
                        size_t value_bytes, void** value);
MR_API int mr_commit(mr_producer* producer);
MR_API int mr_abort(mr_producer* producer);

/* Sends what was gathered now, as far as the node's credit allows; mr_poll sends the rest. */
MR_API int mr_flush(mr_producer* producer);
/* Flushes and polls (delivering no records) until all is acknowledged at the chosen level, the
 * producer stops, or timeout_ms has passed (MR_TIMED_OUT; the producer goes on). */
MR_API int mr_drain(mr_producer* producer, uint32_t timeout_ms);

/* Every record with a sequence below the number has got so far. Of a producer whose ack is memory
 * the node tells what became durable with its next answer, 100 ms later at the latest. */
typedef struct mr_acks {
  int64_t memory;
  int64_t replicated;
  int64_t durable;
} mr_acks;

/* Fills *acks. 1: something moved since the last call; 0: nothing did; negative: the producer
 * stopped, *acks is filled all the same. */
MR_API int mr_poll_acks(mr_producer* producer, mr_acks* acks);

/* The sequence the next record will get; MR_NOT_CONNECTED before the stream is open for the first
 * time. A program that resumes with an id of its own learns here how far it had come. */
MR_API int64_t mr_next_sequence(const mr_producer* producer);
/* MR_OK while it works, or why it stopped. */
MR_API int mr_producer_status(const mr_producer* producer);
/* Partitions it writes to; 0 before the stream is open for the first time. */
MR_API uint32_t mr_producer_partition_count(const mr_producer* producer);
/* Opens a stopped producer again and sends all that is not acknowledged once more, in order; the
 * node drops what it already has. The delivery timeout starts anew. */
MR_API int mr_producer_retry(mr_producer* producer);

/* ---- subscribe ---- */

typedef enum mr_start {
  MR_FROM_EARLIEST = 0,
  MR_FROM_LATEST = 1,
  MR_FROM_OFFSET = 2, /* start_value: the offset */
  MR_FROM_TIME = 3    /* start_value: ms since 1970, UTC: the first record not older */
} mr_start;

typedef struct mr_subscription_options {
  uint32_t struct_bytes; /* set by mr_subscription_options_init */
  const char* topic;
  uint32_t partition;
  uint8_t start; /* mr_start, default latest */
  int64_t start_value;
  void* context; /* yours; mr_subscription_context gives it back */
} mr_subscription_options;

MR_API void mr_subscription_options_init(mr_subscription_options* options);

/* Does not wait. Records arrive in mr_poll. After a reconnect it goes on from the next offset. */
MR_API int mr_subscribe(mr_client* client, const mr_subscription_options* options,
                        mr_subscription** subscription);
/* MR_INVALID within a handler, else MR_OK. Null is allowed. */
MR_API int mr_unsubscribe(mr_subscription* subscription);

typedef struct mr_position {
  int64_t next_offset;      /* of the next record to deliver; -1 before the node has answered */
  int64_t log_end;          /* the offset after the last record, as last heard; -1 before */
  uint32_t partition_count; /* of the topic; 0 before */
} mr_position;

/* Fills *position and returns MR_OK, MR_NOT_CONNECTED while (re)subscribing, or why it stopped. */
MR_API int mr_subscription_position(const mr_subscription* subscription, mr_position* position);
MR_API void* mr_subscription_context(const mr_subscription* subscription);

#ifdef __cplusplus
}
#endif

#endif

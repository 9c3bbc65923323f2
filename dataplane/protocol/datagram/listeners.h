// Listeners: UDP ports whose datagrams become records as they are: syslog, statsd and the like.
// Core:  one set on each core; every core listens for the same ports.
// Owns:  the batches under construction, in arena memory. A batch gathers what one turn of the loop
// brings for one
//        partition, goes out with flush(), and its memory is used again once the shard has
//        answered.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/arena.h"
#include "dataplane/base/result.h"
#include "dataplane/protocol/protocol.h"
#include "storage/batch.h"

namespace millrace::datagram {

enum class Framing : std::uint8_t { datagram, lines };  // a record per datagram, or per line of it
enum class Key : std::uint8_t { none, source, bytes };  // source: the sender's address as text

struct ListenerSpec {
  std::uint16_t udp_port = 0;
  std::string topic;
  Framing framing = Framing::datagram;
  Key key = Key::none;
  std::uint32_t key_offset =
      0;  // Key::bytes: this range of the record; shorter records have no key
  std::uint32_t key_bytes = 0;
};

// "5514=syslog,framing=datagram|lines,key=none|source|bytes:OFFSET:LENGTH"
base::Result<ListenerSpec> parse_listener(std::string_view text);

class Listeners {
 public:
  static constexpr std::uint32_t listeners_max = 64;
  static constexpr std::uint32_t batches_max = 64;
  static constexpr std::uint32_t batch_buffer_bytes = 64 * 1024;
  static constexpr std::uint64_t reopen_ns = 250'000'000;

  Listeners(std::vector<ListenerSpec> specs, base::Arena& arena);
  static std::uint64_t arena_bytes();

  protocol::Disposition handle_request(const protocol::Datagram& datagram, std::uint64_t wall_ms,
                                       protocol::Effects& effects);
  // Sends out the batches of this turn.
  void flush(protocol::Effects& effects);
  // Asks for the topics that are not known yet.
  void poll(std::uint64_t now_ns, protocol::Effects& effects);
  // The topics have changed: poll() asks at once.
  void ask_again();
  // Of each topic it is known whether it is there; before that its datagrams would be lost.
  bool settled() const;
  void encode_reply(const shard::Event& event);

  // Datagrams from a port that were taken and that the log then refused; forgotten by the call.
  std::uint32_t take_refused(std::uint16_t port_index);

 private:
  struct Listener {
    ListenerSpec spec;
    bool known = false;
    bool answered = false;  // whether it is known, once the node has all its topics
    bool refusing = false;  // the log's last answer was a refusal
    base::PartitionId first_partition{};
    std::uint32_t partition_count = 0;
    std::uint32_t next_partition = 0;  // for records without a key, moves on with every batch
    std::uint64_t ask_at_ns = 0;
  };
  struct Building {
    bool open = false;     // gathers records this turn
    bool waiting = false;  // with the shard
    std::uint16_t listener = 0;
    std::uint32_t partition_index = 0;
    // By port: the datagrams whose first record is in it.
    std::array<std::uint32_t, protocol::ports_max> datagrams{};
    storage::BatchBuilder builder;
    std::span<std::byte> memory;
  };

  Listener* find(std::uint16_t udp_port);
  // The batch the record went into; null when there was no room.
  Building* add_record(Listener& listener, std::string_view record, std::string_view source,
                       std::uint64_t wall_ms, protocol::Effects& effects);
  Building* batch_for(std::uint16_t listener, std::uint32_t partition_index);
  void send(Building& building, protocol::Effects& effects);

  std::vector<Listener> listeners_;
  std::array<Building, batches_max> batches_;
  std::uint32_t open_count_ = 0;
  std::array<std::uint32_t, protocol::ports_max> refused_{};
};

}  // namespace millrace::datagram

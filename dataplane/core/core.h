// Core: one pinned thread's whole world: its ports, its shards, and one loop over them.
// Core:  the thread that runs it; made on that thread before seal(), touched by no other.
// Owns:  ports, shards and their logs, the protocols' state, the frames that commands still point
// into.
//
//   ports ─▶ parse ─▶ protocol ─▶ command ring ─▶ shard ─▶ event ring ─▶ protocol ─▶ ports
//
// Commands and events of this core's own shards pass through rings too (the diagonal of the mesh),
// so there is one path for all. A received frame is given back once every command that was made
// from it has been consumed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/base/arena.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/uring.h"
#include "dataplane/core/protocols.h"
#include "dataplane/core/seams.h"
#include "dataplane/link/region.h"
#include "dataplane/net/answer_limit.h"
#include "dataplane/net/parse.h"
#include "dataplane/port/port.h"
#include "dataplane/shard/producer_table.h"
#include "dataplane/shard/topic_table.h"

namespace millrace::core {

struct CoreOptions {
  base::CoreId id{};
  std::uint16_t core_count = 1;
  std::uint16_t shard_count = 1;  // shard s lives on core s % core_count
  std::uint16_t native_udp_port = 7070;
  std::uint32_t topics_max = 8192;
  std::vector<std::uint32_t> region_ports;  // by port: which block of the region is its
};

class Core {
 public:
  Core(const CoreOptions& options, base::Arena& arena, base::Uring& uring, base::Clock& clock,
       link::Region& region, CommandMesh& commands, EventMesh& events, Protocols& protocols);
  static std::uint64_t arena_bytes(const CoreOptions& options);

  // The port outlives this; kind is for people: kernel-udp, memif, af_xdp, ...
  void add_port(port::Port& port, std::string_view kind);
  void add_shard(base::ShardId id, std::unique_ptr<storage::Log> log,
                 std::unique_ptr<CoreShard> shard);
  EventOutbox& outbox() { return outbox_; }

  // One turn of the loop: every step of the walk once. True when there was anything to do.
  bool run_turn();
  // Whether something came in that the next turn will find: a frame, a completion, another core's
  // command or event.
  bool has_input();
  // Called when turns find nothing: how long may this core sleep in its Uring, in ns; 0 is not at
  // all.
  std::uint64_t sleep_ns_max() const;
  // A write is out and somebody waits for it (or for the room it will make), or it sets the pace.
  bool writes_awaited() const;
  // Lets whatever else is ready to run on this CPU do so, without sleeping.
  void give_way() {
    rested_ = true;
    base::Uring::give_way();
  }
  // Sleeps in the Uring until a completion comes or the time is over; true when one came.
  bool sleep(std::uint64_t ns);

  // Writes what is gathered, closes the logs cleanly and gives every frame back. The thread is
  // unsealed.
  base::Result<void> drain();

  bool catalog_complete() const { return catalog_complete_.get() != 0; }  // any thread
  // All topics are known, to the listeners too: what is sent now is not lost. Any thread.
  bool is_serving() const { return serving_.get() != 0; }
  std::uint64_t now_ns() const { return now_ns_; }

 private:
  static constexpr std::uint32_t frames_held_max = 65536;
  static constexpr std::uint32_t release_groups_max = 16384;
  static constexpr std::uint32_t commands_per_turn = 1024;
  static constexpr std::uint32_t events_per_turn = 1024;
  static constexpr std::uint32_t mailbox_per_turn = 8;
  static constexpr std::uint32_t publish_slots = 2048;
  // Devices are asked for their counters by system calls.
  static constexpr std::uint64_t refresh_interval_ns = 1'000'000'000;
  static constexpr std::uint64_t publish_interval_ns = 20'000'000;
  static constexpr std::uint64_t turn_budget_ns = 100'000;

  struct PortState {
    port::Port* port = nullptr;
    link::PortBlock* block = nullptr;
    net::Identity identity;
    net::AnswerLimit answer_limit;
    bool ethernet = false;
    bool announced = false;                   // by the Uring, when something arrives
    std::uint32_t rx_next = 0, rx_count = 0;  // in rx_frames: received and not delivered yet
    std::array<port::RxFrame, port::burst_max> rx_frames;
    std::uint32_t tx_count = 0;
    std::array<port::TxFrame, protocol::PacketWriter::packets_max> tx_frames;
    std::uint32_t free_count = 0;
    std::array<port::RxFrame, port::burst_max> free_frames;  // to be given back together
  };
  struct ShardState {
    base::ShardId id{};
    std::unique_ptr<storage::Log> log;
    std::unique_ptr<CoreShard> shard;
    link::ShardBlock* block = nullptr;
    std::uint32_t publish_at = 0;  // next partition slot to show
  };
  struct HeldFrame {
    port::RxFrame frame;
    std::uint16_t port_index = 0;
  };
  // Frames that are free once, for each core, this many of our commands to it have been consumed.
  struct ReleaseGroup {
    std::uint32_t frame_count = 0;
    std::array<std::uint64_t, link::cores_max> marks{};
  };

  std::uint32_t receive(PortState& state, std::uint16_t index);
  static bool has_frames(PortState& state);
  void deliver(PortState& state, std::uint16_t index, const port::RxFrame& frame);
  void deliver_datagram(PortState& state, const protocol::Datagram& datagram,
                        const port::RxFrame& frame);
  void answer_arp(PortState& state, const net::Parsed& parsed);
  void answer_echo(PortState& state, const net::Parsed& parsed);
  void drop(PortState& state, const port::RxFrame& frame, base::DropReason reason);
  void settle(ProtocolId protocol, const port::RxFrame* done, std::uint16_t done_port);
  void route_command(shard::Command& command);
  void route_open(shard::Command& command);
  void hold(std::uint16_t port_index, const port::RxFrame& frame);
  void release_held();
  void give_back(PortState& state, const port::RxFrame& frame);
  void flush_given_back();

  bool run_shards();
  bool apply_commands();
  bool reply_to_events();
  void flush_sessions();
  void run_timers();
  void send_packets();
  void make_room_for_packets();
  void prepare_packets(PortState& state, std::uint16_t index, std::uint32_t used);

  bool drain_mailbox();
  void apply_mail(const link::MailboxMessage& message);
  void change_partitions(const shard::Topic& topic, shard::TopicChange change);
  void set_retention(const shard::Topic& topic, const storage::Log::Retention& retention);
  // Null when the partition lives on another core.
  CoreShard* shard_if_here(base::PartitionId partition);
  void publish();
  void publish_shard(ShardState& state);
  void publish_findings(storage::Log& log);

  std::uint16_t port_count() const { return static_cast<std::uint16_t>(ports_.size()); }
  bool has_room_to_settle();
  bool holds_frames() const;
  bool has_messages() const;
  std::uint64_t append_room_bytes();
  // A branch that always goes the same way, rather than a division, where there is nothing to
  // divide.
  base::ShardId shard_of(base::PartitionId partition) const {
    if (options_.shard_count == 1) return base::ShardId{0};
    return base::ShardId{static_cast<std::uint16_t>(base::raw(partition) % options_.shard_count)};
  }
  base::CoreId core_of(base::ShardId shard) const {
    if (options_.core_count == 1) return base::CoreId{0};
    return base::CoreId{static_cast<std::uint16_t>(base::raw(shard) % options_.core_count)};
  }
  ShardState& local_shard(base::PartitionId partition) {
    if (options_.shard_count == 1) return shards_[0];
    return shards_[base::raw(shard_of(partition)) / options_.core_count];
  }

  CoreOptions options_;
  base::Uring& uring_;
  base::Clock& clock_;
  link::Region& region_;
  link::CoreBlock& block_;
  CommandMesh& commands_;
  EventMesh& events_;
  EventOutbox outbox_;
  Protocols& protocols_;
  shard::TopicTable topics_;
  std::vector<PortState> ports_;
  std::vector<ShardState> shards_;
  std::unique_ptr<protocol::Effects> effects_;
  std::span<HeldFrame> held_frames_;        // a ring
  std::span<ReleaseGroup> release_groups_;  // a ring
  std::uint64_t held_head_ = 0, held_tail_ = 0;
  std::uint64_t group_head_ = 0, group_tail_ = 0;
  std::uint64_t now_ns_ = 0;
  std::uint64_t publish_at_ns_ = 0;
  std::uint64_t wanted_at_ns_ = 0;
  bool commands_blocked_ = false;  // a shard left a command in its ring
  bool worked_ = false;
  bool rested_ = true;  // the time since the last turn was not that turn's
  std::uint64_t refresh_at_ns_ = 0;
  std::uint32_t partition_count_ = 0;  // of all topics, on all cores
  base::Counter catalog_complete_;
  base::Counter serving_;
};

}  // namespace millrace::core

// TestNode: cores on fake ports and memory disks, joined by real meshes over one region, turned by
// hand or by threads of the test's own.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/core/core.h"
#include "dataplane/core/rebuild.h"
#include "storage/memory_disk.h"
#include "tests/dataplane/core/node_memory.h"
#include "tests/support/fake_port.h"

namespace millrace::core {

struct TestNodeOptions {
  std::uint16_t core_count = 1;
  test::FakePortOptions port{.rx_frames = 2048};
  std::vector<std::string> listeners{};
  std::uint64_t file_bytes = 8ULL << 20;
  std::uint32_t files_max = 4;
  std::uint32_t files_ahead = 4;
  bool prepare_journal = true;      // all of it, before the first turn
  std::uint64_t sort_at_bytes = 0;  // 0: nothing is sorted
  storage::CompactorOptions compactor{};
  std::uint64_t secret = 0xfedcba9876543210ULL;  // of the sessions; a process draws one
  std::function<std::unique_ptr<storage::Disk>(std::uint16_t core)> make_disk = [](std::uint16_t) {
    return std::make_unique<storage::MemoryDisk>();
  };
  NodeMemory* memory = nullptr;  // null: each start has its own
};

// One core with one port.
class TestCore {
 public:
  TestCore(const TestNodeOptions& options, std::uint16_t id, base::Clock& clock,
           storage::Disk& disk, link::Region& region, CommandMesh& commands, EventMesh& events,
           base::Arena& arena, base::Uring& uring)
      : port(options.port),
        producers(arena, 1024),
        protocols(sessions_options(options, id), listener_specs(options), arena),
        core(core_options(options, id), arena, uring, clock, region, commands, events, protocols) {
    Rebuild rebuild(producers, region, region.cores[id], clock);
    auto log = storage::Log::open(log_options(options, id), disk, arena, &rebuild);
    if (!log) {
      ADD_FAILURE() << log.error().message();
      std::abort();
    }
    producers.finish_recovery(clock.monotonic_ns());
    journal = &(*log)->journal();
    this->log = log->get();
    auto shard = std::make_unique<CoreShard>(shard_options(options, id), arena, **log, producers,
                                             core.outbox());
    core.add_shard(base::ShardId{id}, std::move(*log), std::move(shard));
    core.add_port(port, "fake");
    while (options.prepare_journal && journal->prepare_files().value()) {
    }
  }

  static constexpr std::uint64_t cluster_id = 0x77;

  static std::uint64_t arena_bytes(const TestNodeOptions& options) {
    return storage::Log::arena_bytes(log_options(options, 0)) +
           shard::ProducerTable::arena_bytes(1024) +
           CoreShard::arena_bytes(shard_options(options, 0)) + datagram::Listeners::arena_bytes() +
           native::Sessions::arena_bytes(sessions_options(options, 0)) +
           Core::arena_bytes(core_options(options, 0)) +
           CommandMesh::arena_bytes(options.core_count) +
           EventMesh::arena_bytes(options.core_count) + (1U << 20);
  }

  test::FakePort port;
  shard::ProducerTable producers;
  Protocols protocols;
  Core core;
  storage::Journal* journal = nullptr;
  storage::Log* log = nullptr;

 private:
  static storage::LogOptions log_options(const TestNodeOptions& options, std::uint16_t id) {
    storage::LogOptions log;
    log.journal.shard = base::ShardId{id};
    log.journal.cluster_id = cluster_id;
    log.journal.tail_bytes = 8ULL << 20;
    log.journal.file_bytes = options.file_bytes;
    log.journal.files_max = options.files_max;
    log.journal.files_ahead = options.files_ahead;
    log.journal.frame_bytes_max =
        static_cast<std::uint32_t>(std::min(options.file_bytes, std::uint64_t{4} << 20));
    log.journal.gather_ns = 20'000;
    log.partitions_max = 64;
    log.has_sorter = options.sort_at_bytes != 0;
    log.sorter.start_bytes = options.sort_at_bytes;
    log.sorter.pass_bytes = options.file_bytes;
    log.compactor = options.compactor;
    log.segments_max = 1024;
    return log;
  }
  static shard::ShardOptions shard_options(const TestNodeOptions& options, std::uint16_t id) {
    return {.id = base::ShardId{id},
            .core_count = options.core_count,
            .partitions_max = 64,
            .subscriptions_max = 64};
  }
  static native::SessionsOptions sessions_options(const TestNodeOptions& options,
                                                  std::uint16_t id) {
    native::SessionsOptions sessions;
    sessions.core = base::CoreId{id};
    sessions.shard_count = options.core_count;
    sessions.sessions_max = 32;
    sessions.streams_max = 64;
    sessions.subscriptions_max = 64;
    sessions.secret = {0x0123456789abcdefULL, options.secret};
    sessions.ports[0] = {.credits = options.port.rx_frames,
                         .payload_bytes_max = options.port.payload_bytes_max};
    return sessions;
  }
  static CoreOptions core_options(const TestNodeOptions& options, std::uint16_t id) {
    return {.id = base::CoreId{id},
            .core_count = options.core_count,
            .shard_count = options.core_count,
            .topics_max = 32,
            .region_ports = {id}};
  }
  static std::vector<datagram::ListenerSpec> listener_specs(const TestNodeOptions& options) {
    std::vector<datagram::ListenerSpec> specs;
    for (const std::string& text : options.listeners) {
      specs.push_back(datagram::parse_listener(text).value());
    }
    return specs;
  }
};

class TestNode {
 public:
  static constexpr std::uint64_t incarnation = 4242;
  static constexpr std::uint64_t cluster_id = TestCore::cluster_id;

  explicit TestNode(const TestNodeOptions& node_options = {}, base::Clock* own_clock = nullptr)
      : options(node_options), clock_(own_clock != nullptr ? own_clock : &clock) {
    for (std::uint16_t i = 0; i < options.core_count; ++i) {
      disks.push_back(options.make_disk(i));
    }
    start();
  }
  ~TestNode() { cores.clear(); }  // before the arenas they lie in
  TestNode(const TestNode&) = delete;
  TestNode& operator=(const TestNode&) = delete;

  // Ends without a word, as a process that is killed; the disks are kept.
  void stop() {
    cores.clear();
    meshes_.reset();
    own_memory_.give_back();
  }
  // Also after a drain.
  void start() {
    stop();
    region = std::make_unique<link::Region>();
    region->incarnation.set(incarnation);
    NodeMemory& memory = options.memory != nullptr ? *options.memory : own_memory_;
    std::vector<base::Arena*> arenas;
    std::vector<base::Uring*> urings;
    for (std::uint16_t i = 0; i < options.core_count; ++i) {
      const NodeMemory::OfCore& of_core = memory.of_core(i, TestCore::arena_bytes(options));
      arenas.push_back(of_core.arena.get());
      urings.push_back(of_core.uring.get());
    }
    meshes_ = std::make_unique<Meshes>(arenas);
    for (std::uint16_t i = 0; i < options.core_count; ++i) {
      cores.push_back(std::make_unique<TestCore>(options, i, *clock_, *disks[i], *region,
                                                 meshes_->commands, meshes_->events, *arenas[i],
                                                 *urings[i]));
    }
  }

  TestCore& at(std::size_t core = 0) { return *cores[core]; }
  test::FakePort& port(std::size_t core = 0) { return cores[core]->port; }
  void turn(std::uint64_t ns = 5'000) {
    clock.advance(ns);
    for (auto& core : cores) core->core.run_turn();
  }
  void turns(int count) {
    for (int i = 0; i < count; ++i) turn();
  }

  // --- control's side of the region ---
  static link::MailboxMessage message(link::MailboxKind kind, std::string_view name = "",
                                      std::uint32_t id = 1, std::uint32_t first_partition = 0,
                                      std::uint32_t partition_count = 1) {
    link::MailboxMessage message;
    message.incarnation = incarnation;
    message.kind = kind;
    message.topic = base::TopicId{id};
    message.first_partition = base::PartitionId{first_partition};
    message.partition_count = partition_count;
    message.name_bytes = static_cast<std::uint8_t>(name.size());
    std::copy(name.begin(), name.end(), message.name);
    return message;
  }
  void mail(link::MailboxMessage message) {
    message.sequence = ++mail_sequence;
    for (std::uint16_t i = 0; i < options.core_count; ++i) {
      EXPECT_TRUE(region->cores[i].mailbox.push(message));
    }
  }
  // Topic "t", and the catalog is complete.
  void make_topic(std::uint32_t partition_count = 1) {
    mail(message(link::MailboxKind::create_topic, "t", 1, 0, partition_count));
    mail(message(link::MailboxKind::catalog_complete));
    turns(2);
  }

  // --- the ledger ---
  link::PortBlock& block(std::size_t core = 0) { return region->ports[core]; }
  std::uint64_t delivered(base::Delivery delivery, std::size_t core = 0) {
    return block(core).delivered[static_cast<std::size_t>(delivery)].get();
  }
  std::uint64_t dropped(base::DropReason reason, std::size_t core = 0) {
    return block(core).dropped[static_cast<std::size_t>(reason)].get();
  }
  void expect_balanced(std::size_t core = 0) {
    std::uint64_t sum = 0;
    for (const auto& counter : block(core).delivered) sum += counter.get();
    for (const auto& counter : block(core).dropped) sum += counter.get();
    EXPECT_EQ(sum, port(core).counters().rx_packets.get());
    EXPECT_EQ(dropped(base::DropReason::none, core), 0U);
  }
  // After a drain nothing of the port's is out.
  void expect_all_given_back(std::size_t core = 0) {
    EXPECT_EQ(port(core).rx_lent_count(), 0U);
    EXPECT_EQ(port(core).tx_free_count(), options.port.tx_frames);
  }

  TestNodeOptions options;
  base::VirtualClock clock;
  std::vector<std::unique_ptr<storage::Disk>> disks;
  std::unique_ptr<link::Region> region;
  std::vector<std::unique_ptr<TestCore>> cores;
  std::uint64_t mail_sequence = 0;

 private:
  struct Meshes {
    explicit Meshes(const std::vector<base::Arena*>& arenas) : commands(arenas), events(arenas) {}
    CommandMesh commands;
    EventMesh events;
  };
  base::Clock* clock_;
  NodeMemory own_memory_;
  std::unique_ptr<Meshes> meshes_;
};

}  // namespace millrace::core

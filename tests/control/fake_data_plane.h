// FakeDataPlane: the data plane's side of the region, enough of it for the control plane: applies
// mailboxes and keeps partition blocks. One call of turn() is a turn of every core.
#pragma once

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/base/check.h"
#include "dataplane/link/region.h"

namespace millrace::control {

class FakeDataPlane {
 public:
  explicit FakeDataPlane(link::Region& region, std::uint32_t core_count = 2)
      : region_(region), core_count_(core_count) {}

  // A data plane that has just come up, as the contract says: old messages are skipped and its own
  // fields reset before the incarnation tells control of it.
  void start(std::uint64_t incarnation) {
    incarnation_ = incarnation;
    region_.catalog_ready.set(0);
    region_.partition_count.set(0);
    for (auto& block : region_.partitions) block.id_plus_one.set(0);
    for (std::uint32_t i = 0; i < core_count_; ++i) {
      region_.cores[i].mailbox.skip_all();
      region_.cores[i].mailbox_applied.set(0);
    }
    topics.clear();
    history.clear();
    complete_cores_ = 0;
    region_.pid.set(static_cast<std::uint64_t>(getpid()));
    region_.started_wall_ns.set(incarnation);
    region_.core_count.set(core_count_);
    region_.shard_count.set(1);
    region_.port_count.set(1);
    region_.ports[0].path.set("kernel-udp 127.0.0.1:7070");
    region_.ports[0].kind.set("kernel-udp");
    region_.ports[0].live.set(1);
    region_.durability.set("flush");
    region_.device.set("fake");
    region_.memory.set("ordinary pages");
    region_.state.set(static_cast<std::uint64_t>(link::State::ready));
    region_.incarnation.set(incarnation);
  }

  void turn() {
    for (std::uint32_t i = 0; i < core_count_; ++i) drain(region_.cores[i], i == 0);
  }

  // What core 0 was told, in order.
  std::map<std::uint32_t, std::string> topics;
  std::vector<std::uint64_t> history;  // sequences
  std::map<std::uint32_t, std::int64_t> retention_ms;

 private:
  void drain(link::CoreBlock& core, bool keeps_books) {
    const link::MailboxMessage* message = nullptr;
    while ((message = core.mailbox.peek()) != nullptr) {
      if (message->incarnation == incarnation_) {
        if (keeps_books) apply(*message);
        if (message->kind == link::MailboxKind::catalog_complete) ++complete_cores_;
        core.mailbox_applied.set(message->sequence);
      }
      core.mailbox.release(1);
    }
    if (complete_cores_ >= core_count_) region_.catalog_ready.set(1);
  }

  void apply(const link::MailboxMessage& message) {
    history.push_back(message.sequence);
    if (message.kind == link::MailboxKind::create_topic) {
      const bool is_new =
          topics.emplace(base::raw(message.topic), std::string(message.name, message.name_bytes))
              .second;
      for (std::uint32_t i = 0; is_new && i < message.partition_count; ++i) {
        auto& block = region_.partitions[region_.partition_count.get()];
        block.log_start.set(0);
        block.log_end.set(10);
        block.durable_end.set(8);
        block.bytes.set(1000);
        block.id_plus_one.set(base::raw(message.first_partition) + i + 1);
        region_.partition_count.add();
      }
    }
    if (message.kind == link::MailboxKind::create_topic) {
      retention_ms[base::raw(message.topic)] = message.retention_ms;
    }
    if (message.kind == link::MailboxKind::delete_topic) topics.erase(base::raw(message.topic));
    if (message.kind != link::MailboxKind::delete_records) return;
    for (auto& block : region_.partitions) {
      const bool is_meant = block.id_plus_one.get() == base::raw(message.first_partition) + 1ULL;
      if (is_meant) block.log_start.set(static_cast<std::uint64_t>(message.offset));
    }
  }

  link::Region& region_;
  std::uint32_t core_count_;
  std::uint32_t complete_cores_ = 0;
  std::uint64_t incarnation_ = 0;
};

// Turns a fake data plane on a thread of its own until destroyed.
class FakeDataPlaneThread {
 public:
  explicit FakeDataPlaneThread(link::Region& region) : plane_(region) {
    plane_.start(1'700'000'000'000'000'000);
    thread_ = std::thread([this] {
      while (!stop_) {
        plane_.turn();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
  }
  ~FakeDataPlaneThread() {
    stop_ = true;
    thread_.join();
  }

 private:
  FakeDataPlane plane_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace millrace::control

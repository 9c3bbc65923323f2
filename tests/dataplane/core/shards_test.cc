// Cores as threads: each serves a client of its own and the partitions of its shard, for both.
// The sources are shards.cc and seams.h.
#include <gtest/gtest.h>
#include <time.h>

#include <thread>

#include "dataplane/core/seams.h"
#include "tests/dataplane/core/guests.h"

namespace millrace::core {
namespace {

// The kernel's time; any thread.
class KernelClock final : public base::Clock {
 public:
  std::uint64_t monotonic_ns() override { return read(CLOCK_MONOTONIC); }
  std::uint64_t wall_ns() override { return read(CLOCK_REALTIME); }

 private:
  static std::uint64_t read(clockid_t id) {
    timespec now{};
    clock_gettime(id, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * base::second_ns +
           static_cast<std::uint64_t>(now.tv_nsec);
  }
};

constexpr std::uint32_t cores = 2;
constexpr std::uint32_t records_each = 2000;  // of each guest to each partition
constexpr std::size_t records_all = std::size_t{cores} * cores * records_each;

// One thread: a core and its guest, until all guests have everything.
class Worker {
 public:
  Worker(TestNode& node, base::Clock& clock, std::uint32_t number)
      : node_(node), number_(number), guest_(node, clock, number) {
    for (std::uint32_t partition = 0; partition < cores; ++partition) {
      producers_[partition] =
          guest_.client.open_producer({.topic = "t",
                                       .partition = static_cast<std::int32_t>(partition),
                                       .producer_id = static_cast<base::ProducerId>(100 + number)});
      guest_.client.subscribe({.topic = "t",
                               .partition_index = static_cast<std::uint16_t>(partition),
                               .start_at = native::StartAt::earliest});
    }
  }

  void run(const std::array<base::Counter, cores>& done, base::Counter& mine) {
    while (!std::all_of(done.begin(), done.end(), [](const auto& d) { return d.get() != 0; })) {
      base::seal();
      node_.at(number_).core.run_turn();
      base::unseal();
      offer();
      guest_.poll();
      if (has_everything() || refused()) mine.set(1);
    }
  }
  // Everything from everybody, and what one guest wrote to one partition in its order.
  void expect_in_order() const {
    EXPECT_EQ(guest_.records.size(), records_all);
    std::map<std::string, std::uint32_t> next;
    for (const std::string& record : guest_.records) {
      const auto space = record.rfind(' ');
      EXPECT_EQ(record.substr(space + 1), std::to_string(next[record.substr(0, space)]++));
    }
    EXPECT_EQ(next.size(), std::size_t{cores} * cores);
  }

 private:
  void offer() {
    mr_acks acks{};
    for (std::uint32_t partition = 0; partition < cores; ++partition) {
      std::uint32_t& count = offered_[partition];
      while (count < records_each) {
        const std::string record = "guest " + std::to_string(number_) + " partition " +
                                   std::to_string(partition) + " " + std::to_string(count);
        if (producers_[partition]->offer(std::nullopt, record) < 0) break;
        ++count;
      }
      producers_[partition]->poll_acks(acks);
    }
  }
  bool has_everything() const {
    return guest_.records.size() >= records_all &&
           std::all_of(producers_.begin(), producers_.end(),
                       [](const client::Producer* p) { return p->drained(); });
  }

  bool refused() const {
    return std::any_of(producers_.begin(), producers_.end(),
                       [](const client::Producer* p) { return p->status() != MR_OK; });
  }

  TestNode& node_;
  std::uint32_t number_;
  ClientGuest guest_;
  std::array<client::Producer*, cores> producers_{};
  std::array<std::uint32_t, cores> offered_{};
};

// Few receive descriptors, so that a frame given back too early is overwritten at once and its
// batch refused as corrupt.
TEST(Shards, two_cores_on_two_threads_serve_each_others_partitions) {
  TestNodeOptions options;
  options.core_count = cores;
  options.port.rx_frames = 64;
  KernelClock clock;
  TestNode node(options, &clock);
  node.make_topic(cores);
  std::vector<std::unique_ptr<Worker>> workers;
  for (std::uint32_t i = 0; i < cores; ++i) {
    workers.push_back(std::make_unique<Worker>(node, clock, i));
  }
  std::array<base::Counter, cores> done;
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < cores; ++i) {
    threads.emplace_back([&, i] { workers[i]->run(done, done[i]); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& worker : workers) worker->expect_in_order();
  node.turns(100);
  for (std::uint32_t i = 0; i < cores; ++i) {
    EXPECT_TRUE(node.at(i).core.drain().has_value());
  }
  for (std::uint32_t i = 0; i < cores; ++i) {
    node.expect_balanced(i);
    node.expect_all_given_back(i);
    EXPECT_EQ(node.region->cores[i].batches_refused.get(), 0U);
    EXPECT_EQ(node.region->cores[i].records_appended.get(), std::uint64_t{cores} * records_each);
  }
}

}  // namespace
}  // namespace millrace::core

// NativeDriver: Millrace through its client library, over memif or kernel UDP.
// Owns:  one client, one producer over all partitions, a subscription to each; its topic.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/client/millrace.hpp"
#include "perf/bench/node_client.h"
#include "perf/loadgen/drivers/driver.h"

namespace millrace::loadgen {

struct NativeOptions {
  std::string address;  // for mr_connect
  int port_offset = 0;  // of the admin port
  bench::Ack ack = bench::Ack::durable;
  std::uint32_t batch_bytes = 0;  // 0: one packet
  bool yields = true;             // after a poll that brought nothing
};

class NativeDriver final : public Driver {
 public:
  explicit NativeDriver(NativeOptions options) : options_(std::move(options)) {}
  ~NativeDriver() override;

  base::Result<void> prepare(const Workload& workload) override;
  bool offer(std::uint64_t number, std::span<const std::byte> payload) override;
  base::Result<void> poll(Events& events) override;
  bool yields() const override { return options_.yields; }

 private:
  base::Result<void> open_producer(std::uint64_t bytes);
  base::Result<void> subscribe();

  NativeOptions options_;
  bench::TopicOptions topic_;
  bool made_topic_ = false;
  std::unique_ptr<Client> client_;
  std::optional<Producer> producer_;
  std::vector<Subscription> subscriptions_;
  std::int64_t first_sequence_ = 0;
  std::int64_t acknowledged_ = 0;  // sequences below
  std::int64_t refused_ = MR_OK;   // why an offer failed, other than for a while
};

}  // namespace millrace::loadgen

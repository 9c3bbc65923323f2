// ManyDriver: several connections to one system as one driver.
// Owns:  a driver for each connection. The first makes the topic. Producers take turns; as many of
//        the drivers as there are subscribers consume.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "perf/loadgen/drivers/driver.h"

namespace millrace::loadgen {

class ManyDriver final : public Driver {
 public:
  using Make = std::function<base::Result<std::unique_ptr<Driver>>()>;
  explicit ManyDriver(Make make) : make_(std::move(make)) {}
  ~ManyDriver() override;

  base::Result<void> prepare(const Workload& workload) override;
  bool offer(std::uint64_t number, std::span<const std::byte> payload) override;
  // Those of which something is to be heard, and one of the others: each has its turn.
  base::Result<void> poll(Events& events) override;
  bool acknowledges() const override { return members_.front().driver->acknowledges(); }
  bool yields() const override { return members_.front().driver->yields(); }
  bool is_queue() const override { return members_.front().driver->is_queue(); }

 private:
  struct Member {
    std::unique_ptr<Driver> driver;
    bool consumes = false;
    std::uint64_t offered = 0;
    std::uint64_t acknowledged = 0;
  };
  class Relay;

  bool is_awaited(const Member& member) const;

  Make make_;
  Workload workload_;
  std::vector<Member> members_;
  std::size_t next_idle_ = 0;
};

}  // namespace millrace::loadgen

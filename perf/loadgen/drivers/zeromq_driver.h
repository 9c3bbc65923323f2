// ZeroMqDriver: PUSH and PULL or PUB and SUB over loopback TCP, both ends in this process.
// Owns:  a context with its thread, one socket that sends and one that receives.
//
// Nothing is answered. Partitions are not known: order is that of the one connection.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "perf/loadgen/drivers/driver.h"

namespace millrace::loadgen {

enum class ZeroMqKind : std::uint8_t { push, publish };

struct ZeroMqClose {
  void operator()(void* socket) const;
};
struct ZeroMqEnd {
  void operator()(void* context) const;
};

class ZeroMqDriver final : public Driver {
 public:
  // address: "HOST:PORT"; port *: a free one.
  ZeroMqDriver(std::string address, ZeroMqKind kind) : address_(std::move(address)), kind_(kind) {}

  base::Result<void> prepare(const Workload& workload) override;
  bool offer(std::uint64_t number, std::span<const std::byte> payload) override;
  base::Result<void> poll(Events& events) override;
  bool acknowledges() const override { return false; }

 private:
  base::Result<void> open();
  base::Result<void> wait_for_receiver();

  std::string address_;
  ZeroMqKind kind_;
  std::unique_ptr<void, ZeroMqEnd> context_;
  std::unique_ptr<void, ZeroMqClose> sender_;
  std::unique_ptr<void, ZeroMqClose> receiver_;
  int refused_ = 0;  // errno of an offer that failed, other than for a full pipe
};

}  // namespace millrace::loadgen

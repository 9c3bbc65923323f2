// GearmanDriver: background jobs, submitted on one connection and worked off on another.
//
// A partition is a function of its own. A worker asks for as many jobs at once as lately were to be
// had, and for none while it sleeps: the server wakes it.
// Source: http://gearman.org/protocol/
#pragma once

#include <optional>
#include <string>

#include "perf/loadgen/drivers/driver.h"
#include "perf/loadgen/drivers/gearman_packet.h"
#include "perf/loadgen/drivers/tcp_stream.h"

namespace millrace::loadgen {

class GearmanDriver final : public Driver {
 public:
  explicit GearmanDriver(std::string address) : address_(std::move(address)) {}

  base::Result<void> prepare(const Workload& workload) override;
  bool offer(std::uint64_t number, std::span<const std::byte> payload) override;
  base::Result<void> poll(Events& events) override;
  bool is_queue() const override { return true; }

 private:
  base::Result<void> start_worker();
  base::Result<void> take_answers(Events& events);
  base::Result<void> take_jobs(Events& events);
  base::Result<void> take_job(const GearmanPacket& job, Events& events);
  void grab();

  std::string address_;
  Workload workload_;
  std::optional<TcpStream> client_;
  std::optional<TcpStream> worker_;
  std::uint32_t grabs_ = 0;  // asked for and not answered; 0: it sleeps
  std::uint64_t answered_ = 0;
};

}  // namespace millrace::loadgen

// BeanstalkdDriver: put on one connection, reserve and delete on many.
// Owns:  a connection that writes, and connections that read: each has one reserve at a time.
//
// A partition is a tube of its own; every reader watches all of them. Jobs go in turn to the
// readers that wait, so order is that of what one reader gets. Source:
// https://github.com/beanstalkd/beanstalkd/blob/master/doc/protocol.txt
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "perf/loadgen/drivers/driver.h"
#include "perf/loadgen/drivers/tcp_stream.h"

namespace millrace::loadgen {

class BeanstalkdDriver final : public Driver {
 public:
  explicit BeanstalkdDriver(std::string address) : address_(std::move(address)) {}

  base::Result<void> prepare(const Workload& workload) override;
  bool offer(std::uint64_t number, std::span<const std::byte> payload) override;
  base::Result<void> poll(Events& events) override;
  bool is_queue() const override { return true; }

 private:
  base::Result<void> add_reader();
  base::Result<void> take_answers(Events& events);
  base::Result<void> take_jobs(std::uint32_t reader, Events& events);
  std::string tube(std::uint64_t partition) const;

  std::string address_;
  Workload workload_;
  std::optional<TcpStream> writer_;
  std::vector<TcpStream> readers_;
  std::optional<std::uint64_t> used_;  // partition that what is put goes to
  std::uint64_t answered_ = 0;
};

}  // namespace millrace::loadgen

// NsqDriver: PUB on one connection, SUB and FIN on one a topic.
//
// A partition is a topic of its own, with one channel, which is there before the first message. NSQ
// promises no order; what is told as reordered is so within a topic.
// Source: https://nsq.io/clients/tcp_protocol_spec.html
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "perf/loadgen/drivers/driver.h"
#include "perf/loadgen/drivers/tcp_stream.h"

namespace millrace::loadgen {

class NsqDriver final : public Driver {
 public:
  // buffers: nsqd keeps messages for a reader until it has 16 KiB or 250 ms have passed, as is its
  // default; else each is sent at once.
  NsqDriver(std::string address, bool buffers) : address_(std::move(address)), buffers_(buffers) {}

  base::Result<void> prepare(const Workload& workload) override;
  bool offer(std::uint64_t number, std::span<const std::byte> payload) override;
  base::Result<void> poll(Events& events) override;
  bool is_queue() const override { return true; }

 private:
  base::Result<TcpStream> connect();
  base::Result<void> add_reader(std::uint32_t partition);
  base::Result<void> take_answers(Events& events);
  base::Result<void> take_messages(std::uint32_t partition, Events& events);
  std::string topic(std::uint64_t partition) const;

  std::string address_;
  bool buffers_;
  Workload workload_;
  std::optional<TcpStream> writer_;
  std::vector<TcpStream> readers_;  // by partition
  std::uint64_t answered_ = 0;
};

}  // namespace millrace::loadgen

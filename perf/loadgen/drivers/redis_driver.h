// RedisDriver: lists (RPUSH, BLMPOP), streams (XADD, XREAD) or channels (PUBLISH, SUBSCRIBE).
// Owns:  two connections: one writes, one reads.
//
// A partition is a key or channel of its own. Commands are pipelined; answers come in their order.
// What is published in a channel is answered, but nobody who was away gets it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "perf/loadgen/drivers/driver.h"
#include "perf/loadgen/drivers/resp.h"
#include "perf/loadgen/drivers/tcp_stream.h"

namespace millrace::loadgen {

enum class RedisKind : std::uint8_t { list, stream, channel };

class RedisDriver final : public Driver {
 public:
  RedisDriver(std::string address, RedisKind kind) : address_(std::move(address)), kind_(kind) {}

  base::Result<void> prepare(const Workload& workload) override;
  bool offer(std::uint64_t number, std::span<const std::byte> payload) override;
  base::Result<void> poll(Events& events) override;
  bool is_queue() const override { return kind_ == RedisKind::list; }

 private:
  base::Result<void> subscribe();
  void ask();
  base::Result<void> take_answers(Events& events);
  base::Result<void> take_messages(Events& events);
  // False: it is of another shape than the answers to what was asked.
  bool take_reply(Events& events);
  bool take_list(Events& events);
  bool take_streams(Events& events);
  bool take_publication(Events& events);

  std::string address_;
  RedisKind kind_;
  Workload workload_;
  std::vector<std::string> keys_;      // by partition
  std::vector<std::string> last_ids_;  // of streams: what was read last
  std::optional<TcpStream> writer_;
  std::optional<TcpStream> reader_;
  std::uint64_t answered_ = 0;
  std::vector<RespNode> nodes_;
};

}  // namespace millrace::loadgen

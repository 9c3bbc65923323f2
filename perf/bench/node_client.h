// What is asked of a node before anything can be measured: a session, a topic, a producer. Each
// waits until it is there; Ctrl-C ends the wait.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "dataplane/base/result.h"
#include "dataplane/client/millrace.hpp"
#include "perf/bench/options.h"

namespace millrace::bench {

base::Error interrupted_error();
base::Error status_error(std::string_view what, std::int64_t status);

// A session with the node at this address, for mr_connect. packet_buffers 0: the default.
base::Result<std::unique_ptr<Client>> connect(const std::string& address,
                                              std::uint32_t packet_buffers = 0);

struct TopicOptions {
  std::string name;
  std::uint32_t partitions = 1;
  Ack ack = Ack::durable;
  int port_offset = 0;  // of the admin port
};
base::Result<void> create_topic(const TopicOptions& topic);
base::Result<void> delete_topic(const TopicOptions& topic);

// Over all its partitions. The node may hear of the topic after we do. buffer_bytes 0: the default.
base::Result<Producer> open_producer(Client& client, const TopicOptions& topic,
                                     std::uint32_t batch_bytes, std::uint64_t buffer_bytes);
// Why an offer failed will pass.
bool is_passing(std::int64_t status);
// Sequences below are acknowledged as asked for.
std::int64_t level(Ack ack, const mr_acks& acks);

}  // namespace millrace::bench

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

// A session with the node at this address, for mr_connect.
base::Result<std::unique_ptr<Client>> connect(const std::string& address);

struct TopicOptions {
  std::string name;
  std::uint32_t partitions = 1;
  Ack ack = Ack::durable;
  int port_offset = 0;  // of the admin port
};
base::Result<void> create_topic(const TopicOptions& topic);
base::Result<void> delete_topic(const TopicOptions& topic);

// The node may hear of the topic after we do.
base::Result<Producer> open_producer(Client& client, const mr_producer_options& options);

}  // namespace millrace::bench

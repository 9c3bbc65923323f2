// Node: what the admin pages are about, gathered in one place.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "control/catalog/topic_service.h"
#include "control/metrics/event_log.h"
#include "dataplane/link/region.h"

namespace millrace::control {

struct Node {
  link::Region& region;
  TopicService& topics;
  const EventLog& events;
  std::string data_directory;  // empty: memory only
  int up_pid = 0;              // 0: not started by millrace up
};

struct ReadinessCheck {
  std::string_view name;
  bool is_ok = false;
  std::string reason;  // when it is not
};
std::vector<ReadinessCheck> readiness(Node& node);
bool is_ready(Node& node);

}  // namespace millrace::control

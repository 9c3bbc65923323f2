// EventLog: what the data plane's cores reported, the newest of it kept for the status page.
// Thread: drain() from one; recent() from any.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/link/region.h"

namespace millrace::control {

struct LoggedEvent {
  std::int64_t at_ms = 0;  // since 1970, UTC
  std::string_view kind;   // topic_wanted, partition_damaged, storage_failed
  std::uint32_t core = 0;
  std::uint32_t partition = 0;
  std::int64_t first_offset = 0;
  std::int64_t last_offset = 0;
  std::string text;
};

class EventLog {
 public:
  static constexpr std::size_t kept_max = 64;

  // Empties the event rings: damage and failures are kept and handed to `report`, wishes for topics
  // go to `wanted`. Bounded by the rings' capacity.
  void drain(link::Region& region, const std::function<void(const LoggedEvent&)>& report,
             const std::function<void(std::string_view topic)>& wanted);

  std::vector<LoggedEvent> recent() const;  // oldest first

 private:
  mutable std::mutex mutex_;
  std::deque<LoggedEvent> kept_;
};

}  // namespace millrace::control

// EventLog: see event_log.h.
#include "control/metrics/event_log.h"

#include <algorithm>
#include <chrono>

namespace millrace::control {

using link::ControlEvent;
using link::ControlEventKind;

namespace {

std::string_view name_of(ControlEventKind kind) {
  switch (kind) {
    case ControlEventKind::topic_wanted:
      return "topic_wanted";
    case ControlEventKind::partition_damaged:
      return "partition_damaged";
    case ControlEventKind::storage_failed:
      return "storage_failed";
    case ControlEventKind::disk_low:
      return "disk_low";
    case ControlEventKind::segment_damaged:
      return "segment_damaged";
  }
  return "unknown";
}

// Text of the region goes into JSON and onto terminals: printable ASCII only.
std::string printable(std::string_view text) {
  std::string copy(text);
  std::replace_if(
      copy.begin(), copy.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return copy;
}

}  // namespace

void EventLog::drain(link::Region& region, const std::function<void(const LoggedEvent&)>& report,
                     const std::function<void(std::string_view topic)>& wanted) {
  for (std::uint32_t core = 0; core < link::cores_max; ++core) {
    auto& ring = region.cores[core].events;
    for (std::uint32_t i = 0; i < ring.capacity(); ++i) {
      const ControlEvent* event = ring.peek();
      if (event == nullptr) break;
      LoggedEvent logged;
      logged.at_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count();
      logged.kind = name_of(event->kind);
      logged.core = core;
      logged.partition = base::raw(event->partition);
      logged.first_offset = event->first_offset;
      logged.last_offset = event->last_offset;
      logged.text = printable(event->text.get());
      const bool is_wish = event->kind == ControlEventKind::topic_wanted;
      ring.release(1);
      if (is_wish) {
        wanted(logged.text);
        continue;
      }
      report(logged);
      const std::lock_guard lock(mutex_);
      kept_.push_back(std::move(logged));
      if (kept_.size() > kept_max) kept_.pop_front();
    }
  }
}

std::vector<LoggedEvent> EventLog::recent() const {
  const std::lock_guard lock(mutex_);
  return {kept_.begin(), kept_.end()};
}

}  // namespace millrace::control

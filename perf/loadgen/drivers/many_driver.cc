#include "perf/loadgen/drivers/many_driver.h"

#include <algorithm>

namespace millrace::loadgen {

using base::Result;

// Tells what a member says in the words of all: its n-th message is one in as many as there are
// connections, and its sources follow those of the members before it.
class ManyDriver::Relay final : public Events {
 public:
  Relay(ManyDriver& of, std::size_t member, Events& events)
      : of_(of), member_(member), events_(events) {}

  void acknowledged(std::uint64_t number) override {
    ++of_.members_[member_].acknowledged;
    events_.acknowledged(number * of_.workload_.connections + member_);
  }
  void delivered(std::uint32_t source, std::span<const std::byte> payload) override {
    const auto before = static_cast<std::uint32_t>(member_) * of_.workload_.partitions;
    events_.delivered(before + source, payload);
  }

 private:
  ManyDriver& of_;
  std::size_t member_;
  Events& events_;
};

// Whoever made the topic goes last.
ManyDriver::~ManyDriver() {
  while (!members_.empty()) members_.pop_back();
}

Result<void> ManyDriver::prepare(const Workload& workload) {
  workload_ = workload;
  const std::uint32_t consumers = workload.consumes ? workload.subscribers : 0;
  for (std::uint32_t i = 0; i < std::max(workload.connections, consumers); ++i) {
    auto driver = make_();
    if (!driver) return driver.error();
    Workload part = workload;
    part.member += i;
    part.publishes = workload.publishes && i < workload.connections;
    part.consumes = i < consumers;
    part.makes_topic = workload.makes_topic && i == 0;
    members_.push_back({.driver = std::move(*driver), .consumes = part.consumes});
    if (auto prepared = members_.back().driver->prepare(part); !prepared) return prepared;
  }
  return {};
}

bool ManyDriver::offer(std::uint64_t number, std::span<const std::byte> payload) {
  Member& member = members_[number % workload_.connections];
  if (!member.driver->offer(number / workload_.connections, payload)) return false;
  ++member.offered;
  return true;
}

bool ManyDriver::is_awaited(const Member& member) const {
  return member.consumes || member.offered > member.acknowledged;
}

Result<void> ManyDriver::poll(Events& events) {
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (!is_awaited(members_[i]) && i != next_idle_) continue;
    Relay relay(*this, i, events);
    if (auto polled = members_[i].driver->poll(relay); !polled) return polled;
  }
  next_idle_ = (next_idle_ + 1) % members_.size();
  return {};
}

}  // namespace millrace::loadgen

// Ledger: see ledger.h.
#include "control/metrics/ledger.h"

#include <algorithm>
#include <chrono>
#include <thread>

namespace millrace::control {

namespace {

constexpr int readings_max = 8;

std::uint32_t bounded(const base::Counter& count, std::uint32_t max) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(count.get(), max));
}

// Received is read last: a packet is counted there first, so a moving ledger shows it as in flight.
Ledger read_once(const link::Region& region) {
  Ledger ledger;
  const std::uint32_t ports = port_count(region);
  for (std::uint32_t i = 0; i < ports; ++i) {
    const auto& port = region.ports[i];
    for (std::size_t j = 0; j < base::delivery_count; ++j) {
      const std::uint64_t count = port.delivered[j].get();
      ledger.delivered[j] += count;
      ledger.delivered_total += count;
    }
    for (std::size_t j = 0; j < base::drop_reason_count; ++j) {
      const std::uint64_t count = port.dropped[j].get();
      ledger.dropped[j] += count;
      ledger.dropped_total += count;
    }
  }
  for (std::uint32_t i = 0; i < ports; ++i) ledger.received += region.ports[i].rx_packets.get();
  return ledger;
}

}  // namespace

Ledger read_ledger(const link::Region& region) {
  Ledger ledger = read_once(region);
  for (int i = 1; i < readings_max && ledger.balance() != 0; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(500));
    ledger = read_once(region);
  }
  return ledger;
}

std::uint32_t port_count(const link::Region& region) {
  return bounded(region.port_count, link::ports_max);
}
std::uint32_t core_count(const link::Region& region) {
  return bounded(region.core_count, link::cores_max);
}
std::uint32_t shard_count(const link::Region& region) {
  return bounded(region.shard_count, link::cores_max);
}

}  // namespace millrace::control

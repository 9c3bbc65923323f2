// SimNet: cables of virtual time between fake ports, on which packets are lost, doubled, late, and
// overtaken, and which can be cut one way.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "tests/sim/faults.h"
#include "tests/sim/random.h"
#include "tests/support/fake_port.h"
#include "tests/support/weather.h"

namespace millrace::sim {

struct NetOptions {
  std::uint64_t delay_ns = 200'000;
  std::uint64_t jitter_ns = 50'000;
  test::WeatherOptions weather{};
  std::uint64_t late_ns = 20'000'000;  // at most, of a packet that the weather holds
};

class SimNet {
 public:
  // An end is asked for its port each time: nodes and clients come and go. Null: nobody is there.
  using PortOf = std::function<test::FakePort*()>;

  SimNet(Random& random, FaultCounts& faults) : random_(random), faults_(faults) {}

  // The cable's number.
  std::size_t add_cable(PortOf a, PortOf b);
  void set_options(const NetOptions& options) {
    options_ = options;
    weather_ = test::Weather(options.weather);
  }
  // Direction 0 is from a to b.
  void set_cut(std::size_t cable, std::size_t direction, bool cut) {
    cables_[cable].cut[direction] = cut;
  }
  void mend_all();

  // Takes what the ports have sent.
  void collect(std::uint64_t now_ns);
  // Hands over what has arrived by now.
  void deliver(std::uint64_t now_ns);
  // When the next packet arrives; ~0 when none is under way.
  std::uint64_t next_ns() const;
  // Of every packet handed over, with its time.
  std::uint64_t hash() const { return hash_; }

 private:
  struct Cable {
    std::array<PortOf, 2> ends;
    std::array<bool, 2> cut{};
  };
  struct Packet {
    std::size_t cable = 0;
    std::size_t direction = 0;
    test::FakePort::Sent sent;
    base::Endpoint from;
  };

  void send(std::size_t cable, std::size_t direction, test::FakePort& port,
            const test::FakePort::Sent& sent, std::uint64_t now_ns);
  void add_hash(std::span<const std::byte> bytes);

  Random& random_;
  FaultCounts& faults_;
  NetOptions options_;
  test::Weather weather_{options_.weather};
  std::vector<Cable> cables_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, Packet> under_way_;  // by time and number
  std::uint64_t packets_ = 0;
  std::uint64_t hash_ = 0xcbf2'9ce4'8422'2325ULL;
};

}  // namespace millrace::sim

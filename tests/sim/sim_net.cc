#include "tests/sim/sim_net.h"

#include "storage/crc32c.h"

namespace millrace::sim {

std::size_t SimNet::add_cable(PortOf a, PortOf b) {
  cables_.push_back({.ends = {std::move(a), std::move(b)}, .cut = {}});
  return cables_.size() - 1;
}

void SimNet::mend_all() {
  for (Cable& cable : cables_) cable.cut = {};
}

void SimNet::collect(std::uint64_t now_ns) {
  for (std::size_t cable = 0; cable < cables_.size(); ++cable) {
    for (std::size_t direction = 0; direction < 2; ++direction) {
      test::FakePort* port = cables_[cable].ends[direction]();
      if (port == nullptr) continue;
      while (auto sent = port->take_sent()) send(cable, direction, *port, *sent, now_ns);
    }
  }
}

void SimNet::send(std::size_t cable, std::size_t direction, test::FakePort& port,
                  const test::FakePort::Sent& sent, std::uint64_t now_ns) {
  if (cables_[cable].cut[direction]) return;
  const test::Fate fate = weather_.next();
  if (fate.drop) return add(faults_, Fault::packet_lost);
  if (fate.duplicate) add(faults_, Fault::packet_doubled);
  if (fate.hold) add(faults_, Fault::packet_late);
  const int copies = fate.duplicate ? 2 : 1;
  for (int copy = 1; copy <= copies; ++copy) {
    std::uint64_t at_ns = now_ns + options_.delay_ns + random_.below(options_.jitter_ns + 1);
    // Of two, one is in time: the other one then comes when its matter is long settled.
    if (fate.hold && copy == copies) at_ns += random_.below(options_.late_ns);
    base::Endpoint from;
    from.ipv4 = port.ipv4();
    from.udp_port = sent.local_port;
    under_way_[{at_ns, packets_++}] = {cable, direction, sent, from};
  }
}

void SimNet::deliver(std::uint64_t now_ns) {
  while (!under_way_.empty() && under_way_.begin()->first.first <= now_ns) {
    const Packet packet = std::move(under_way_.begin()->second);
    const std::uint64_t at_ns = under_way_.begin()->first.first;
    under_way_.erase(under_way_.begin());
    test::FakePort* to = cables_[packet.cable].ends[1 - packet.direction]();
    if (to == nullptr) continue;
    add_hash(std::as_bytes(std::span(&at_ns, 1)));
    add_hash(packet.sent.bytes);
    to->deliver(packet.sent.bytes, packet.from, packet.sent.to.udp_port);
  }
}

std::uint64_t SimNet::next_ns() const {
  return under_way_.empty() ? ~0ULL : under_way_.begin()->first.first;
}

void SimNet::add_hash(std::span<const std::byte> bytes) {
  hash_ = (hash_ ^ storage::crc32c(bytes)) * 0x0000'0100'0000'01b3ULL;
}

}  // namespace millrace::sim

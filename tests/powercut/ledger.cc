#include "tests/powercut/ledger.h"

#include <algorithm>
#include <istream>
#include <ostream>
#include <sstream>
#include <utility>

namespace millrace::powercut {

base::Result<void> Ledger::read(std::istream& text) {
  std::string line;
  std::uint64_t seen_ns = 0;
  for (int number = 1; std::getline(text, line); ++number) {
    if (read_line(line, seen_ns)) continue;
    return base::Error(base::ErrorCode::corrupt, "line {} of the ledger does not read: {}", number,
                       line);
  }
  std::set<std::pair<std::string, std::uint32_t>> partitions;
  for (const auto& [id, producer] : producers) partitions.emplace(producer.topic, producer.index);
  for (auto& [id, producer] : producers) {
    const auto at = partitions.find({producer.topic, producer.index});
    producer.partition = static_cast<std::uint32_t>(std::distance(partitions.begin(), at));
    std::ranges::sort(producer.acks, {}, &Ack::time_ns);
  }
  return {};
}

bool Ledger::read_line(const std::string& line, std::uint64_t& seen_ns) {
  std::istringstream words(line);
  std::string kind, topic;
  std::uint64_t id = 0, time_ns = 0, count = 0;
  std::uint32_t index = 0;
  std::int64_t offset = 0;
  words >> kind;
  if (kind == "producer" && words >> id >> topic >> index >> count) {
    Producer& producer = producers[id];
    producer.topic = topic;
    producer.index = index;
    producer.offered = count;
  } else if (kind == "ack" && words >> time_ns >> id >> count) {
    producers[id].acks.push_back({time_ns, count});
  } else if (kind == "seen" && words >> time_ns) {
    seen_ns = time_ns;
  } else if (kind == "placed" && words >> id >> count >> offset) {
    place(id, count, {offset, seen_ns});
  } else if (kind == "retain" && words >> topic) {
    retained.insert(topic);
  } else if (kind == "delete" && words >> time_ns >> topic) {
    deleted_ns[topic] = time_ns;
  } else {
    return false;
  }
  return true;
}

void Ledger::write(std::ostream& text) const {
  std::uint64_t seen_ns = 0;
  for (const auto& [id, producer] : producers) {
    if (!producer.topic.empty()) {
      text << "producer " << id << ' ' << producer.topic << ' ' << producer.index << ' '
           << producer.offered << '\n';
    }
    for (const Ack& ack : producer.acks) {
      text << "ack " << ack.time_ns << ' ' << id << ' ' << ack.count << '\n';
    }
    for (std::size_t number = 0; number < producer.places.size(); ++number) {
      const Place& place = producer.places[number];
      if (place.offset < 0) continue;
      if (place.seen_ns != seen_ns) text << "seen " << place.seen_ns << '\n';
      seen_ns = place.seen_ns;
      text << "placed " << id << ' ' << number << ' ' << place.offset << '\n';
    }
  }
  for (const std::string& topic : retained) text << "retain " << topic << '\n';
  for (const auto& [topic, time_ns] : deleted_ns) {
    text << "delete " << time_ns << ' ' << topic << '\n';
  }
}

void Ledger::place(std::uint64_t id, std::uint64_t number, const Place& place) {
  std::vector<Place>& places = producers[id].places;
  if (places.size() <= number) places.resize(number + 1);
  if (places[number].offset < 0 || places[number].seen_ns < place.seen_ns) places[number] = place;
}

std::uint64_t Ledger::durable_before(const Producer& producer, std::uint64_t time_ns) {
  const auto after = std::ranges::lower_bound(producer.acks, time_ns, {}, &Ack::time_ns);
  return after == producer.acks.begin() ? 0 : std::prev(after)->count;
}

bool Ledger::deleted_before(const Producer& producer, std::uint64_t time_ns) const {
  const auto at = deleted_ns.find(producer.topic);
  return at != deleted_ns.end() && at->second < time_ns;
}

}  // namespace millrace::powercut

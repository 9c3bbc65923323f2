#include "tests/powercut/replay.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>

namespace millrace::powercut {
namespace {

constexpr std::uint64_t sort_steps_max = 1000;  // more than a whole journal takes
// Writers of the log's second life: one for each partition.
constexpr std::uint64_t second_life_ids = 1ULL << 40;
constexpr std::uint32_t nobody = ~0U;

std::optional<std::uint64_t> producer_of(std::string_view value) {
  std::uint64_t id = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), id);
  if (error != std::errc()) return {};
  return id;
}

}  // namespace

// Offsets that must be there.
struct Replay::Interval {
  std::int64_t first = std::numeric_limits<std::int64_t>::max();
  std::int64_t last = -1;

  void take(std::int64_t offset) {
    first = std::min(first, offset);
    last = std::max(last, offset);
  }
};

// What one cut has to do with.
struct Replay::Cycle {
  Cycle(const storage::LogOptions& options, std::uint64_t seed)
      : random(seed), disk(random.next()), log(options, disk, [this](std::string text) {
          checker.report(sim::Anomaly::unreadable, std::move(text));
        }) {}

  sim::Random random;
  testing::FaultyDisk disk;
  sim::Checker checker;
  RecoveredLog log;
  std::vector<bool> is_deleted;                     // by partition; may be there or not
  std::vector<Interval> wanted;                     // by partition
  std::map<std::uint64_t, std::uint64_t> found;     // records, by producer
  std::map<std::uint32_t, std::uint32_t> slots;     // by partition
  std::map<std::uint32_t, std::uint64_t> appended;  // in the second life, by partition
  std::uint64_t records_promised = 0;
  std::uint64_t records_checked = 0;
};

base::Result<std::unique_ptr<Replay>> Replay::create(const std::vector<testing::Event>& events,
                                                     const Ledger& ledger,
                                                     const ReplayOptions& options) {
  const auto log_options = log_options_of(events);
  if (!log_options) {
    return base::Error(base::ErrorCode::corrupt, "the recording never writes a superblock");
  }
  std::unique_ptr<Replay> replay(new Replay(events, ledger, options, *log_options));
  Medium medium(options.durability);
  replay->kinds_.push_back(medium.kinds());
  for (const testing::Event& event : events) {
    if (!medium.take(event)) {
      return base::Error(base::ErrorCode::corrupt,
                         "event {} of the recording makes no sense, or what it asked for failed",
                         replay->kinds_.size());
    }
    replay->kinds_.push_back(medium.kinds());
  }
  return replay;
}

Replay::Replay(const std::vector<testing::Event>& events, const Ledger& ledger,
               const ReplayOptions& options, const storage::LogOptions& log_options)
    : events_(events),
      ledger_(ledger),
      options_(options),
      log_options_(log_options),
      medium_(options.durability, options.ignores_flushes) {
  for (const auto& [id, producer] : ledger.producers) {
    partition_count_ = std::max(partition_count_, producer.partition + 1);
  }
  is_retained_.resize(partition_count_);
  for (const auto& [id, producer] : ledger.producers) {
    is_retained_[producer.partition] = ledger.retained.contains(producer.topic);
  }
}

CutReport Replay::run(const Cut& cut) {
  CHECK(cut.events >= taken_ && cut.events <= events_.size());
  while (taken_ < cut.events) CHECK(medium_.take(events_[taken_++]));
  Cycle cycle(log_options_, cut.seed);
  CutReport report;
  report.kinds = medium_.kinds();
  report.sectors = medium_.cut(cycle.random, cycle.disk);
  promise(cycle, taken_ < events_.size() ? events_[taken_].time_ns
                                         : std::numeric_limits<std::uint64_t>::max());
  if (cycle.log.open()) {
    verify(cycle);
    go_on(cycle);
  }
  report.findings = cycle.checker.findings();
  report.records_promised = cycle.records_promised;
  report.records_checked = cycle.records_checked;
  return report;
}

void Replay::promise(Cycle& cycle, std::uint64_t before_ns) const {
  cycle.is_deleted.resize(partition_count_);
  cycle.wanted.resize(partition_count_);
  for (const auto& [id, producer] : ledger_.producers) {
    if (producer.offered != 0) cycle.checker.offered(id, producer.partition, producer.offered - 1);
    if (ledger_.deleted_before(producer, before_ns)) {
      cycle.is_deleted[producer.partition] = true;
      continue;
    }
    const std::uint64_t durable = Ledger::durable_before(producer, before_ns);
    cycle.checker.acknowledged(id, durable);
    cycle.records_promised += durable;
    Interval& wanted = cycle.wanted[producer.partition];
    for (std::uint64_t number = 0; number < std::min(durable, producer.places.size()); ++number) {
      const Ledger::Place& place = producer.places[number];
      if (place.offset < 0) continue;
      cycle.checker.settled(producer.partition, place.offset, id, number);
      // The oldest records may have gone; not those that were still there later, nor the newest.
      wanted.last = std::max(wanted.last, place.offset);
      if (place.seen_ns >= before_ns) wanted.take(place.offset);
    }
  }
}

void Replay::verify(Cycle& cycle) const {
  std::vector<bool> seen(partition_count_);
  cycle.slots.clear();
  for (const std::uint32_t slot : cycle.log.slots()) verify_slot(cycle, slot, seen);
  for (std::uint32_t partition = 0; partition < partition_count_; ++partition) {
    if (!seen[partition]) verify_entries(cycle, partition, {});
  }
}

// Of a partition that may lose its oldest records what the checker demands is too much, and what it
// knows of places says what is lost.
void Replay::verify_entries(Cycle& cycle, std::uint32_t partition,
                            const std::vector<sim::Checker::Entry>& entries) const {
  const bool may_miss = cycle.is_deleted[partition] || is_retained_[partition];
  cycle.checker.verify(partition, entries, may_miss);
  Interval& wanted = cycle.wanted[partition];
  if (cycle.is_deleted[partition]) return;
  const bool is_wanted = wanted.first <= wanted.last;
  const bool holds = entries.empty() ? !is_wanted
                                     : entries.back().offset >= wanted.last &&
                                           (!is_wanted || entries.front().offset <= wanted.first);
  if (!holds) {
    cycle.checker.report(
        sim::Anomaly::lost,
        fmt::format("partition {} holds {} records from {} on, and {} to {} were durable",
                    partition, entries.size(), entries.empty() ? -1 : entries.front().offset,
                    wanted.first, wanted.last));
  }
  // It is durable now, acknowledged before or not.
  for (const sim::Checker::Entry& entry : entries) wanted.take(entry.offset);
}

// Which partition it is only its records tell.
void Replay::verify_slot(Cycle& cycle, std::uint32_t slot, std::vector<bool>& seen) const {
  const std::vector<sim::Checker::Entry> entries = cycle.log.read(slot);
  if (entries.empty()) return;
  std::uint32_t partition = nobody;
  if (const auto id = producer_of(entries.front().value)) {
    const auto known = ledger_.producers.find(*id);
    if (known != ledger_.producers.end()) partition = known->second.partition;
    if (*id >= second_life_ids) partition = static_cast<std::uint32_t>(*id - second_life_ids);
  }
  if (partition >= partition_count_ || seen[partition]) {
    cycle.checker.report(sim::Anomaly::foreign,
                         fmt::format("slot {} holds what belongs elsewhere", slot));
    return;
  }
  seen[partition] = true;
  cycle.slots[partition] = slot;
  verify_entries(cycle, partition, entries);
  cycle.records_checked += entries.size();
  for (const sim::Checker::Entry& entry : entries) {
    if (const auto id = producer_of(entry.value)) ++cycle.found[*id];
  }
}

void Replay::go_on(Cycle& cycle) const {
  sim::Random& random = cycle.random;
  // What was found is durable now, acknowledged before or not.
  for (const auto& [id, count] : std::exchange(cycle.found, {})) {
    const auto known = ledger_.producers.find(id);
    if (known == ledger_.producers.end()) continue;
    const std::uint32_t partition = known->second.partition;
    if (!cycle.is_deleted[partition] && !is_retained_[partition])
      cycle.checker.acknowledged(id, count);
  }
  if (random.permille(300)) cycle.log.sort(random.between(1, 30));
  append(cycle, random.between(1, 4), true);
  const bool sorts_all = random.permille(300);
  cycle.log.sort(sorts_all ? sort_steps_max : random.between(0, 40));
  append(cycle, random.between(0, 2), false);
  const testing::FaultyDisk::Crash crash = cycle.disk.crash();
  static_cast<void>(crash);
  if (!cycle.log.open()) return;
  verify(cycle);
  if (!cycle.log.sort(sort_steps_max)) {
    cycle.checker.report(sim::Anomaly::stuck, "sorting does not come to an end");
  }
  if (random.permille(250)) verify(cycle);
}

// To each partition that is there. Where there is no room, sorting makes some.
void Replay::append(Cycle& cycle, std::uint64_t batches, bool wait) {
  sim::Random& random = cycle.random;
  for (; batches != 0; --batches) {
    for (const auto& [partition, slot] : cycle.slots) {
      const std::uint64_t id = second_life_ids + partition;
      std::uint64_t& count = cycle.appended[partition];
      std::vector<std::string> values;
      for (std::uint64_t left = random.between(1, 5); left != 0; --left) {
        const std::uint64_t filling =
            random.permille(100) ? random.below(100'000) : random.below(500);
        values.push_back(sim::Checker::value_of(id, count + values.size(), filling));
      }
      cycle.checker.offered(id, partition, count + values.size() - 1);
      const auto producer = static_cast<base::ProducerId>(id);
      const auto sequence = static_cast<std::int32_t>(count);
      if (!cycle.log.append(slot, values, producer, sequence)) {
        cycle.log.sort(sort_steps_max);
        if (!cycle.log.append(slot, values, producer, sequence)) {
          cycle.checker.report(sim::Anomaly::stuck, "sorting makes no room");
          return;
        }
      }
      count += values.size();
    }
  }
  if (!wait) {
    cycle.disk.hold(true);
    cycle.log.begin_write();
    cycle.disk.hold(false);
    return;
  }
  cycle.log.settle();
  for (const auto& [partition, count] : cycle.appended) {
    cycle.checker.acknowledged(second_life_ids + partition, count);
  }
}

}  // namespace millrace::powercut

#include "tests/sim/checker.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace millrace::sim {
namespace {

constexpr std::size_t findings_max = 20;
constexpr std::size_t letters = 26;
constexpr std::size_t key_bytes_max = 16;
constexpr std::size_t fill_bytes_max = letters * 64;

// The alphabet over and over, from its n-th letter on; whole ones if not all.
std::string_view fill_from(std::uint64_t letter, std::size_t bytes) {
  static const std::string alphabets = [] {
    std::string text;
    while (text.size() < fill_bytes_max + letters)
      text += static_cast<char>('a' + text.size() % letters);
    return text;
  }();
  return std::string_view(alphabets).substr(letter % letters, std::min(bytes, fill_bytes_max));
}

std::uint64_t first_letter(std::uint64_t producer, std::uint64_t number) {
  return producer * 7 + number * 31;
}

bool is_filling(std::string_view filling, std::uint64_t letter) {
  while (!filling.empty()) {
    const std::string_view wanted = fill_from(letter, filling.size());
    if (!filling.starts_with(wanted)) return false;
    filling.remove_prefix(wanted.size());
  }
  return true;
}

// The number that `text` begins with, up to a colon; `text` goes on behind that.
bool take_number(std::string_view& text, std::uint64_t& number) {
  const char* end = text.data() + text.size();
  const auto [colon, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || colon == end || *colon != ':') return false;
  text.remove_prefix(static_cast<std::size_t>(colon - text.data()) + 1);
  return true;
}

}  // namespace

std::string Checker::value_of(std::uint64_t producer, std::uint64_t number,
                              std::size_t filling_bytes) {
  std::string value = fmt::format("{}:{}:{}:", producer, number, filling_bytes);
  const std::size_t bytes = value.size() + filling_bytes;
  while (value.size() < bytes)
    value += fill_from(first_letter(producer, number), bytes - value.size());
  return value;
}

std::string Checker::text_of(Bytes key, Bytes value) {
  if (!key) return std::string(value.value_or(""));
  return value ? fmt::format("{}={}", *key, *value) : fmt::format("{}!", *key);
}

bool Checker::parse(std::string_view text, Record& record) const {
  const std::size_t key_bytes = text.substr(0, key_bytes_max).find_first_of("=!");
  const bool has_key = key_bytes != std::string_view::npos;
  const std::string_view key = has_key ? text.substr(0, key_bytes) : "";
  if (has_key && text[key_bytes] == '!') {
    const auto found = tombstones_.find(key);
    if (found == tombstones_.end() || text.size() != key_bytes + 1) return false;
    record = found->second;
    return true;
  }
  if (!parse_value(has_key ? text.substr(key_bytes + 1) : text, record)) return false;
  const Keyed& keyed = keyed_of(record);
  return keyed.key == key && !keyed.is_tombstone;
}

bool Checker::parse_value(std::string_view value, Record& record) const {
  std::string_view filling = value;
  std::uint64_t filling_bytes = 0;
  if (!take_number(filling, record.producer) || !take_number(filling, record.number) ||
      !take_number(filling, filling_bytes) || filling.size() != filling_bytes)
    return false;
  if (!is_filling(filling, first_letter(record.producer, record.number))) return false;
  const auto known = producers_.find(record.producer);
  return known != producers_.end() && record.number < known->second.offered;
}

void Checker::offered(std::uint64_t producer, std::uint32_t partition, std::uint64_t number) {
  Producer& known = producers_[producer];
  known.partition = partition;
  known.offered = std::max(known.offered, number + 1);
}

void Checker::offered(std::uint64_t producer, std::uint32_t partition, std::uint64_t number,
                      Keyed keyed) {
  offered(producer, partition, number);
  std::vector<Keyed>& all = producers_[producer].keyed;
  all.resize(std::max<std::size_t>(all.size(), number + 1));
  // One that was not taken is offered again as another one.
  if (all[number].is_tombstone) tombstones_.erase(all[number].key);
  if (keyed.is_tombstone) tombstones_.insert_or_assign(keyed.key, Record{producer, number});
  all[number] = std::move(keyed);
}

const Checker::Keyed& Checker::keyed_of(const Record& record) const {
  static const Keyed none;
  const auto& keyed = producers_.at(record.producer).keyed;
  return record.number < keyed.size() ? keyed[record.number] : none;
}

void Checker::acknowledged(std::uint64_t producer, std::uint64_t count) {
  Producer& known = producers_[producer];
  known.durable = std::max(known.durable, count);
}

bool Checker::is_durable(const Record& record) const {
  const auto known = producers_.find(record.producer);
  return known != producers_.end() && record.number < known->second.durable;
}

void Checker::read(std::uint32_t partition, std::int64_t offset, std::string_view value,
                   bool is_current) {
  const auto record = recognise(partition, offset, value);
  if (record && is_current) take(partition, offset, *record);
}

std::optional<Checker::Record> Checker::recognise(std::uint32_t partition, std::int64_t offset,
                                                  std::string_view value) {
  ++read_count_;
  Record record;
  if (parse(value, record) && producers_[record.producer].partition == partition) return record;
  report(Anomaly::foreign, fmt::format("partition {} offset {}", partition, offset));
  return {};
}

void Checker::take(std::uint32_t partition, std::int64_t offset, const Record& record) {
  const auto found = settled_.find({partition, offset});
  if (found != settled_.end() && found->second != record)
    report(Anomaly::stale,
           fmt::format("partition {} offset {} held record {} of producer {}, now {} of {}",
                       partition, offset, found->second.number, found->second.producer,
                       record.number, record.producer));
  // What is only in memory may go with the node, and its offset to another record.
  if (is_durable(record)) settled_.insert_or_assign({partition, offset}, record);
}

void Checker::verify(std::uint32_t partition, const std::vector<Entry>& whole, bool is_damaged,
                     std::int64_t now_ms) {
  const bool may_have_gaps = is_damaged || is_compacted(partition);
  std::map<Record, std::int64_t> offsets;
  std::map<std::uint64_t, std::set<std::uint64_t>> there;  // numbers, by producer
  std::map<std::uint64_t, std::uint64_t> last;
  std::int64_t next_offset = whole.empty() ? 0 : whole.front().offset;
  for (const Entry& entry : whole) {
    const auto found = recognise(partition, entry.offset, entry.value);
    if (entry.offset != next_offset && !may_have_gaps &&
        !may_miss(partition, next_offset, entry.offset))
      report(Anomaly::lost, fmt::format("partition {}: offset {} follows {}", partition,
                                        entry.offset, next_offset - 1));
    next_offset = entry.offset + 1;
    if (!found) continue;
    const Record& record = *found;
    take(partition, entry.offset, record);
    offsets.emplace(record, entry.offset);
    if (!there[record.producer].insert(record.number).second)
      report(Anomaly::duplicated, fmt::format("record {} of producer {} again at offset {}",
                                              record.number, record.producer, entry.offset));
    const auto [before, is_first] = last.try_emplace(record.producer, record.number);
    if (!is_first && record.number < before->second)
      report(Anomaly::reordered, fmt::format("record {} of producer {} after its {}", record.number,
                                             record.producer, before->second));
    before->second = std::max(before->second, record.number);
  }
  if (is_damaged) return;
  if (is_compacted(partition)) return verify_compacted(partition, now_ms, offsets);
  if (!whole.empty() && whole.front().offset > trimmed_[partition] &&
      !may_miss(partition, trimmed_[partition], whole.front().offset))
    report(Anomaly::lost, fmt::format("partition {} begins at {}, and only what lies before {} "
                                      "was to be deleted",
                                      partition, whole.front().offset, trimmed_[partition]));
  for (const auto& [id, producer] : producers_)
    if (producer.partition == partition) verify_producer(id, producer, there[id]);
}

// The oldest may have been deleted, and then of each producer its first records are missing.
void Checker::verify_producer(std::uint64_t id, const Producer& producer,
                              const std::set<std::uint64_t>& there) {
  std::uint64_t number = 0;
  if (trimmed_[producer.partition] > 0) number = there.empty() ? producer.durable : *there.begin();
  for (; number < producer.durable; ++number)
    if (!there.contains(number) && !harmed_records_.contains({id, number}))
      report(Anomaly::lost, fmt::format("record {} of {} durable ones of producer {}", number,
                                        producer.durable, id));
}

void Checker::trimmed(std::uint32_t partition, std::int64_t before) {
  trimmed_[partition] = std::max(trimmed_[partition], before);
}

void Checker::harmed(std::uint32_t partition, std::int64_t offset, std::string_view value) {
  harmed_.insert({partition, offset});
  Record record;
  if (!parse(value, record)) return;
  harmed_records_.insert(record);
  harmed_keys_.insert(keyed_of(record).key);
}

void Checker::harmed(std::uint32_t partition, std::int64_t first, std::int64_t end) {
  for (; first < end; ++first) harmed_.insert({partition, first});
}

std::optional<std::int64_t> Checker::refused(std::uint32_t partition, std::int64_t offset) {
  std::int64_t end = offset;
  if (is_compacted(partition)) {
    // Between it and what was harmed there may be no record.
    const auto next = harmed_.lower_bound({partition, offset});
    if (next != harmed_.end() && next->first == partition) end = next->second;
  }
  const std::int64_t first = end;
  while (harmed_.contains({partition, end})) ++end;
  if (end != first) return end;
  report(Anomaly::unreadable,
         fmt::format("partition {} offset {} is refused, and no disk was harmed there", partition,
                     offset));
  return {};
}

bool Checker::may_miss(std::uint32_t partition, std::int64_t first, std::int64_t end) const {
  while (first < end && harmed_.contains({partition, first})) ++first;
  return first >= end;
}

// --- compacted partitions ---

void Checker::skipped(std::uint32_t partition, std::int64_t first, std::int64_t end) {
  for (auto at = settled_.lower_bound({partition, first});
       at != settled_.end() && at->first < std::pair(partition, end); ++at)
    skipped_.insert(at->first);
}

// Only a record with a later one of its key may be missing, and a tombstone whose time is over.
void Checker::verify_compacted(std::uint32_t partition, std::int64_t now_ms,
                               const std::map<Record, std::int64_t>& there) {
  Compacted compacted{compacted_.at(partition), now_ms, there, {}, {}, {}};
  for (auto at = settled_.lower_bound({partition, 0});
       at != settled_.end() && at->first.first == partition; ++at)
    compacted.known.insert_or_assign(at->second, at->first.second);
  for (const auto& [record, offset] : there) {
    std::int64_t& last = compacted.last_of_key.try_emplace(keyed_of(record).key, -1).first->second;
    last = std::max(last, offset);
  }
  for (const auto& [key, record] : tombstones_)
    if (producers_.at(record.producer).partition == partition && !there.contains(record))
      compacted.tombstones.emplace(key, record);
  for (const auto& [id, producer] : producers_)
    if (producer.partition == partition) verify_compacted_producer(partition, id, compacted);
  verify_no_return(partition, compacted);
  for (auto at = skipped_.lower_bound({partition, 0});
       at != skipped_.end() && at->first == partition; ++at) {
    const Record& record = settled_.at(*at);
    if (there.contains(record) || !may_be_gone(partition, record, at->second, compacted))
      report(Anomaly::lost,
             fmt::format("partition {}: a reader was led past offset {}, record {} of producer {}",
                         partition, at->second, record.number, record.producer));
  }
}

void Checker::verify_compacted_producer(std::uint32_t partition, std::uint64_t id,
                                        Compacted& compacted) {
  std::int64_t before = -1;  // the offset of an earlier one
  for (Record record{id, 0}; record.number < producers_.at(id).durable; ++record.number) {
    const auto known = compacted.known.find(record);
    if (known != compacted.known.end()) before = known->second;
    if (compacted.offsets.contains(record)) continue;
    if (may_be_gone(partition, record, before, compacted)) {
      const Keyed& keyed = keyed_of(record);
      if (keyed.is_tombstone && !compacted.last_of_key.contains(keyed.key)) ++tombstones_gone_;
      continue;
    }
    report(Anomaly::lost,
           fmt::format("durable record {} of producer {}, and no later one of key \"{}\" is there",
                       record.number, id, keyed_of(record).key));
  }
}

// after: it has this offset or a higher one.
bool Checker::may_be_gone(std::uint32_t partition, const Record& record, std::int64_t after,
                          const Compacted& compacted) const {
  const auto trimmed = trimmed_.find(partition);
  if (trimmed != trimmed_.end() && after < trimmed->second) return true;
  if (harmed_records_.contains(record)) return true;
  const Keyed& keyed = keyed_of(record);
  if (keyed.key.empty()) return false;
  if (harmed_keys_.contains(keyed.key)) return true;
  const auto last = compacted.last_of_key.find(keyed.key);
  if (last != compacted.last_of_key.end() && last->second > after) return true;
  if (keyed.is_tombstone) return may_be_over(keyed, compacted);
  const auto found = compacted.tombstones.find(keyed.key);
  if (found == compacted.tombstones.end()) return false;
  const Record& tombstone = found->second;
  if (!may_be_over(keyed_of(tombstone), compacted)) return false;
  if (tombstone.producer == record.producer) return tombstone.number > record.number;
  const auto known = compacted.known.find(tombstone);
  return known == compacted.known.end() || known->second > after;
}

bool Checker::may_be_over(const Keyed& keyed, const Compacted& compacted) const {
  return compacted.now_ms - keyed.offered_ms >= compacted.tombstones_ms;
}

// A tombstone goes after all that it stands for.
void Checker::verify_no_return(std::uint32_t partition, const Compacted& compacted) {
  for (const auto& [record, offset] : compacted.offsets) {
    const auto found = compacted.tombstones.find(keyed_of(record).key);
    if (found == compacted.tombstones.end() || harmed_keys_.contains(found->first)) continue;
    const Record& tombstone = found->second;
    if (!is_durable(tombstone)) continue;
    const auto known = compacted.known.find(tombstone);
    const bool is_before = tombstone.producer == record.producer
                               ? record.number < tombstone.number
                               : known != compacted.known.end() && offset < known->second;
    if (is_before)
      report(Anomaly::stale, fmt::format("partition {}: the tombstone of key \"{}\" is gone, and "
                                         "record {} of producer {} before it is not",
                                         partition, found->first, record.number, record.producer));
  }
}

void Checker::verify_from_time(std::uint32_t partition, const std::vector<Entry>& whole,
                               std::int64_t from_ms, const std::vector<Entry>& met) {
  const auto first = std::ranges::find_if(
      whole, [from_ms](const Entry& entry) { return entry.timestamp_ms >= from_ms; });
  const auto complain = [&](std::string_view what, std::int64_t offset) {
    report(Anomaly::lost, fmt::format("partition {} from time {} on: {} offset {}", partition,
                                      from_ms, what, offset));
  };
  auto next = met.begin();
  for (auto entry = first; entry != whole.end(); ++entry) {
    if (next != met.end() && next->offset == entry->offset) {
      ++next;
      continue;
    }
    Record record;
    // It may have been compacted meanwhile.
    const bool may_miss =
        is_compacted(partition) && parse(entry->value, record) && !keyed_of(record).key.empty();
    if (!may_miss) complain("misses", entry->offset);
  }
  if (next != met.end()) complain("begins early or goes beyond the end at", next->offset);
}

void Checker::report(Anomaly kind, std::string text) {
  if (findings_.size() < findings_max) findings_.push_back({kind, std::move(text)});
}

std::uint64_t Checker::acknowledged_count() const {
  std::uint64_t count = 0;
  for (const auto& [id, producer] : producers_) count += producer.durable;
  return count;
}

}  // namespace millrace::sim

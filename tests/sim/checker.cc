#include "tests/sim/checker.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace millrace::sim {
namespace {

constexpr std::size_t findings_max = 20;
constexpr std::size_t letters = 26;
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

bool Checker::parse(std::string_view value, Record& record) const {
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

void Checker::verify(std::uint32_t partition, const std::vector<Entry>& whole, bool is_damaged) {
  std::map<std::uint64_t, std::set<std::uint64_t>> there;  // numbers, by producer
  std::map<std::uint64_t, std::uint64_t> last;
  std::int64_t next_offset = whole.empty() ? 0 : whole.front().offset;
  for (const Entry& entry : whole) {
    const auto found = recognise(partition, entry.offset, entry.value);
    if (entry.offset != next_offset && !is_damaged &&
        !may_miss(partition, next_offset, entry.offset))
      report(Anomaly::lost, fmt::format("partition {}: offset {} follows {}", partition,
                                        entry.offset, next_offset - 1));
    next_offset = entry.offset + 1;
    if (!found) continue;
    const Record& record = *found;
    take(partition, entry.offset, record);
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
  if (parse(value, record)) harmed_records_.insert(record);
}

std::optional<std::int64_t> Checker::refused(std::uint32_t partition, std::int64_t offset) {
  std::int64_t end = offset;
  while (harmed_.contains({partition, end})) ++end;
  if (end != offset) return end;
  report(Anomaly::unreadable,
         fmt::format("partition {} offset {} is refused, and no disk was harmed there", partition,
                     offset));
  return {};
}

bool Checker::may_miss(std::uint32_t partition, std::int64_t first, std::int64_t end) const {
  while (first < end && harmed_.contains({partition, first})) ++first;
  return first >= end;
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

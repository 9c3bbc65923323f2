#include "tests/powercut/recovered_log.h"

#include <algorithm>

#include "dataplane/base/units.h"
#include "storage/superblock.h"

namespace millrace::powercut {
namespace {

using storage::Log;
using storage::RecordedKind;

constexpr std::uint64_t tail_bytes_min = 8 * base::mib;  // the least that a journal takes
constexpr std::uint64_t turn_ns = 10'000;
constexpr int turns_max = 10'000;  // only something that hangs takes so many
constexpr int idle_steps = 3;

}  // namespace

std::optional<storage::LogOptions> log_options_of(const std::vector<testing::Event>& events) {
  std::optional<storage::Superblock> found;
  for (const testing::Event& event : events) {
    const bool may_be =
        event.kind == RecordedKind::write || event.kind == RecordedKind::write_durable;
    if (!may_be || event.bytes.size() != storage::superblock_half_bytes) continue;
    if (auto copy = storage::read_superblock_copy(event.bytes.first(storage::block_bytes)))
      found = copy;
  }
  if (!found) return {};
  storage::LogOptions options;
  options.journal.shard = base::ShardId{static_cast<std::uint16_t>(found->shard)};
  options.journal.cluster_id = found->cluster_id;
  options.journal.file_bytes = found->file_bytes;
  options.journal.files_max = found->files_max;
  options.journal.tail_bytes = std::max(found->boundary_bytes, tail_bytes_min);
  options.journal.frame_bytes_max = found->frame_bytes_max;
  options.partitions_max = 256;
  options.read_buffers = 4;
  options.has_sorter = true;
  options.sorter = {.pass_bytes = options.journal.tail_bytes, .start_bytes = 1};
  options.segments_max = 4096;
  return options;
}

bool RecoveredLog::open() {
  log_.reset();
  arena_.reset();
  auto arena = base::Arena::create({.bytes = Log::arena_bytes(options_), .huge_pages = false});
  if (!arena) return complain_(std::string(arena.error().message())), false;
  arena_.emplace(std::move(*arena));
  auto opened = Log::open(options_, disk_, *arena_, this);
  if (!opened) return complain_(std::string(opened.error().message())), false;
  log_ = std::move(*opened);
  check_whole();
  return true;
}

void RecoveredLog::check_whole() {
  for (const std::string& name : log_->store().broken()) complain_(name + " cannot be read");
  for (const std::uint32_t slot : slots()) {
    const Log::Partition& partition = log_->partition(slot);
    if (!partition.damaged) continue;
    complain_(fmt::format("partition {} is called damaged from {} to {}", base::raw(partition.id),
                          partition.damage_first, partition.damage_last));
  }
}

void RecoveredLog::on_damage(const base::PartitionId*, base::Position first, base::Position last) {
  complain_(fmt::format("journal positions {} to {} are called damaged", first, last));
}

std::vector<std::uint32_t> RecoveredLog::slots() const {
  std::vector<std::uint32_t> found;
  for (std::uint32_t slot = 0; slot < log_->slots_used(); ++slot) {
    if (log_->partition(slot).used) found.push_back(slot);
  }
  return found;
}

std::vector<sim::Checker::Entry> RecoveredLog::read(std::uint32_t slot) {
  std::vector<sim::Checker::Entry> entries;
  const Log::Partition& partition = log_->partition(slot);
  Log::Cursor cursor = log_->cursor_at(slot, partition.log_start);
  Log::ReadStatus status = Log::ReadStatus::ready;
  for (int waited = 0; status != Log::ReadStatus::at_end;) {
    Log::Slice slice;
    status = log_->read(slot, cursor, storage::batch_bytes_max, slice);
    if (status == Log::ReadStatus::pending && ++waited < turns_max) {
      turn();
      continue;
    }
    if (status != Log::ReadStatus::ready) break;
    waited = 0;
    storage::RecordReader reader{storage::BatchView(slice.bytes)};
    storage::Record record;
    while (reader.next(record)) {
      const auto wanted = partition.log_start + static_cast<base::Offset>(entries.size());
      if (record.offset != wanted) {
        complain_(fmt::format("partition {} has offset {} where {} is due", base::raw(partition.id),
                              record.offset, wanted));
        return entries;
      }
      entries.push_back({record.offset, std::string(record.value.value_or(""))});
    }
    log_->advance(cursor, slice);
  }
  const auto count = static_cast<std::int64_t>(entries.size());
  if (status != Log::ReadStatus::at_end || count != partition.log_end - partition.log_start) {
    complain_(fmt::format("partition {} from {} to {}: {} records can be read, then status {}",
                          base::raw(partition.id), partition.log_start, partition.log_end, count,
                          static_cast<int>(status)));
  }
  return entries;
}

bool RecoveredLog::append(std::uint32_t slot, const std::vector<std::string>& values,
                          base::ProducerId producer, std::int32_t base_sequence) {
  if (batch_.empty()) batch_.resize(storage::batch_bytes_max);
  storage::BatchBuilder builder(batch_);
  for (const std::string& value : values) {
    if (!builder.add(std::nullopt, value, 1000 + base_sequence)) return false;
  }
  const auto batch = builder.finish(producer, 0, base_sequence);
  if (!log_->has_room(batch.size())) return false;
  static_cast<void>(log_->append_batch(slot, batch, true));
  return true;
}

void RecoveredLog::turn() {
  now_ns_ += turn_ns;
  log_->journal().submit_writes(now_ns_);
  if (auto prepared = log_->journal().prepare_files(); !prepared)
    complain_(std::string(prepared.error().message()));
  log_->journal().reap_writes(now_ns_);
  if (log_->failed()) complain_("the journal has failed");
}

void RecoveredLog::settle() {
  for (int i = 0; i < turns_max && !is_durable(); ++i) turn();
  if (!is_durable()) complain_("appending hangs");
}

void RecoveredLog::begin_write() { log_->journal().submit_writes(now_ns_ += turn_ns); }

bool RecoveredLog::sort(std::uint64_t steps_max) {
  static_cast<void>(log_->take_messages());
  int idle = 0;
  for (std::uint64_t step = 0; step < steps_max && idle < idle_steps; ++step) {
    auto worked = log_->keep_house(now_ns_, 0);
    if (!worked) return complain_(std::string(worked.error().message())), false;
    const bool told = log_->take_messages();
    turn();
    idle = *worked || told ? 0 : idle + 1;
  }
  return idle == idle_steps;
}

}  // namespace millrace::powercut

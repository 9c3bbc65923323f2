// Core's edges: how it is put together, what control tells it, what it shows, how it ends.
#include <algorithm>

#include "dataplane/base/units.h"
#include "dataplane/core/core.h"

namespace millrace::core {

Core::Core(const CoreOptions& options, base::Arena& arena, base::Uring& uring, base::Clock& clock,
           link::Region& region, CommandMesh& commands, EventMesh& events, Protocols& protocols)
    : options_(options),
      uring_(uring),
      clock_(clock),
      region_(region),
      block_(region.cores[base::raw(options.id)]),
      commands_(commands),
      events_(events),
      outbox_(events, options.id),
      protocols_(protocols),
      topics_(arena, options.topics_max),
      effects_(std::make_unique<protocol::Effects>()),
      held_frames_(arena.allocate_untouched<HeldFrame>(frames_held_max)),
      release_groups_(arena.allocate_untouched<ReleaseGroup>(release_groups_max)) {
  ports_.reserve(protocol::ports_max);
  shards_.reserve(link::cores_max);
  block_.mailbox.skip_all();
  block_.mailbox_applied.set(0);
}

std::uint64_t Core::arena_bytes(const CoreOptions& options) {
  return shard::TopicTable::arena_bytes(options.topics_max) + frames_held_max * sizeof(HeldFrame) +
         release_groups_max * sizeof(ReleaseGroup) + 64 * base::kib;
}

void Core::add_port(port::Port& port, std::string_view kind) {
  CHECK(ports_.size() < protocol::ports_max);
  const auto index = static_cast<std::uint16_t>(ports_.size());
  PortState& state = ports_.emplace_back();
  state.ethernet = port.framing() == port::Framing::ethernet;
  state.announced = port.wakes_uring();
  state.identity = {port.mac(), port.ipv4()};
  state.port = &port;
  state.block = &region_.ports[options_.region_ports[index]];
  state.block->core = base::raw(options_.id);
  state.block->kind.set(kind);
  state.block->path.set(state.port->path());
  state.block->live.set(1);
  prepare_packets(state, index, 0);
}

void Core::add_shard(base::ShardId id, std::unique_ptr<storage::Log> log,
                     std::unique_ptr<CoreShard> shard) {
  CHECK(core_of(id) == options_.id && base::raw(id) / options_.core_count == shards_.size());
  ShardState& state = shards_.emplace_back();
  state.id = id;
  state.log = std::move(log);
  state.shard = std::move(shard);
  state.block = &region_.shards[base::raw(id)];
}

bool Core::writes_awaited() const {
  return std::any_of(shards_.begin(), shards_.end(), [this](const ShardState& state) {
    const storage::Journal& journal = state.log->journal();
    return journal.write_in_flight() &&
           (commands_blocked_ || journal.awaited() || journal.is_behind());
  });
}

std::uint64_t Core::sleep_ns_max() const {
  // Timers may have left some behind.
  if (commands_blocked_ || holds_frames() || has_messages()) return 0;
  const std::uint64_t deadline = protocols_.sessions.next_deadline_ns();
  if (deadline <= now_ns_) return 0;
  std::uint64_t sleep = std::min<std::uint64_t>(deadline - now_ns_, 20 * base::ms_ns);
  for (const ShardState& state : shards_) {
    // What gathers without anybody waiting is written within gather_ns.
    const storage::Journal& journal = state.log->journal();
    if (journal.append_position() != journal.durable_position()) {
      sleep = std::min(sleep, journal.options().gather_ns);
    }
  }
  return sleep;
}

// Frames that only turns of this loop give back.
bool Core::holds_frames() const {
  return group_head_ != group_tail_ ||
         std::any_of(ports_.begin(), ports_.end(),
                     [](const PortState& s) { return s.rx_next != s.rx_count; });
}

bool Core::sleep(std::uint64_t ns) {
  rested_ = true;
  block_.sleeps.add();
  return uring_.wait(ns, 256) > 0;
}

bool Core::drain_mailbox() {
  std::uint32_t applied = 0;
  for (; applied < mailbox_per_turn; ++applied) {
    const link::MailboxMessage* message = block_.mailbox.peek();
    if (message == nullptr) break;
    if (message->incarnation == region_.incarnation.get()) {
      apply_mail(*message);
      block_.mailbox_applied.set(message->sequence);
    }
    block_.mailbox.release(1);
  }
  return applied > 0;
}

// The message was written by another process: what it says is checked before it is believed.
void Core::apply_mail(const link::MailboxMessage& message) {
  shard::Topic topic;
  topic.id = message.topic;
  topic.first_partition = message.first_partition;
  topic.partition_count = message.partition_count;
  topic.durable = message.durable;
  topic.name_bytes = message.name_bytes;
  switch (message.kind) {
    case link::MailboxKind::create_topic:
      if (message.name_bytes > link::topic_name_bytes_max ||
          message.partition_count > link::partitions_max)
        return;
      std::copy_n(message.name, message.name_bytes, topic.name);
      // Control sends all topics again when it has been restarted.
      if (const shard::Topic* known = topics_.find(topic.name_text()); known != nullptr)
        partition_count_ -= known->partition_count;
      if (topics_.add(topic)) {
        partition_count_ += topic.partition_count;
        change_partitions(topic, shard::TopicChange::created);
        set_retention(topic, {.ms = message.retention_ms,
                              .bytes = message.retention_bytes,
                              .tombstones_ms = message.tombstones_ms});
      }
      protocols_.listeners.ask_again();
      return;
    case link::MailboxKind::delete_topic:
      if (const shard::Topic* known = topics_.find(message.topic); known != nullptr) {
        const shard::Topic gone = *known;
        topics_.remove(message.topic);
        partition_count_ -= gone.partition_count;
        change_partitions(gone, shard::TopicChange::deleted);
      }
      return;
    case link::MailboxKind::catalog_complete:
      for (ShardState& state : shards_) {
        shard::Command command;
        command.kind = shard::CommandKind::topic_change;
        command.change = shard::TopicChange::catalog_complete;
        state.shard->apply_command(command, now_ns_);
      }
      catalog_complete_.set(1);
      protocols_.listeners.ask_again();
      return;
    case link::MailboxKind::delete_records:
      if (CoreShard* shard = shard_if_here(message.first_partition); shard != nullptr) {
        shard->delete_records(message.first_partition, message.offset);
      }
      return;
  }
}

CoreShard* Core::shard_if_here(base::PartitionId partition) {
  if (core_of(shard_of(partition)) != options_.id) return nullptr;
  return local_shard(partition).shard.get();
}

void Core::set_retention(const shard::Topic& topic, const storage::Log::Retention& retention) {
  for (std::uint32_t i = 0; i < topic.partition_count; ++i) {
    CoreShard* shard = shard_if_here(topic.partition(i));
    if (shard != nullptr) shard->set_retention(topic.partition(i), retention);
  }
}

void Core::change_partitions(const shard::Topic& topic, shard::TopicChange change) {
  for (std::uint32_t i = 0; i < topic.partition_count; ++i) {
    shard::Command command;
    command.kind = shard::CommandKind::topic_change;
    command.change = change;
    command.partition = topic.partition(i);
    CoreShard* shard = shard_if_here(command.partition);
    if (shard != nullptr) shard->apply_command(command, now_ns_);
  }
}

void Core::publish() {
  publish_at_ns_ = now_ns_ + publish_interval_ns;
  const bool refresh = now_ns_ >= refresh_at_ns_;
  if (refresh) refresh_at_ns_ = now_ns_ + refresh_interval_ns;
  for (std::uint16_t i = 0; i < port_count(); ++i) {
    PortState& state = ports_[i];
    const port::PortCounters& from = state.port->counters();
    if (refresh) state.port->refresh_counters();
    state.block->rx_packets.set(from.rx_packets.get());
    state.block->rx_bytes.set(from.rx_bytes.get());
    state.block->tx_packets.set(from.tx_packets.get());
    state.block->tx_bytes.set(from.tx_bytes.get());
    state.block->rx_missed.set(from.rx_missed.get());
    state.block->rx_errors.set(from.rx_errors.get());
    state.block->tx_refused.set(from.tx_refused.get());
    const std::uint32_t refused = protocols_.listeners.take_refused(i);
    if (refused != 0) {
      auto& delivered = state.block->delivered[static_cast<std::size_t>(base::Delivery::listener)];
      delivered.set(delivered.get() - refused);
      state.block->dropped[static_cast<std::size_t>(base::DropReason::log_refused)].add(refused);
    }
  }
  std::uint64_t appended = 0, records = 0, bytes = 0, duplicate = 0, refused = 0, delivered = 0,
                delivered_bytes = 0, subscriptions = 0;
  for (ShardState& state : shards_) {
    const shard::ShardCounters& counters = state.shard->counters();
    appended += counters.batches_appended.get();
    records += counters.records_appended.get();
    bytes += counters.bytes_appended.get();
    duplicate += counters.batches_duplicate.get();
    refused += counters.batches_refused.get();
    delivered += counters.batches_delivered.get();
    delivered_bytes += counters.bytes_delivered.get();
    subscriptions += state.shard->subscription_count();
    state.log->retain(static_cast<std::int64_t>(clock_.wall_ns() / base::ms_ns));
    publish_shard(state);
  }
  // Every core knows all topics; one of them tells.
  if (base::raw(options_.id) == 0) region_.partition_count.set(partition_count_);
  block_.batches_appended.set(appended);
  block_.records_appended.set(records);
  block_.bytes_appended.set(bytes);
  block_.batches_duplicate.set(duplicate);
  block_.batches_refused.set(refused);
  block_.batches_delivered.set(delivered);
  block_.bytes_delivered.set(delivered_bytes);
  block_.subscriptions.set(subscriptions);
  block_.sessions.set(protocols_.sessions.session_count());
  block_.streams.set(protocols_.sessions.stream_count());
  block_.sessions_opened.set(protocols_.sessions.figures().sessions_opened);
  block_.packets_repaired.set(protocols_.sessions.figures().packets_repaired);
}

void Core::publish_shard(ShardState& state) {
  storage::Log& log = *state.log;
  storage::Journal& journal = log.journal();
  link::ShardBlock& block = *state.block;
  block.journal_bytes_used.set(journal.used_bytes());
  block.journal_bytes_max.set(journal.options().file_bytes * journal.options().files_max);
  block.durable_position.set(journal.durable_position());
  block.append_position.set(journal.append_position());
  block.frames_written.set(journal.counters().frames_written.get());
  block.frame_bytes_written.set(journal.counters().frame_bytes_written.get());
  block.write_ns_total.set(journal.counters().write_ns_total.get());
  block.refused_full.set(state.shard->counters().refused_full.get());
  const storage::SorterLink& sorter = log.sorter_link();
  block.sorted_position.set(sorter.sorted_to.get());
  block.segment_files.set(sorter.segment_files.get());
  block.segment_bytes.set(sorter.segment_bytes.get());
  block.scrub_bytes.set(sorter.scrub_bytes.get());
  block.scrub_bad_blocks.set(sorter.scrub_bad_blocks.get());
  block.scrub_passes.set(sorter.scrub_passes.get());
  publish_findings(log);
  block.disk_free_bytes.set(sorter.free_bytes.get());
  if (log.is_disk_low() && block.disk_low.get() == 0) {
    link::ControlEvent event;
    event.kind = link::ControlEventKind::disk_low;
    event.text.set("the disk is nearly full: nothing is appended until some of it is free again");
    static_cast<void>(block_.events.push(event));
  }
  block.disk_low.set(log.is_disk_low() ? 1 : 0);
  if (journal.failed() && block.failed.get() == 0) {
    block.failed.set(1);
    link::ControlEvent event;
    event.kind = link::ControlEventKind::storage_failed;
    event.text.set(journal.failure()->message());
    static_cast<void>(block_.events.push(event));
  }
  const std::uint32_t slots = log.slots_used();
  for (std::uint32_t n = 0; n < std::min(slots, publish_slots); ++n) {
    const std::uint32_t slot = state.publish_at++ % slots;
    const std::uint64_t shown =
        static_cast<std::uint64_t>(slot) * options_.shard_count + base::raw(state.id);
    if (shown >= link::partitions_max) continue;
    log.refresh_durable_end(slot);
    const storage::Log::Partition& from = log.partition(slot);
    link::PartitionBlock& to = region_.partitions[shown];
    to.id_plus_one.set(from.used ? base::raw(from.id) + 1ULL : 0);
    to.log_start.set(static_cast<std::uint64_t>(from.log_start));
    to.log_end.set(static_cast<std::uint64_t>(from.log_end));
    to.durable_end.set(static_cast<std::uint64_t>(from.durable_end));
    to.bytes.set(from.bytes);
    to.damaged.set(from.damaged ? 1 : 0);
  }
}

void Core::publish_findings(storage::Log& log) {
  for (const storage::ScrubFinding* found = log.scrub_finding(); found != nullptr;
       found = log.scrub_finding()) {
    link::ControlEvent event{.kind = link::ControlEventKind::segment_damaged,
                             .partition = found->partition,
                             .first_offset = found->first_offset,
                             .last_offset = found->last_offset,
                             .text = {}};
    event.text.set({found->text.data(), found->text_bytes});
    if (!block_.events.push(event)) return;
    log.release_scrub_finding();
  }
}

base::Result<void> Core::drain() {
  // Peers hear that this is the end and need not find out by silence.
  protocols_.sessions.end_all(native::Status::shutting_down);
  for (int turn = 0; turn < 64 && (protocols_.sessions.session_count() > 0 || holds_frames());
       ++turn) {
    run_turn();
  }
  base::Result<void> result;
  for (ShardState& state : shards_) {
    if (auto closed = state.log->journal().close(); !closed) result = closed.error();
  }
  refresh_at_ns_ = 0;
  publish();
  for (PortState& state : ports_) {
    state.port->discard_frames(
        std::span<const port::TxFrame>(state.tx_frames.data(), state.tx_count));
    state.block->live.set(0);
  }
  return result;
}

}  // namespace millrace::core

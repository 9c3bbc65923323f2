// The bodies of Shard's members. Included once per binding of its seams (dataplane/core/shards.cc,
// tests).
#pragma once

#include <algorithm>

#include "dataplane/shard/shard.h"

namespace millrace::shard {

template <class LogT, class OutboxT>
Shard<LogT, OutboxT>::Shard(const ShardOptions& options, base::Arena& arena, LogT& log,
                            ProducerTable& producers, OutboxT& outbox)
    : options_(options),
      log_(log),
      producers_(producers),
      outbox_(outbox),
      subscriptions_(arena, options.subscriptions_max, options.partitions_max) {}

template <class LogT, class OutboxT>
std::uint64_t Shard<LogT, OutboxT>::arena_bytes(const ShardOptions& options) {
  return Pool::arena_bytes(options.subscriptions_max, options.partitions_max);
}

template <class LogT, class OutboxT>
bool Shard<LogT, OutboxT>::apply_command(const Command& command, std::uint64_t now_ns) {
  if (command.kind == CommandKind::topic_change) {
    handle_topic_change(command);
    return true;
  }
  if (!outbox_.has_room(command.core)) return false;
  switch (command.kind) {
    case CommandKind::append:
      return handle_append(command, now_ns);
    case CommandKind::credit:
      handle_credit(command);
      return true;
    case CommandKind::read:
      return handle_read(command);
    case CommandKind::open:
      handle_open(command, now_ns);
      return true;
    case CommandKind::subscribe:
      handle_subscribe(command);
      return true;
    case CommandKind::close:
      handle_close(command);
      return true;
    case CommandKind::topic_change:
      return true;
  }
  return true;
}

template <class LogT, class OutboxT>
bool Shard<LogT, OutboxT>::handle_append(const Command& command, std::uint64_t now_ns) {
  const std::span<const std::byte> bytes(command.bytes, command.byte_count);
  const std::uint32_t slot = log_.slot_of(command.partition);
  Event event = answer(command, EventKind::appended, append_obstacle(slot));
  if (event.status == Status::ok && !LogT::is_intact(bytes)) event.status = Status::corrupt;
  ProducerTable::Verdict verdict;
  if (event.status == Status::ok) {
    const auto batch = LogT::view(bytes);
    event.offset_count = static_cast<std::uint32_t>(batch.record_count());
    event.sequence = batch.last_sequence();
    verdict = producers_.check(command.partition, batch.producer_id(), batch.producer_epoch(),
                               batch.base_sequence(), batch.last_sequence(), now_ns);
    event.status = verdict.status;
    event.offset = verdict.base_offset;
    event.position =
        log_.append_position();  // a repeat of what may not be durable yet waits like a first
  }
  if (event.status == Status::ok && !log_.has_room(bytes.size())) {
    if (!log_.full()) return false;
    event.status = Status::journal_full;
  }
  if (event.status == Status::ok) {
    const auto appended = log_.append_batch(slot, bytes, command.wants_durable);
    event.offset = appended.base_offset;
    event.position = appended.durable_at;
    if (verdict.producer != nullptr) {
      const auto batch = LogT::view(bytes);
      ProducerTable::accept(*verdict.producer, batch.base_sequence(), batch.last_sequence(),
                            appended.base_offset);
    }
    counters_.batches_appended.add();
    counters_.records_appended.add(event.offset_count);
    counters_.bytes_appended.add(bytes.size());
    subscriptions_.wake(slot);
  } else if (event.status == Status::duplicate) {
    counters_.batches_duplicate.add();
  } else {
    counters_.batches_refused.add();
    const bool full = event.status == Status::journal_full || event.status == Status::disk_full;
    if (full) counters_.refused_full.add();
  }
  outbox_.push(command.core, event);
  return true;
}

// Why nothing can be appended to the partition, or ok.
template <class LogT, class OutboxT>
Status Shard<LogT, OutboxT>::append_obstacle(std::uint32_t slot) const {
  if (slot == LogT::none) return Status::unknown_topic;
  if (log_.partition(slot).damaged) return Status::partition_damaged;
  if (log_.failed()) return Status::storage_failed;
  if (log_.is_disk_low()) return Status::disk_full;
  return Status::ok;
}

template <class LogT, class OutboxT>
void Shard<LogT, OutboxT>::handle_open(const Command& command, std::uint64_t now_ns) {
  const std::uint32_t slot = log_.slot_of(command.partition);
  Event event =
      answer(command, EventKind::opened, slot == LogT::none ? Status::unknown_topic : Status::ok);
  if (event.status == Status::ok) {
    event.offset = log_.partition(slot).log_start;
    event.log_end = log_.partition(slot).log_end;
    event.producer_epoch = command.producer_epoch;
    if (command.producer_id != base::no_producer_id) {
      const auto* producer = producers_.open(command.partition, command.producer_id,
                                             command.producer_epoch, now_ns, event.status);
      if (producer != nullptr) {
        event.sequence = producer->last_sequence();
        event.producer_epoch = producer->epoch;
      }
    }
  }
  event.partition_count = command.partition_count;
  outbox_.push(command.core, event);
}

template <class LogT, class OutboxT>
bool Shard<LogT, OutboxT>::handle_read(const Command& command) {
  const std::uint32_t slot = log_.slot_of(command.partition);
  Slice slice;
  Cursor cursor{command.offset, command.skip_bytes, {}};
  ReadStatus status = ReadStatus::out_of_range;
  if (slot != LogT::none) status = log_.read(slot, cursor, command.byte_count, slice);
  if (status == ReadStatus::pending) {
    // Beyond what can wait the read is forgotten: whoever misses the answer asks again.
    if (reads_waiting_count_ < reads_waiting_max) reads_waiting_[reads_waiting_count_++] = command;
    return true;
  }
  Event event = answer(command, EventKind::batch, Status::ok);
  if (status == ReadStatus::ready) {
    event = describe(slice, slot);
    event.session = command.session;
    event.stream = command.stream;
    event.protocol = command.protocol;
  } else {
    event.status =
        status == ReadStatus::damaged ? Status::partition_damaged : Status::offset_out_of_range;
  }
  event.token = command.token;
  outbox_.push(command.core, event);
  if (status == ReadStatus::ready)
    log_.lend(slice, base::raw(command.core), outbox_.mark(command.core));
  return true;
}

template <class LogT, class OutboxT>
void Shard<LogT, OutboxT>::handle_subscribe(const Command& command) {
  const std::uint32_t slot = log_.slot_of(command.partition);
  Event event = answer(command, EventKind::subscribed,
                       slot == LogT::none ? Status::unknown_topic : Status::ok);
  if (event.status == Status::ok) {
    const auto& partition = log_.partition(slot);
    Cursor cursor{partition.log_end, 0, {}};
    switch (command.start_at) {
      case StartAt::earliest:
        cursor = log_.cursor_at(slot, partition.log_start);
        break;
      case StartAt::latest:
        break;
      case StartAt::time:
        cursor = log_.cursor_at_time(slot, command.offset);
        break;
      case StartAt::offset:
        if (command.offset < partition.log_start || command.offset > partition.log_end) {
          event.status = Status::offset_out_of_range;
        } else {
          cursor = log_.cursor_at(slot, command.offset);
        }
        break;
    }
    // Its batch may begin before what was asked for.
    event.offset = std::max({cursor.offset, partition.log_start,
                             command.start_at == StartAt::offset ? command.offset : 0});
    event.log_end = partition.log_end;
    const std::uint32_t index = event.status == Status::ok ? subscriptions_.add(slot) : Pool::none;
    if (index != Pool::none) {
      auto& subscription = subscriptions_[index];
      subscription.core = command.core;
      subscription.session = command.session;
      subscription.stream = command.stream;
      subscription.protocol = command.protocol;
      subscription.cursor = cursor;
      event.subscription = subscriptions_.id_of(index);
    } else if (event.status == Status::ok) {
      event.status = Status::too_many_subscriptions;
    }
  }
  outbox_.push(command.core, event);
}

template <class LogT, class OutboxT>
void Shard<LogT, OutboxT>::handle_credit(const Command& command) {
  const std::uint32_t index = subscriptions_.index_of(command.subscription);
  if (index == Pool::none) {  // its partition went, and there was no room to say so
    Event event = answer(command, EventKind::ended, Status::unknown_topic);
    event.subscription = command.subscription;
    outbox_.push(command.core, event);
    return;
  }
  auto& subscription = subscriptions_[index];
  if (subscription.session != command.session || subscription.core != command.core) return;
  if (subscription.cursor.offset != command.offset ||
      subscription.cursor.skip_bytes != command.skip_bytes) {
    subscription.cursor = {command.offset, command.skip_bytes, {}};
  }
  subscription.credit_bytes = command.byte_count;
  subscriptions_.move_to(index,
                         subscription.credit_bytes > 0 ? Pool::Queue::ready : Pool::Queue::idle);
}

template <class LogT, class OutboxT>
void Shard<LogT, OutboxT>::handle_close(const Command& command) {
  if (command.subscription != 0) {
    const std::uint32_t index = subscriptions_.index_of(command.subscription);
    if (index != Pool::none && subscriptions_[index].session == command.session &&
        subscriptions_[index].core == command.core) {
      subscriptions_.remove(index);
    }
    return;
  }
  for (std::uint32_t index = 0; index < subscriptions_.capacity(); ++index) {
    const auto& subscription = subscriptions_[index];
    if (subscription.used && subscription.session == command.session &&
        subscription.core == command.core) {
      subscriptions_.remove(index);
    }
  }
}

template <class LogT, class OutboxT>
bool Shard<LogT, OutboxT>::push_events() {
  bool worked = announce_durable();
  if (partitions_removed_) forget_removed();
  wake_cold();
  subscriptions_.take_woken();
  std::uint32_t slices_left = slices_per_turn;
  while (slices_left > 0) {
    const std::uint32_t index = subscriptions_.front(Pool::Queue::ready);
    if (index == Pool::none) break;
    if (!outbox_.has_room(subscriptions_[index].core)) break;
    slices_left -= push_to(index, slices_left);
    worked = true;
  }
  return worked;
}

// Once for all that one turn removed: a topic may have had ten thousand partitions.
template <class LogT, class OutboxT>
void Shard<LogT, OutboxT>::forget_removed() {
  partitions_removed_ = false;
  producers_.sweep(
      [this](base::PartitionId partition) { return log_.slot_of(partition) == LogT::none; });
  log_.trim_journal();
}

// Serves the subscription in front of the ready queue; returns the slices it used, at least one.
template <class LogT, class OutboxT>
std::uint32_t Shard<LogT, OutboxT>::push_to(std::uint32_t index, std::uint32_t slices_left) {
  auto& subscription = subscriptions_[index];
  const std::uint32_t slices_max = std::min(slices_left, slices_per_visit);
  for (std::uint32_t used = 0; used < slices_max; ++used) {
    if (subscription.credit_bytes == 0) {
      subscriptions_.move_to(index, Pool::Queue::idle);
      return used + 1;
    }
    if (!outbox_.has_room(subscription.core)) return used + 1;
    Slice slice;
    const auto limit = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(subscription.credit_bytes, push_bytes_max));
    switch (log_.read(subscription.slot, subscription.cursor, limit, slice)) {
      case ReadStatus::ready:
        break;
      case ReadStatus::at_end:
        subscriptions_.move_to(index, Pool::Queue::idle);
        return used + 1;
      case ReadStatus::pending:
        subscriptions_.move_to(index, Pool::Queue::cold);
        return used + 1;
      case ReadStatus::out_of_range:
        tell_end(index, Status::offset_out_of_range);
        return used + 1;
      case ReadStatus::damaged:
        tell_end(index, Status::partition_damaged);
        return used + 1;
    }
    Event event = describe(slice, subscription.slot);
    event.session = subscription.session;
    event.stream = subscription.stream;
    event.protocol = subscription.protocol;
    event.subscription = subscriptions_.id_of(index);
    outbox_.push(subscription.core, event);
    log_.lend(slice, base::raw(subscription.core), outbox_.mark(subscription.core));
    log_.advance(subscription.cursor, slice);
    subscription.credit_bytes -= slice.byte_count;
    counters_.bytes_delivered.add(slice.byte_count);
    if (subscription.cursor.skip_bytes == 0) counters_.batches_delivered.add();
  }
  subscriptions_.rotate(Pool::Queue::ready);
  return slices_max;
}

// The subscription stays until it is closed: its requester may have forgotten some of what was
// pushed before, and then gives credit from there again.
template <class LogT, class OutboxT>
void Shard<LogT, OutboxT>::tell_end(std::uint32_t index, Status status) {
  auto& subscription = subscriptions_[index];
  outbox_.push(subscription.core, end_of(index, status));
  subscription.credit_bytes = 0;
  subscriptions_.move_to(index, Pool::Queue::idle);
}

template <class LogT, class OutboxT>
void Shard<LogT, OutboxT>::end_subscription(std::uint32_t index, Status status) {
  const base::CoreId core = subscriptions_[index].core;
  // When several end together and the ring is full, the requester learns it from its next credit,
  // which finds no subscription.
  if (outbox_.has_room(core)) outbox_.push(core, end_of(index, status));
  subscriptions_.remove(index);
}

template <class LogT, class OutboxT>
Event Shard<LogT, OutboxT>::end_of(std::uint32_t index, Status status) {
  const auto& subscription = subscriptions_[index];
  Event event;
  event.kind = EventKind::ended;
  event.status = status;
  event.shard = options_.id;
  event.session = subscription.session;
  event.stream = subscription.stream;
  event.protocol = subscription.protocol;
  event.partition = log_.partition(subscription.slot).id;
  event.subscription = subscriptions_.id_of(index);
  event.offset = subscription.cursor.asked_offset();
  return event;
}

template <class LogT, class OutboxT>
bool Shard<LogT, OutboxT>::announce_durable() {
  const base::Position durable = log_.durable_position();
  bool announced = false;
  for (std::uint16_t core = 0; core < options_.core_count; ++core) {
    if (announced_[core] == durable || !outbox_.has_room(base::CoreId{core})) continue;
    announced_[core] = durable;
    Event event;
    event.kind = EventKind::durable;
    event.shard = options_.id;
    event.position = durable;
    outbox_.push(base::CoreId{core}, event);
    announced = true;
  }
  return announced;
}

// After a read from disk completed, those that waited for one try again.
template <class LogT, class OutboxT>
void Shard<LogT, OutboxT>::wake_cold() {
  const bool none_waiting =
      reads_waiting_count_ == 0 && subscriptions_.front(Pool::Queue::cold) == Pool::none;
  if (none_waiting || (reads_seen_ == log_.reads_completed() && log_.reading())) return;
  reads_seen_ = log_.reads_completed();
  const std::uint32_t waiting = reads_waiting_count_;
  reads_waiting_count_ = 0;
  for (std::uint32_t i = 0; i < waiting; ++i) {
    const Command again = reads_waiting_[i];
    if (outbox_.has_room(again.core)) {
      handle_read(again);
    } else {
      reads_waiting_[reads_waiting_count_++] = again;
    }
  }
  for (std::uint32_t at = subscriptions_.front(Pool::Queue::cold); at != Pool::none;
       at = subscriptions_.front(Pool::Queue::cold)) {
    subscriptions_.move_to(at, Pool::Queue::ready);
  }
}

template <class LogT, class OutboxT>
void Shard<LogT, OutboxT>::handle_topic_change(const Command& command) {
  const std::uint32_t slot = log_.slot_of(command.partition);
  switch (command.change) {
    case TopicChange::created: {
      if (partitions_removed_) forget_removed();
      // One too many is left out, and unknown to whoever asks: the catalog is another process's.
      const std::uint32_t made = log_.create_partition(command.partition);
      if (made != LogT::none) log_.set_in_catalog(made);
      return;
    }
    case TopicChange::deleted:
      if (slot == LogT::none) return;
      while (subscriptions_.first_of_partition(slot) != Pool::none) {
        end_subscription(subscriptions_.first_of_partition(slot), Status::unknown_topic);
      }
      log_.remove_partition(slot);
      partitions_removed_ = true;
      return;
    case TopicChange::catalog_complete:
      log_.drop_uncatalogued();
      partitions_removed_ = true;
      return;
  }
}

template <class LogT, class OutboxT>
void Shard<LogT, OutboxT>::set_retention(base::PartitionId partition,
                                         const typename LogT::Retention& retention) {
  const std::uint32_t slot = log_.slot_of(partition);
  if (slot != LogT::none) log_.set_retention(slot, retention);
}

template <class LogT, class OutboxT>
void Shard<LogT, OutboxT>::delete_records(base::PartitionId partition, base::Offset before) {
  const std::uint32_t slot = log_.slot_of(partition);
  if (slot != LogT::none) log_.delete_records(slot, before);
}

template <class LogT, class OutboxT>
std::uint64_t Shard<LogT, OutboxT>::append_room_bytes() const {
  const std::uint64_t room = log_.append_room_bytes();
  // Asked often and nearly always large; why it is small is asked only then.
  if (room >= LogT::room_bytes_max) return room;
  return log_.failed() || log_.full() || log_.is_disk_low() ? ~0ULL : room;
}

template <class LogT, class OutboxT>
Event Shard<LogT, OutboxT>::answer(const Command& command, EventKind kind, Status status) const {
  Event event;
  event.kind = kind;
  event.status = status;
  event.shard = options_.id;
  event.session = command.session;
  event.stream = command.stream;
  event.protocol = command.protocol;
  event.partition = command.partition;
  return event;
}

template <class LogT, class OutboxT>
Event Shard<LogT, OutboxT>::describe(const Slice& slice, std::uint32_t slot) const {
  Event event;
  event.kind = EventKind::batch;
  event.shard = options_.id;
  event.partition = log_.partition(slot).id;
  event.bytes = slice.bytes;
  event.byte_count = slice.byte_count;
  event.skip_bytes = slice.skip_bytes;
  event.batch_bytes = slice.batch_bytes;
  event.asked_offset = slice.asked_offset;
  event.offset_count = static_cast<std::uint32_t>(slice.end_offset - slice.base_offset);
  event.offset = slice.base_offset;
  event.log_end = log_.partition(slot).log_end;
  return event;
}

}  // namespace millrace::shard

#include "tests/support/shard/fake_shard.h"

#include <algorithm>

#include "dataplane/base/check.h"
#include "storage/batch.h"

namespace millrace::testing {

using shard::Command;
using shard::CommandKind;
using shard::Event;
using shard::EventKind;
using shard::Status;

void FakeShard::add_topic(std::string_view name, std::uint16_t partition_count) {
  topics_[std::string(name)] = {static_cast<std::uint32_t>(partitions_.size()), partition_count};
  partitions_.resize(partitions_.size() + partition_count);
}

void FakeShard::delete_topic(std::string_view name) {
  const Topic topic = topics_.at(std::string(name));
  topics_.erase(std::string(name));
  for (std::uint32_t i = 0; i < topic.partition_count; ++i) {
    partitions_[topic.first_partition + i].deleted = true;
  }
  for (auto it = subscriptions_.begin(); it != subscriptions_.end();) {
    const std::uint32_t id = base::raw(it->second.asked.partition);
    if (id < topic.first_partition || id >= topic.first_partition + topic.partition_count) {
      ++it;
      continue;
    }
    Event event = event_for(it->second.asked, EventKind::ended);
    event.subscription = it->first;
    events_.push_back(event);
    it = subscriptions_.erase(it);
  }
}

Event FakeShard::event_for(const Command& command, EventKind kind) const {
  Event event;
  event.kind = kind;
  event.shard = id_;
  event.session = command.session;
  event.stream = command.stream;
  event.partition = command.partition;
  return event;
}

void FakeShard::apply(const Command& command) {
  switch (command.kind) {
    case CommandKind::open:
      return open(command);
    case CommandKind::append:
      return append(command);
    case CommandKind::read:
      return read(command);
    case CommandKind::subscribe:
      return subscribe(command);
    case CommandKind::credit:
      if (auto it = subscriptions_.find(command.subscription); it != subscriptions_.end()) {
        it->second.offset = command.offset;
        it->second.skip_bytes = command.skip_bytes;
        it->second.credit_bytes = command.byte_count;
      }
      return;
    case CommandKind::close:
      subscriptions_.erase(command.subscription);
      return;
    case CommandKind::topic_change:
      return;
  }
}

void FakeShard::open(const Command& command) {
  Event event = event_for(command, EventKind::opened);
  const std::string_view name(reinterpret_cast<const char*>(command.bytes), command.byte_count);
  const auto topic = topics_.find(name);
  if (topic == topics_.end() || command.partition_index >= topic->second.partition_count) {
    event.status = Status::unknown_topic;
    events_.push_back(event);
    return;
  }
  const std::uint32_t id = topic->second.first_partition + command.partition_index;
  Partition& partition = partitions_[id];
  event.partition = base::PartitionId{id};
  event.partition_count = topic->second.partition_count;
  event.offset = partition.log_start;
  event.log_end = partition.log_end;
  if (command.producer_id != base::no_producer_id) {
    Producer& producer = partition.producers[command.producer_id];
    if (command.producer_epoch < producer.epoch) {
      event.status = Status::fenced;
    } else if (command.producer_epoch > producer.epoch) {
      producer = {command.producer_epoch, -1};
    }
    event.sequence = producer.last_sequence;
    event.producer_epoch = producer.epoch;
  }
  events_.push_back(event);
}

void FakeShard::append(const Command& command) {
  Event event = event_for(command, EventKind::appended);
  ++appends_;
  event.status = refuse_next_;
  if (event.status == Status::ok) event.status = store(at(command.partition), command, event);
  refuse_next_ = Status::ok;
  events_.push_back(event);
}

Status FakeShard::store(Partition& partition, const Command& command, Event& event) {
  const std::span<const std::byte> bytes(command.bytes, command.byte_count);
  if (partition.deleted) return Status::unknown_topic;
  if (storage::check_batch(bytes) != storage::BatchFault::none) return Status::corrupt;
  const storage::BatchView batch(bytes.data());
  event.sequence = batch.last_sequence();
  event.offset_count = static_cast<std::uint32_t>(batch.record_count());
  event.position = position_;
  if (batch.producer_id() != base::no_producer_id) {
    Producer& producer = partition.producers[batch.producer_id()];
    if (batch.producer_epoch() < producer.epoch) return Status::fenced;
    if (batch.base_sequence() <= producer.last_sequence) {
      ++duplicates_;
      return Status::duplicate;
    }
    if (batch.base_sequence() != producer.last_sequence + 1) return Status::out_of_order;
    producer.last_sequence = batch.last_sequence();
  }
  StoredBatch stored{partition.log_end, event.offset_count, {bytes.begin(), bytes.end()}};
  storage::stamp_batch(stored.bytes.data(), partition.log_end, 0);
  event.offset = partition.log_end;
  partition.log_end += event.offset_count;
  position_ += bytes.size();
  event.position = position_;
  event.log_end = partition.log_end;
  partition.log.push_back(std::move(stored));
  return Status::ok;
}

const FakeShard::StoredBatch* FakeShard::find(const Partition& partition, base::Offset offset) {
  const auto after = std::upper_bound(
      partition.log.begin(), partition.log.end(), offset,
      [](base::Offset at, const StoredBatch& batch) { return at < batch.base_offset; });
  if (after != partition.log.begin()) {
    const StoredBatch& batch = *std::prev(after);
    if (offset < batch.base_offset + batch.record_count) return &batch;
  }
  return after != partition.log.end() ? &*after : nullptr;
}

void FakeShard::read(const Command& command) {
  Event event = event_for(command, EventKind::batch);
  event.token = command.token;
  event.offset = command.offset;
  event.skip_bytes = command.skip_bytes;
  const Partition& partition = at(command.partition);
  const StoredBatch* batch = find(partition, command.offset);
  if (batch == nullptr || command.offset < partition.log_start ||
      batch->bytes.size() <= command.skip_bytes) {
    event.status = Status::offset_out_of_range;
  } else {
    event.offset = batch->base_offset;
    const auto all = static_cast<std::uint32_t>(batch->bytes.size());
    event.bytes = batch->bytes.data() + command.skip_bytes;
    event.byte_count = std::min({command.byte_count, all - command.skip_bytes, range_bytes_max_});
    event.batch_bytes = all;
    event.offset_count = batch->record_count;
    event.log_end = partition.log_end;
  }
  events_.push_back(event);
}

void FakeShard::subscribe(const Command& command) {
  Event event = event_for(command, EventKind::subscribed);
  const Partition& partition = at(command.partition);
  event.offset = partition.log_start;
  if (command.start_at == shard::StartAt::latest) event.offset = partition.log_end;
  if (command.start_at == shard::StartAt::offset) event.offset = command.offset;
  event.log_end = partition.log_end;
  if (event.offset < partition.log_start || event.offset > partition.log_end) {
    event.status = Status::offset_out_of_range;
  } else {
    event.subscription = next_subscription_++;
    subscriptions_[event.subscription] = {command, event.offset, 0, 0};
  }
  events_.push_back(event);
}

void FakeShard::push_batches() {
  for (auto& [id, subscription] : subscriptions_) push(id, subscription);
}

void FakeShard::push(std::uint32_t id, Subscription& subscription) {
  const Partition& partition = at(subscription.asked.partition);
  while (subscription.credit_bytes != 0) {
    Event event = event_for(subscription.asked, EventKind::batch);
    event.subscription = id;
    if (subscription.offset < partition.log_start || subscription.offset == partition.damaged_at) {
      event.kind = EventKind::ended;
      event.status = subscription.offset < partition.log_start ? Status::offset_out_of_range
                                                               : Status::partition_damaged;
      event.offset = subscription.offset;
      subscription.credit_bytes = 0;
      events_.push_back(event);
      return;
    }
    const StoredBatch* batch = find(partition, subscription.offset);
    if (batch == nullptr) return;
    const auto all = static_cast<std::uint32_t>(batch->bytes.size());
    event.offset = batch->base_offset;
    event.asked_offset = std::min(subscription.offset, batch->base_offset);
    if (batch->bytes.size() <= subscription.skip_bytes) subscription.skip_bytes = 0;
    event.skip_bytes = subscription.skip_bytes;
    event.bytes = batch->bytes.data() + subscription.skip_bytes;
    event.byte_count =
        std::min({subscription.credit_bytes, all - subscription.skip_bytes, range_bytes_max_});
    event.batch_bytes = all;
    event.offset_count = batch->record_count;
    event.log_end = partition.log_end;
    subscription.credit_bytes -= event.byte_count;
    pushed_bytes_ += event.byte_count;
    subscription.skip_bytes += event.byte_count;
    if (subscription.skip_bytes == all) {
      subscription.offset = batch->base_offset + batch->record_count;
      subscription.skip_bytes = 0;
    }
    events_.push_back(event);
  }
}

void FakeShard::damage(std::uint16_t partition_index, base::Offset offset, std::string_view topic) {
  partitions_[topics_.find(topic)->second.first_partition + partition_index].damaged_at = offset;
}

void FakeShard::make_durable() {
  if (durable_ == position_) return;
  durable_ = position_;
  Event event;
  event.kind = EventKind::durable;
  event.shard = id_;
  event.position = position_;
  events_.push_back(event);
}

bool FakeShard::next_event(Event& event) {
  if (events_.empty()) return false;
  event = events_.front();
  events_.pop_front();
  return true;
}

const std::deque<FakeShard::StoredBatch>& FakeShard::log(std::uint16_t partition_index,
                                                         std::string_view topic) const {
  return partitions_[topics_.find(topic)->second.first_partition + partition_index].log;
}

void FakeShard::compact(std::uint16_t partition_index, base::Offset base_offset,
                        std::vector<std::byte> bytes) {
  Partition& partition = partitions_[topics_.find("t")->second.first_partition + partition_index];
  const auto at = std::ranges::find(partition.log, base_offset, &StoredBatch::base_offset);
  CHECK(at != partition.log.end());
  replaced_.push_back(std::move(at->bytes));
  if (bytes.empty()) {
    partition.log.erase(at);
  } else {
    storage::stamp_batch(bytes.data(), base_offset, 0);
    at->bytes = std::move(bytes);
  }
}

void FakeShard::trim(std::uint16_t partition_index, base::Offset log_start,
                     std::string_view topic) {
  Partition& partition = partitions_[topics_.find(topic)->second.first_partition + partition_index];
  while (!partition.log.empty() &&
         partition.log.front().base_offset + partition.log.front().record_count <= log_start) {
    partition.log.pop_front();
  }
  partition.log_start = log_start;
}

}  // namespace millrace::testing

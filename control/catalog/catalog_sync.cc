// CatalogSync: see catalog_sync.h.
#include "control/catalog/catalog_sync.h"

#include <algorithm>
#include <cstring>

#include "dataplane/base/check.h"

namespace millrace::control {

using base::Result;
using link::MailboxKind;
using link::MailboxMessage;

namespace {
// A data plane has this long from emptying its mailbox to publishing what it applied.
constexpr std::uint64_t vanished_after_ns = 2'000'000'000;
}  // namespace

Result<void> CatalogSync::pump(Catalog& catalog, std::uint64_t now_ns) {
  const std::uint64_t incarnation = region_.incarnation.get();
  const bool is_up = incarnation != 0 && region_.core_count.get() > 0;
  if (is_up && (incarnation != incarnation_ || have_messages_vanished(now_ns))) {
    if (const auto begun = begin(catalog, incarnation); !begun) return begun;
  }
  push_waiting();
  return forget_applied_tombstones(catalog);
}

Result<void> CatalogSync::begin(Catalog& catalog, std::uint64_t incarnation) {
  // Read before anything changes, so that an error leaves everything as it was.
  const auto topics = catalog.topics();
  if (!topics) return topics.error();
  const auto tombstones = catalog.tombstones();
  if (!tombstones) return tombstones.error();

  core_count_ = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(region_.core_count.get(), link::cores_max));
  // A predecessor's messages: those a core has applied, and at most a ring full of others.
  std::uint64_t sent_before = incarnation == incarnation_ ? last_sequence_ : 0;
  for (std::uint32_t i = 0; i < core_count_; ++i) {
    auto& core = region_.cores[i];
    core.mailbox.adopt_as_producer();
    const std::uint64_t applied = core.mailbox_applied.get();
    const bool is_fresh =
        applied == 0 && core.mailbox.pushed_count() == core.mailbox.consumed_count();
    if (!is_fresh) sent_before = std::max(sent_before, applied + core.mailbox.capacity());
  }
  incarnation_ = incarnation;
  ++sync_count_;
  last_sequence_ = sent_before;
  waiting_.clear();
  progress_.fill(0);
  deletions_.clear();
  vanished_since_ns_ = 0;

  sync_ticket_ = last_ticket_;
  for (const Topic& topic : *tombstones) {
    enqueue(MailboxKind::delete_topic, &topic);
    deletions_.push_back({sync_ticket_, topic.id});
  }
  for (const Topic& topic : *topics) enqueue(MailboxKind::create_topic, &topic);
  enqueue(MailboxKind::catalog_complete, nullptr);
  sync_sequence_ = last_sequence_;
  return {};
}

std::uint64_t CatalogSync::announce_created(const Topic& topic) {
  ++last_ticket_;
  if (incarnation_ != 0) enqueue(MailboxKind::create_topic, &topic);
  return last_ticket_;
}

std::uint64_t CatalogSync::announce_deleted(const Topic& topic) {
  ++last_ticket_;
  if (incarnation_ != 0) {
    enqueue(MailboxKind::delete_topic, &topic);
    deletions_.push_back({last_ticket_, topic.id});
  }
  return last_ticket_;
}

std::uint64_t CatalogSync::delete_records(base::PartitionId partition, base::Offset before) {
  ++last_ticket_;
  if (incarnation_ != 0) {
    MailboxMessage& message = enqueue(MailboxKind::delete_records, nullptr);
    message.first_partition = partition;
    message.offset = before;
  }
  return last_ticket_;
}

bool CatalogSync::is_applied(std::uint64_t ticket) const {
  if (incarnation_ == 0 || region_.incarnation.get() != incarnation_) return false;
  return all_cores_applied(sequence_of(ticket));
}

std::uint64_t CatalogSync::sequence_of(std::uint64_t ticket) const {
  // After the sync each ticket is one message.
  return ticket <= sync_ticket_ ? sync_sequence_ : sync_sequence_ + (ticket - sync_ticket_);
}

bool CatalogSync::all_cores_applied(std::uint64_t sequence) const {
  for (std::uint32_t i = 0; i < core_count_; ++i) {
    if (region_.cores[i].mailbox_applied.get() < sequence) return false;
  }
  return true;
}

MailboxMessage& CatalogSync::enqueue(MailboxKind kind, const Topic* topic) {
  MailboxMessage message;
  message.incarnation = incarnation_;
  message.sequence = ++last_sequence_;
  message.kind = kind;
  if (topic != nullptr) {
    CHECK(topic->name.size() <= link::topic_name_bytes_max);
    message.topic = topic->id;
    message.first_partition = topic->first_partition;
    message.partition_count = topic->partition_count;
    message.durable = topic->durable;
    message.name_bytes = static_cast<std::uint8_t>(topic->name.size());
    std::memcpy(message.name, topic->name.data(), topic->name.size());
    message.retention_ms = topic->retention.ms;
    message.retention_bytes = topic->retention.bytes;
    message.tombstones_ms = topic->retention.tombstones_ms;
  }
  return waiting_.emplace_back(message);
}

void CatalogSync::push_waiting() {
  if (waiting_.empty() || region_.incarnation.get() != incarnation_) return;
  std::size_t slowest = waiting_.size();
  for (std::uint32_t i = 0; i < core_count_; ++i) {
    std::size_t& progress = progress_[i];
    while (progress < waiting_.size() && region_.cores[i].mailbox.push(waiting_[progress])) {
      ++progress;
    }
    slowest = std::min(slowest, progress);
  }
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(slowest));
  for (std::uint32_t i = 0; i < core_count_; ++i) progress_[i] -= slowest;
}

// A starting data plane skips what its mailbox held; what was pushed in just that moment is gone.
bool CatalogSync::have_messages_vanished(std::uint64_t now_ns) {
  bool is_missing = false;
  for (std::uint32_t i = 0; i < core_count_ && waiting_.empty(); ++i) {
    auto& core = region_.cores[i];
    const bool is_empty = core.mailbox.pushed_count() == core.mailbox.consumed_count();
    is_missing = is_missing || (is_empty && core.mailbox_applied.get() < last_sequence_);
  }
  if (!is_missing) {
    vanished_since_ns_ = 0;
    return false;
  }
  if (vanished_since_ns_ == 0) vanished_since_ns_ = now_ns;
  return now_ns - vanished_since_ns_ > vanished_after_ns;
}

Result<void> CatalogSync::forget_applied_tombstones(Catalog& catalog) {
  std::size_t applied = 0;
  while (applied < deletions_.size() && is_applied(deletions_[applied].ticket)) {
    if (const auto forgotten = catalog.forget_tombstone(deletions_[applied].topic); !forgotten) {
      return forgotten;
    }
    ++applied;
  }
  deletions_.erase(deletions_.begin(), deletions_.begin() + static_cast<std::ptrdiff_t>(applied));
  return {};
}

}  // namespace millrace::control

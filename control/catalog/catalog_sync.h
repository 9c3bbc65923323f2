// CatalogSync: carries the catalog into the data plane through the mailbox of every core.
// Thread: any one at a time; the caller serialises (TopicService does).
//
// Each incarnation of the data plane first gets the tombstones, then all topics in id order, then
// catalog_complete; afterwards one message for each change. A full ring is tried again at the next
// pump(), nothing is dropped. A data plane that is away is no error: it gets everything when it
// comes. Sequences rise by one but may jump once: a control plane that attaches to a running data
// plane starts past everything its predecessor can have sent, and sends all again.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <vector>

#include "control/catalog/catalog.h"
#include "dataplane/link/region.h"

namespace millrace::control {

class CatalogSync {
 public:
  explicit CatalogSync(link::Region& region) : region_(region) {}

  // Looks for a new incarnation, moves waiting messages into the rings, and forgets tombstones once
  // the data plane has. Never blocks on the data plane. Errors are the catalog's.
  base::Result<void> pump(Catalog& catalog, std::uint64_t now_ns);

  // The catalog changed. Returns a ticket for is_applied().
  std::uint64_t announce_created(const Topic& topic);  // or its settings are otherwise
  std::uint64_t announce_deleted(const Topic& topic);
  // Not the catalog's: a data plane that is away, or begins meanwhile, never hears of it.
  std::uint64_t delete_records(base::PartitionId partition, base::Offset before);

  // True once every core of the data plane now running knows what the ticket was for.
  bool is_applied(std::uint64_t ticket) const;
  // True once the data plane now running knows the whole catalog.
  bool is_synced() const { return is_applied(0); }
  // Rises when an incarnation is begun with: what waited for the one before is not sent any more.
  std::uint64_t sync_count() const { return sync_count_; }

 private:
  struct Deletion {
    std::uint64_t ticket;
    base::TopicId topic;
  };

  base::Result<void> begin(Catalog& catalog, std::uint64_t incarnation);
  link::MailboxMessage& enqueue(link::MailboxKind kind, const Topic* topic);
  void push_waiting();
  bool have_messages_vanished(std::uint64_t now_ns);
  bool all_cores_applied(std::uint64_t sequence) const;
  std::uint64_t sequence_of(std::uint64_t ticket) const;
  base::Result<void> forget_applied_tombstones(Catalog& catalog);

  link::Region& region_;
  std::uint64_t incarnation_ = 0;  // that messages are for; 0: none seen yet
  std::uint32_t core_count_ = 0;   // of that incarnation

  std::uint64_t sync_count_ = 0;

  std::uint64_t last_sequence_ = 0;  // given to a message
  std::uint64_t sync_sequence_ = 0;  // of catalog_complete
  std::uint64_t last_ticket_ = 0;
  std::uint64_t sync_ticket_ = 0;  // tickets up to this one are part of the sync
  std::vector<Deletion> deletions_;

  std::deque<link::MailboxMessage> waiting_;             // not yet in every core's ring
  std::array<std::size_t, link::cores_max> progress_{};  // by core: how many of waiting_ it has
  std::uint64_t vanished_since_ns_ = 0;
};

}  // namespace millrace::control

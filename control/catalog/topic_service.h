// TopicService: the catalog and its way into the data plane as one thing that many threads may use.
// Thread: any; one mutex, never held while waiting for the data plane.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

#include "control/catalog/catalog.h"
#include "control/catalog/catalog_sync.h"

namespace millrace::control {

class TopicService {
 public:
  // apply_wait: how long create and delete wait for the data plane before they answer pending.
  TopicService(Catalog catalog, link::Region& region,
               std::chrono::milliseconds apply_wait = std::chrono::seconds(5));

  struct Change {
    Topic topic;
    bool is_applied = false;  // false: on disk, and the data plane gets it as soon as it can
  };
  base::Result<Change> create_topic(const TopicRequest& request);
  base::Result<Change> alter_topic(std::string_view name, const TopicChanges& changes);
  base::Result<Change> delete_topic(std::string_view name);
  // Errors: not_found, invalid_argument (no such partition), unavailable (the data plane is away).
  base::Result<Topic> delete_records(std::string_view name, std::uint32_t partition_index,
                                     base::Offset before);

  // Creates the topic if it is missing and does not wait for the data plane.
  base::Result<void> ensure_topic(const TopicRequest& request);

  base::Result<std::vector<Topic>> topics();
  base::Result<std::optional<Topic>> find(std::string_view name);
  bool is_synced();

  // To be called every few tens of milliseconds.
  base::Result<void> pump();

 private:
  template <typename Act>
  base::Result<Change> change(Act act);
  bool wait_applied(std::uint64_t ticket);
  bool has_synced_since(std::uint64_t sync_count);

  std::mutex mutex_;
  Catalog catalog_;
  CatalogSync sync_;
  link::Region& region_;
  std::chrono::milliseconds apply_wait_;
};

}  // namespace millrace::control

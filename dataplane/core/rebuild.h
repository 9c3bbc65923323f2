// Rebuild: what recovery finds, handed on: producers to their table, damage and progress to whoever
// looks at the region.
// Core:  the one that opens its log.
#pragma once

#include "dataplane/base/clock.h"
#include "dataplane/base/progress.h"
#include "dataplane/link/region.h"
#include "dataplane/shard/producer_table.h"
#include "storage/journal.h"

namespace millrace::core {

class Rebuild final : public storage::RecoveryVisitor {
 public:
  Rebuild(shard::ProducerTable& producers, link::Region& region, link::CoreBlock& block,
          base::Clock& clock)
      : producers_(producers), region_(region), block_(block), clock_(clock) {}

  void on_batch(base::PartitionId partition, base::Position position,
                const storage::BatchView& batch) override;
  void on_damage(const base::PartitionId* partition, base::Position first,
                 base::Position last) override;
  void on_producer(const storage::ProducerState& producer) override;
  void on_progress(std::uint64_t done, std::uint64_t total) override;

 private:
  shard::ProducerTable& producers_;
  link::Region& region_;
  link::CoreBlock& block_;
  base::Clock& clock_;
  base::Progress progress_;
};

}  // namespace millrace::core

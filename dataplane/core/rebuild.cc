#include "dataplane/core/rebuild.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace millrace::core {

void Rebuild::on_batch(base::PartitionId partition, base::Position,
                       const storage::BatchView& batch) {
  producers_.recover(partition, batch.producer_id(), batch.producer_epoch(), batch.base_sequence(),
                     batch.last_sequence(), batch.base_offset());
}

void Rebuild::on_producer(const storage::ProducerState& producer) {
  for (std::uint16_t i = 0; i < producer.batch_count; ++i) {
    const auto& batch = producer.batches[i];
    producers_.recover(base::PartitionId{producer.partition}, producer.producer_id, producer.epoch,
                       batch.base_sequence, batch.last_sequence, batch.base_offset);
  }
}

void Rebuild::on_damage(const base::PartitionId* partition, base::Position first,
                        base::Position last) {
  link::ControlEvent event;
  event.kind = link::ControlEventKind::partition_damaged;
  event.partition = partition != nullptr ? *partition : base::PartitionId{~0U};
  std::array<char, 200> text;
  const auto end = fmt::format_to_n(
      text.data(), text.size(), "acknowledged bytes at journal positions {} to {} cannot be read",
      first, last);
  event.text.set({text.data(), std::min(end.size, text.size())});
  static_cast<void>(block_.events.push(event));
}

void Rebuild::on_progress(std::uint64_t done, std::uint64_t total) {
  region_.recovery_bytes_done.set(done);
  region_.recovery_bytes_total.set(total);
  if (const auto line = progress_.line(clock_.monotonic_ns(), done, total)) {
    fmt::print(stderr, "millraced: core {} reads its journal: {}\n", &block_ - region_.cores.data(),
               *line);
  }
}

}  // namespace millrace::core

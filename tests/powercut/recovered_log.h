// RecoveredLog: a Log on what a power cut left: opened, read, written on, sorted, left again.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/arena.h"
#include "storage/log.h"
#include "tests/sim/checker.h"
#include "tests/support/recording_reader.h"

namespace millrace::powercut {

// As the recorded log was; nothing when the recording has no superblock.
std::optional<storage::LogOptions> log_options_of(const std::vector<testing::Event>& events);

class RecoveredLog final : private storage::RecoveryVisitor {
 public:
  // Says what is wrong with the log; in no case is that expected.
  using Complain = std::function<void(std::string)>;

  RecoveredLog(const storage::LogOptions& options, storage::Disk& disk, Complain complain)
      : options_(options), disk_(disk), complain_(std::move(complain)) {}

  // False when it cannot be opened. After a crash of the disk, again.
  bool open();
  std::uint32_t create_partition(base::PartitionId id) { return log_->create_partition(id); }
  // Slots that hold a partition.
  std::vector<std::uint32_t> slots() const;
  std::vector<sim::Checker::Entry> read(std::uint32_t slot);
  // One batch of values. False when there is no room.
  bool append(std::uint32_t slot, const std::vector<std::string>& values, base::ProducerId producer,
              std::int32_t base_sequence);
  bool is_durable() const { return log_->durable_position() == log_->append_position(); }
  // Until all that was appended is durable.
  void settle();
  // Begins to write what was appended, and does not wait.
  void begin_write();
  // So many steps of housekeeping, or until nothing is left to be done. True when that was so.
  bool sort(std::uint64_t steps_max);

 private:
  void on_batch(base::PartitionId, base::Position, const storage::BatchView&) override {}
  void on_damage(const base::PartitionId* partition, base::Position first,
                 base::Position last) override;
  void on_progress(std::uint64_t, std::uint64_t) override {}
  void turn();
  void check_whole();

  storage::LogOptions options_;
  storage::Disk& disk_;
  Complain complain_;
  std::optional<base::Arena> arena_;
  std::unique_ptr<storage::Log> log_;
  std::uint64_t now_ns_ = 1000;
  std::vector<std::byte> batch_;
};

}  // namespace millrace::powercut

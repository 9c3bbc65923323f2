// Replay: power cuts of one recorded run, and what the log that is left is worth.
//
// Each cut: what the medium may hold is put on a disk, the log is opened there and read whole. All
// that was acknowledged as durable before the cut must be there, at its offset, once, in the order
// of its producer, and nothing may be called damaged. Then the log has to go on: it is appended to
// and sorted, the power fails once more, and what it held and took by then must be there again.
//
// What was acknowledged before the cut: the client's time is of after the answer had come, and the
// end of the write is in the recording before the answer was sent. So an acknowledgement from
// before the first event that the cut leaves out is of a write whose end the cut contains.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/powercut/cut_plan.h"
#include "tests/powercut/ledger.h"
#include "tests/powercut/medium.h"
#include "tests/powercut/recovered_log.h"
#include "tests/sim/checker.h"
#include "tests/support/recording_reader.h"

namespace millrace::powercut {

struct ReplayOptions {
  storage::Durability durability = storage::Durability::fua;
  bool ignores_flushes = false;
};

struct CutReport {
  std::vector<sim::Finding> findings;
  CutKinds kinds;
  CutSectors sectors;
  std::uint64_t records_promised = 0;  // durable before the cut
  std::uint64_t records_checked = 0;   // read, before and after the second cut
};

class Replay {
 public:
  // The error says what is wrong with the recording. Events and ledger outlive this.
  static base::Result<std::unique_ptr<Replay>> create(const std::vector<testing::Event>& events,
                                                      const Ledger& ledger,
                                                      const ReplayOptions& options);

  // Of the place after each number of events.
  const std::vector<CutKinds>& kinds() const { return kinds_; }
  // By rising number of events.
  CutReport run(const Cut& cut);

 private:
  struct Interval;
  struct Cycle;

  Replay(const std::vector<testing::Event>& events, const Ledger& ledger,
         const ReplayOptions& options, const storage::LogOptions& log_options);
  void promise(Cycle& cycle, std::uint64_t before_ns) const;
  void verify(Cycle& cycle) const;
  void verify_entries(Cycle& cycle, std::uint32_t partition,
                      const std::vector<sim::Checker::Entry>& entries) const;
  void verify_slot(Cycle& cycle, std::uint32_t slot, std::vector<bool>& seen) const;
  void go_on(Cycle& cycle) const;
  static void append(Cycle& cycle, std::uint64_t batches, bool wait);

  const std::vector<testing::Event>& events_;
  const Ledger& ledger_;
  ReplayOptions options_;
  storage::LogOptions log_options_;
  std::uint32_t partition_count_ = 0;
  std::vector<bool> is_retained_;  // by partition
  std::vector<CutKinds> kinds_;
  Medium medium_;
  std::uint64_t taken_ = 0;  // events by the medium
};

}  // namespace millrace::powercut

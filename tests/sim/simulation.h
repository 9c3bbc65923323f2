// Simulation: a node of several cores, its disks, its clients and the cables between them, in one
// thread and in virtual time, all of it from one seed. The real cores, shards, journals, protocol
// and client library; only Clock, Disk and Port are ours.
//
// A run has three parts: trouble of the kinds the seed has drawn; then a time in which all is well
// and everything must be acknowledged; then a power cut, after which the whole log is read and
// judged.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/units.h"
#include "dataplane/client/client.h"
#include "storage/segment_store.h"
#include "tests/dataplane/core/test_node.h"
#include "tests/sim/checker.h"
#include "tests/sim/faults.h"
#include "tests/sim/random.h"
#include "tests/sim/segment_harm.h"
#include "tests/sim/sim_net.h"
#include "tests/support/faulty_disk.h"

namespace millrace::sim {

struct Report {
  std::uint64_t seed = 0;
  std::uint64_t hash = 0;  // of all that was said, and when
  std::uint64_t virtual_ns = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t read = 0;
  FaultCounts faults{};
  std::vector<Finding> findings;
};

class Simulation {
 public:
  // memory: for one run after the other. reuses_session_ids: the node has a bug that it once had.
  Simulation(std::uint64_t seed, core::NodeMemory& memory, bool reuses_session_ids = false);
  ~Simulation();
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  Report run();

 private:
  struct Writer {
    client::Producer* producer = nullptr;
    std::uint64_t id = 0;
    std::uint32_t partition = 0;
    client::Level ack = client::Level::durable;
    std::uint64_t offered = 0;
    std::uint64_t offer_at_ns = 0;
  };
  struct Guest;
  struct Reader {
    const Guest* guest = nullptr;
    client::Subscription* subscription = nullptr;
    std::uint32_t partition = 0;
    std::int64_t last_offset = -1;
    bool finished = false;
    std::vector<Checker::Entry>* into = nullptr;  // the whole log, at the end
    std::int64_t resume_at = -1;                  // behind what was refused
    std::optional<std::int64_t> from_ms;          // where it begins, until it has met a record
    std::uint64_t met_at_ns = 0;                  // the last record
  };
  struct Guest {
    std::unique_ptr<test::FakePort> port;
    std::unique_ptr<client::Client> client;
    std::size_t cable = 0;
    std::uint64_t sessions_before = 0;  // the node's last start
    std::vector<Writer> writers;
    std::vector<std::unique_ptr<Reader>> readers;
  };
  struct DiskState {
    testing::FaultyDisk* disk = nullptr;
    std::uint64_t next_ns = 0;  // when the oldest operation completes; 0: not drawn yet
    std::uint64_t stalled_until_ns = 0;
    std::uint64_t slow_until_ns = 0;
    std::uint64_t generation = 0;   // of the last start
    base::Position durable = 0;     // of the journal
    base::Position proven = 0;      // a later frame says that all before it is durable
    std::uint64_t file_number = 0;  // of its newest segment file
    base::Position sorted_to = 0;
  };
  // Of a compacted partition.
  struct Key {
    std::uint64_t generation = 0;
    bool had_tombstone = false;
  };
  struct Later {
    std::uint64_t at_ns;
    std::function<void()> act;
  };

  core::TestNodeOptions node_options(core::NodeMemory& memory);
  void add_guest(std::size_t core);
  void connect(Guest& guest);
  void add_writer(Guest& guest, std::uint32_t partition, client::Level ack);
  // from: an offset; nothing: the earliest.
  Reader& add_reader(Guest& guest, std::uint32_t partition, std::optional<std::int64_t> from = {});
  Reader& add_reader_from_time(Guest& guest, std::uint32_t partition, std::int64_t from_ms);
  Reader& add_reader(Guest& guest, std::uint32_t partition, native::StartAt start_at,
                     std::int64_t value);
  void replace_reader(Guest& guest);
  void deliver(Reader& reader, const mr_record& record);
  void led_on(const Reader& reader, std::int64_t to);

  // One step of time, to the next thing that happens.
  void step();
  void run_until_ns(std::uint64_t end_ns);
  std::uint64_t next_ns();
  void turn_node();
  void keep_house();
  void move_disk(DiskState& state);
  void use(Guest& guest);
  void offer(Writer& writer);
  bool offer_one(Writer& writer, const std::string& value);
  bool offer_keyed(Writer& writer, const std::string& value);
  void look_after(Guest& guest, Writer& writer);
  void look_after(Guest& guest, Reader& reader);

  void make_topics();
  void count_rewritten(DiskState& state, const storage::SegmentStore& store);
  void start_node();
  void stop_node();
  void kill_node(bool power_cut);
  void check_generation(DiskState& state);
  void fault();
  void harm(DiskState& state);
  void harm_segments();
  static void empty(DiskState& state);
  void delete_records();
  void replace_client(Guest& guest);
  void later(std::uint64_t after_ns, std::function<void()> act);

  void heal();
  bool settled() const;
  void read_all();
  bool is_read(Reader*& reader);
  void read_to_end(std::vector<Reader*>& readers);
  // What the node shows of it; null: nothing yet.
  const link::PartitionBlock* block_of(std::uint32_t partition) const;
  bool is_damaged(std::uint32_t partition) const;
  std::int64_t log_end(std::uint32_t partition) const;
  std::int64_t wall_ms() { return static_cast<std::int64_t>(node_->clock.wall_ns() / base::ms_ns); }
  std::uint64_t now() { return node_->clock.monotonic_ns(); }

  std::uint64_t seed_;
  bool reuses_session_ids_;
  Random random_;
  FaultCounts faults_{};
  Checker checker_;
  SegmentHarm segment_harm_;
  SimNet net_;
  std::vector<Fault> kinds_;  // what this run may meet
  std::unique_ptr<core::TestNode> node_;
  std::vector<DiskState> disks_;
  std::vector<std::unique_ptr<Guest>> guests_;
  std::vector<Later> later_;
  std::map<std::pair<std::uint32_t, std::uint64_t>, Key> keys_;  // by partition and number
  std::int64_t tombstones_ms_ = 0;
  std::uint64_t house_kept_ns_ = 0;  // when housekeeping last had something to do
  std::int64_t began_ms_ = 0;
  std::uint64_t starts_ = 0;
  std::uint64_t writer_ids_ = 0;
  std::uint64_t fault_at_ns_ = 0;
  bool up_ = false;
  bool offering_ = true;
  // Of the journal, and then a partition may be called damaged; or of segments.
  bool may_harm_ = false;
  bool may_harm_segments_ = false;
  std::uint64_t pace_ = 1;  // what lies between two things that happen is so many times as long
  bool harmed_ = false;
};

}  // namespace millrace::sim

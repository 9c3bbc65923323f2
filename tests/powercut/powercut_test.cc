// The replay itself: what a power cut may leave, and the proof that what is wrong is found.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <numeric>
#include <set>
#include <sstream>

#include "dataplane/base/units.h"
#include "storage/breakage.h"
#include "tests/powercut/replay.h"
#include "tests/storage/log_fixture.h"
#include "tests/support/temporary_folder.h"

namespace millrace::powercut {
namespace {

using storage::block_bytes;
using storage::Durability;
using storage::RecordedKind;
using testing::Event;

// --- the medium ---

// Events by hand.
class Script {
 public:
  // The number of the operation that has begun.
  std::uint64_t begin(RecordedKind kind, std::uint32_t file, Event more = {}) {
    more.kind = kind;
    more.file = file;
    more.operation = ++operations_;
    events_.push_back(more);
    EXPECT_TRUE(medium.take(events_.back()));
    return operations_;
  }
  bool end(std::uint64_t operation, std::uint32_t file = 0, bool failed = false) {
    events_.push_back({.failed = failed, .operation = operation, .file = file});
    return medium.take(events_.back());
  }
  void create(std::uint32_t file, std::string_view name, std::uint64_t blocks) {
    end(begin(RecordedKind::create, 0, {.count = blocks * block_bytes, .name = name}), file);
  }
  void reserve(std::uint32_t file, std::string_view name, std::uint64_t blocks) {
    end(begin(RecordedKind::reserve, 0, {.count = blocks * block_bytes, .name = name}), file);
  }
  // One block of the letter.
  std::uint64_t begin_write(RecordedKind kind, std::uint32_t file, char letter,
                            std::uint64_t block = 0) {
    const auto& bytes = blocks_.emplace_back(block_bytes, static_cast<std::byte>(letter));
    return begin(kind, file,
                 {.at = block * block_bytes, .count = block_bytes, .bytes = std::span(bytes)});
  }
  void write(std::uint32_t file, char letter, std::uint64_t block = 0) {
    end(begin_write(RecordedKind::write, file, letter, block));
  }
  void flush(std::uint32_t file) { end(begin(RecordedKind::flush, file)); }

  // What the first sectors of a block have been found to be, over many cuts. '-': no file, and '.'
  // for a byte that is no letter.
  std::set<char> found(const std::string& name, std::uint64_t block = 0) const {
    std::set<char> letters;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
      sim::Random random(seed);
      testing::FaultyDisk disk;
      medium.cut(random, disk);
      if (!disk.exists(name)) {
        letters.insert('-');
        continue;
      }
      const auto bytes = disk.contents(name);
      if (block * block_bytes >= bytes.size()) {
        letters.insert('<');
        continue;
      }
      for (std::uint64_t at = 0; at < block_bytes; at += Medium::sector_bytes) {
        const auto letter = static_cast<char>(bytes[block * block_bytes + at]);
        letters.insert(letter >= 'a' && letter <= 'z' ? letter : '.');
      }
    }
    return letters;
  }

  Medium medium{Durability::fua};

 private:
  std::uint64_t operations_ = 0;
  std::deque<Event> events_;
  std::deque<std::vector<std::byte>> blocks_;
};

using Letters = std::set<char>;

TEST(Medium, what_is_not_settled_may_stay_or_go_and_what_is_settled_stays) {
  Script at;
  at.create(1, "a", 2);
  EXPECT_EQ(at.found("a"), Letters{'.'});
  const std::uint64_t write = at.begin_write(RecordedKind::write_durable, 1, 'x');
  EXPECT_EQ(at.found("a"), (Letters{'.', 'x'}));
  at.end(write);
  EXPECT_EQ(at.found("a"), Letters{'x'});
  at.write(1, 'y');
  EXPECT_EQ(at.found("a"), (Letters{'x', 'y'}));
  at.write(1, 'z');
  EXPECT_EQ(at.found("a"), (Letters{'x', 'y', 'z'}));
  at.flush(1);
  EXPECT_EQ(at.found("a"), Letters{'z'});
  EXPECT_EQ(at.found("a", 1), Letters{'.'});
}

TEST(Medium, a_write_is_torn_between_any_two_sectors_and_in_any_way) {
  Script at;
  at.create(1, "a", 1);
  at.begin_write(RecordedKind::write_durable, 1, 'x');
  std::set<std::string> shapes;
  for (std::uint64_t seed = 1; seed <= 5000; ++seed) {
    sim::Random random(seed);
    testing::FaultyDisk disk;
    const CutSectors sectors = at.medium.cut(random, disk);
    EXPECT_EQ(sectors.kept + sectors.lost, block_bytes / Medium::sector_bytes);
    const auto bytes = disk.contents("a");
    std::string shape;
    for (std::uint64_t i = 0; i < block_bytes; i += Medium::sector_bytes)
      shape += bytes[i] == std::byte{'x'} ? 'x' : '.';
    EXPECT_EQ(static_cast<std::uint64_t>(std::ranges::count(shape, 'x')), sectors.kept);
    shapes.insert(shape);
  }
  EXPECT_GT(shapes.size(), 150U);  // of 256
}

TEST(Medium, a_flush_settles_what_had_ended_when_it_began) {
  Script at;
  at.create(1, "a", 2);
  at.create(2, "b", 1);
  const std::uint64_t late = at.begin_write(RecordedKind::write, 1, 'x');
  at.write(1, 'y', 1);
  at.write(2, 'z');
  const std::uint64_t flush = at.begin(RecordedKind::flush, 1);
  at.end(late);
  EXPECT_EQ(at.found("a", 1), (Letters{'.', 'y'}));
  at.end(flush);
  EXPECT_EQ(at.found("a"), (Letters{'.', 'x'}));
  EXPECT_EQ(at.found("a", 1), Letters{'y'});
  EXPECT_EQ(at.found("b"), (Letters{'.', 'z'}));
}

TEST(Medium, each_device_settles_in_its_own_way) {
  const auto found = [](Durability durability, bool ignores_flushes) {
    Script at;
    at.medium = Medium(durability, ignores_flushes);
    at.create(1, "a", 2);
    at.write(1, 'x');
    at.end(at.begin_write(RecordedKind::write_durable, 1, 'y', 1));
    return std::pair(at.found("a"), at.found("a", 1));
  };
  const Letters torn_x = {'.', 'x'};
  EXPECT_EQ(found(Durability::fua, false), std::pair(torn_x, Letters{'y'}));
  EXPECT_EQ(found(Durability::flush, false), std::pair(Letters{'x'}, Letters{'y'}));
  EXPECT_EQ(found(Durability::plp, false), std::pair(Letters{'x'}, Letters{'y'}));
  EXPECT_EQ(found(Durability::flush, true), std::pair(torn_x, Letters{'.', 'y'}));
}

TEST(Medium, a_reserved_file_is_anything_until_it_is_flushed_and_named) {
  Script at;
  at.reserve(1, "s.new", 2);
  EXPECT_EQ(at.found("s.new"), (Letters{'-', '.'}));
  at.write(1, 'x');
  EXPECT_EQ(at.found("s.new"), (Letters{'-', '.', 'x'}));
  at.end(at.begin(RecordedKind::resize, 1, {.count = 1 * block_bytes}));
  EXPECT_EQ(at.found("s.new", 1), (Letters{'-', '<', '.'}));
  at.flush(1);
  EXPECT_EQ(at.found("s.new"), (Letters{'-', 'x'}));
  EXPECT_EQ(at.found("s.new", 1), (Letters{'-', '<'}));
  const std::uint64_t rename = at.begin(RecordedKind::rename, 0, {.name = "s.new", .to = "s"});
  EXPECT_EQ(at.found("s"), (Letters{'-', 'x'}));
  at.end(rename);
  EXPECT_EQ(at.found("s"), Letters{'x'});
  EXPECT_EQ(at.found("s.new"), Letters{'-'});
}

TEST(Medium, a_file_is_made_and_removed_whole) {
  Script at;
  const std::uint64_t create =
      at.begin(RecordedKind::create, 0, {.count = block_bytes, .name = "a"});
  EXPECT_EQ(at.found("a"), (Letters{'-', '.'}));
  at.end(create, 1);
  at.write(1, 'x');
  at.flush(1);
  const std::uint64_t remove = at.begin(RecordedKind::remove, 0, {.name = "a"});
  EXPECT_EQ(at.found("a"), (Letters{'-', 'x'}));
  at.end(remove);
  EXPECT_EQ(at.found("a"), Letters{'-'});
}

TEST(Medium, what_failed_or_makes_no_sense_is_refused) {
  Script at;
  at.create(1, "a", 1);
  EXPECT_FALSE(at.end(at.begin(RecordedKind::flush, 1), 0, true));
  EXPECT_FALSE(at.end(77));
  const Event past_the_end = {.kind = RecordedKind::write, .file = 1, .at = 8 * block_bytes};
  EXPECT_TRUE(at.medium.take({.kind = RecordedKind::close, .file = 1}));
  EXPECT_FALSE(at.medium.take({.kind = RecordedKind::close, .file = 1}));
  EXPECT_FALSE(at.medium.take(past_the_end));
}

// --- the plan ---

TEST(CutPlan, every_place_and_every_kind_has_its_turn) {
  std::vector<CutKinds> kinds(500);
  for (CutKinds& place : kinds) place.set(static_cast<std::size_t>(CutKind::mid_write));
  kinds[123].set(static_cast<std::size_t>(CutKind::mid_rename));
  const auto places = [&](std::uint64_t cycles) {
    std::set<std::uint64_t> met;
    for (const Cut& cut : plan_cuts(kinds, cycles, 5)) met.insert(cut.events);
    return met;
  };
  EXPECT_EQ(places(1000).size(), kinds.size());
  EXPECT_TRUE(places(4).contains(123));
  const auto few = places(20);
  for (std::uint64_t tenth = 0; tenth < 10; ++tenth) {
    EXPECT_NE(few.lower_bound(tenth * 50), few.lower_bound(tenth * 50 + 50)) << tenth;
  }
  EXPECT_EQ(plan_cuts(kinds, 20, 5).front().seed, plan_cuts(kinds, 20, 5).front().seed);
}

// --- the ledger ---

TEST(Ledger, what_is_written_is_read_and_added_to) {
  std::stringstream text;
  text << "producer 7 t 1 10\nack 100 7 3\nack 200 7 8\nretain t\ndelete 300 gone\n"
          "seen 250\nplaced 7 2 40\nproducer 8 gone 0 1\n";
  Ledger first;
  ASSERT_TRUE(first.read(text));
  std::stringstream again;
  first.write(again);
  again << "seen 400\nplaced 7 2 40\n";
  Ledger second;
  ASSERT_TRUE(second.read(again));
  const Ledger::Producer& producer = second.producers.at(7);
  EXPECT_EQ(producer.offered, 10U);
  EXPECT_EQ(Ledger::durable_before(producer, 100), 0U);
  EXPECT_EQ(Ledger::durable_before(producer, 101), 3U);
  EXPECT_EQ(Ledger::durable_before(producer, 1000), 8U);
  EXPECT_EQ(producer.places.at(2).offset, 40);
  EXPECT_EQ(producer.places.at(2).seen_ns, 400U);
  EXPECT_TRUE(second.retained.contains("t"));
  EXPECT_FALSE(second.deleted_before(second.producers.at(8), 300));
  EXPECT_TRUE(second.deleted_before(second.producers.at(8), 301));
  EXPECT_NE(producer.partition, second.producers.at(8).partition);
  std::stringstream wrong("ack soon 7 3\n");
  EXPECT_FALSE(second.read(wrong));
}

// --- the replay ---

// A log on a recorded disk, written to and sorted; and the ledger of whoever wrote.
class RecordedRun : public ::testing::Test {
 protected:
  ~RecordedRun() override { storage::breakage = storage::Breakage::none; }

  void record() {
    const std::string path = folder_.path() + "/shard-0.recording";
    auto disk = std::move(
        storage::RecordingDisk::open(std::make_unique<testing::FaultyDisk>(), path).value());
    {
      RecoveredLog log(storage::sorting_log_options(), *disk,
                       [](const std::string& text) { ADD_FAILURE() << text; });
      ASSERT_TRUE(log.open());
      for (int round = 0; round < rounds; ++round) {
        write(log, round);
        if (round % 30 == 29) log.sort(1000);
      }
    }
    disk.reset();
    reader_ = std::move(testing::RecordingReader::open(path).value());
    events = reader_->events();
  }

  // How many of the cuts found something.
  std::uint64_t failures(const ReplayOptions& options = {}) {
    auto replay = std::move(Replay::create(events, ledger, options).value());
    std::uint64_t failed = 0;
    findings.clear();
    for (const Cut& cut : plan_cuts(replay->kinds(), cycles, 3)) {
      const CutReport report = replay->run(cut);
      failed += report.findings.empty() ? 0 : 1;
      records_checked += report.records_checked;
      for (const sim::Finding& finding : report.findings)
        findings += fmt::format("after event {}: {}: {}\n", cut.events, sim::name_of(finding.kind),
                                finding.text);
    }
    return failed;
  }

  static constexpr int rounds = 100;
  static constexpr std::uint64_t cycles = POWERCUT_CYCLES;
  std::vector<Event> events;
  Ledger ledger;
  std::string findings;
  std::uint64_t records_checked = 0;
  bool acknowledges_at_start = false;

 private:
  // To three partitions, some batches, and then acknowledgements.
  void write(RecoveredLog& log, int round) {
    std::vector<Ledger::Producer*> written;
    for (std::uint32_t index = 0; index < 3; ++index) {
      const std::uint64_t id = 100 + index;
      Ledger::Producer& producer = ledger.producers[id];
      producer.topic = "t";
      producer.index = producer.partition = index;
      std::vector<std::string> values;
      for (int i = 0; i <= round % 3; ++i) {
        const auto filling = static_cast<std::uint64_t>((round * 791 + i * 311) % 9000);
        values.push_back(sim::Checker::value_of(id, producer.offered + values.size(), filling));
      }
      const std::uint32_t slot = log.create_partition(base::PartitionId{index + 1});
      ASSERT_TRUE(log.append(slot, values, static_cast<base::ProducerId>(id),
                             static_cast<std::int32_t>(producer.offered)));
      producer.offered += values.size();
      written.push_back(&producer);
    }
    log.begin_write();
    if (acknowledges_at_start || log.is_durable()) acknowledge(written);
    log.settle();
    acknowledge(written);
  }
  static void acknowledge(const std::vector<Ledger::Producer*>& producers) {
    for (Ledger::Producer* producer : producers)
      producer->acks.push_back({storage::recording_now_ns(), producer->offered});
  }

  testing::TemporaryFolder folder_;
  std::unique_ptr<testing::RecordingReader> reader_;
};

TEST_F(RecordedRun, keeps_every_promise) {
  record();
  EXPECT_EQ(failures(), 0U) << findings;
  EXPECT_GT(records_checked, cycles * 100);
}

TEST_F(RecordedRun, on_a_device_that_ignores_flushes_is_found) {
  record();
  EXPECT_GT(failures({.ignores_flushes = true}), cycles / 2);
}

TEST_F(RecordedRun, with_acknowledgements_before_the_end_of_the_write_is_found) {
  acknowledges_at_start = true;
  record();
  EXPECT_GT(failures(), 0U);
  EXPECT_NE(findings.find("lost"), std::string::npos) << findings;
}

TEST_F(RecordedRun, of_a_journal_that_calls_durable_what_is_on_its_way_is_found) {
  storage::breakage = storage::Breakage::acknowledge_early;
  record();
  storage::breakage = storage::Breakage::none;
  EXPECT_GT(failures(), 0U);
  EXPECT_NE(findings.find("lost"), std::string::npos) << findings;
}

// The file has its name, and the journal before it may be used again.
TEST_F(RecordedRun, with_a_segment_file_that_was_not_flushed_is_found) {
  record();
  std::set<std::uint64_t> dropped;
  std::optional<std::uint64_t> made;
  std::uint32_t file = ~0U;
  for (const Event& event : events) {
    if (event.kind == RecordedKind::reserve) made = event.operation;
    if (event.kind == RecordedKind::end && made == event.operation) file = event.file;
    if (event.kind == RecordedKind::flush && event.file == file) dropped.insert(event.operation);
  }
  ASSERT_FALSE(dropped.empty());
  std::erase_if(events, [&](const Event& event) { return dropped.contains(event.operation); });
  EXPECT_GT(failures(), 0U);
  EXPECT_NE(findings.find("cannot be read"), std::string::npos) << findings;
}

TEST_F(RecordedRun, that_lost_a_record_the_ledger_knows_the_place_of_is_found) {
  record();
  ledger.retained.insert("t");
  ledger.place(100, 0, {.offset = 0, .seen_ns = ~0ULL});
  EXPECT_EQ(failures(), 0U) << findings;
  // Another one's place.
  ledger.place(100, 1, {.offset = 0, .seen_ns = ~0ULL});
  EXPECT_GT(failures(), 0U);
  EXPECT_NE(findings.find("stale"), std::string::npos) << findings;
}

TEST_F(RecordedRun, is_the_same_cut_each_time) {
  record();
  const Cut cut{.events = events.size() / 2, .seed = 11};
  const auto run = [&] {
    auto replay = std::move(Replay::create(events, ledger, {}).value());
    return replay->run(cut);
  };
  const CutReport first = run(), second = run();
  EXPECT_EQ(first.sectors.kept, second.sectors.kept);
  EXPECT_EQ(first.records_checked, second.records_checked);
  EXPECT_EQ(first.kinds, second.kinds);
}

}  // namespace
}  // namespace millrace::powercut

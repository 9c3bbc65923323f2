#include "storage/recording_disk.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <thread>
#include <vector>

#include "dataplane/base/alloc_guard.h"
#include "dataplane/base/ids.h"
#include "dataplane/base/units.h"
#include "tests/support/disk_result.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/recording_reader.h"
#include "tests/support/temporary_folder.h"

namespace millrace::storage {
namespace {

using testing::Event;
using testing::RecordingReader;

class RecordingDiskTest : public ::testing::Test {
 protected:
  RecordingDiskTest() { open(); }
  std::string path() const { return folder_.path() + "/shard-0.recording"; }
  void open(std::uint64_t bytes_max = base::mib) {
    disk.reset();
    auto inner = std::make_unique<testing::FaultyDisk>(1, Durability::fua);
    faulty = inner.get();
    disk = std::move(RecordingDisk::open(std::move(inner), path(), bytes_max).value());
  }
  std::unique_ptr<RecordingReader> read() {
    return std::move(RecordingReader::open(path()).value());
  }
  std::vector<std::byte> blocks(std::uint64_t count, int fill) {
    return std::vector<std::byte>(count * block_bytes, static_cast<std::byte>(fill));
  }

  testing::TemporaryFolder folder_;
  testing::FaultyDisk* faulty = nullptr;
  std::unique_ptr<RecordingDisk> disk;
};

void expect_equal(std::span<const std::byte> got, const std::vector<std::byte>& wanted) {
  EXPECT_TRUE(std::equal(got.begin(), got.end(), wanted.begin(), wanted.end()));
}

TEST_F(RecordingDiskTest, every_change_is_there_in_order_with_its_bytes_and_its_end) {
  const FileId a = disk->create("a", 4 * block_bytes).value();
  const FileId b = disk->reserve("b.new", 2 * block_bytes).value();
  const auto ones = blocks(1, 1), twos = blocks(2, 2);
  ASSERT_TRUE(disk->write_now(b, 0, twos));
  ASSERT_TRUE(disk->resize(b, 3 * block_bytes));
  ASSERT_TRUE(disk->flush_now(b));
  ASSERT_TRUE(disk->rename("b.new", "b"));
  testing::DiskResult result;
  disk->write_durable(a, block_bytes, ones, result, 7);
  disk->poll();
  disk->close(b);
  EXPECT_EQ(disk->open("b").value(), b);
  ASSERT_TRUE(disk->remove("b"));
  EXPECT_EQ(result.tokens, std::vector<std::uint64_t>{7});
  EXPECT_EQ(result.results, std::vector<std::int32_t>{static_cast<std::int32_t>(block_bytes)});

  const auto reader = read();
  EXPECT_EQ(reader->durability(), Durability::fua);
  std::vector<RecordedKind> kinds;
  std::uint64_t time_ns = 0;
  for (const Event& event : reader->events()) {
    EXPECT_GE(event.time_ns, time_ns);
    EXPECT_FALSE(event.failed);
    time_ns = event.time_ns;
    kinds.push_back(event.kind);
  }
  using enum RecordedKind;
  ASSERT_EQ(kinds, (std::vector<RecordedKind>{create, end, reserve, end, write, end, resize, end,
                                              flush, end, rename, end, write_durable, end, close,
                                              open, end, remove, end}));
  const auto& events = reader->events();
  EXPECT_EQ(events[0].name, "a");
  EXPECT_EQ(events[0].count, 4 * block_bytes);
  EXPECT_EQ(events[1].operation, events[0].operation);
  EXPECT_EQ(events[1].file, base::raw(a));
  EXPECT_EQ(events[2].name, "b.new");
  expect_equal(events[4].bytes, twos);
  EXPECT_EQ(events[6].count, 3 * block_bytes);
  EXPECT_EQ(events[8].file, base::raw(b));
  EXPECT_EQ(events[10].name, "b.new");
  EXPECT_EQ(events[10].to, "b");
  EXPECT_EQ(events[12].at, block_bytes);
  expect_equal(events[12].bytes, ones);
  EXPECT_EQ(events[15].name, "b");
  EXPECT_EQ(events[16].file, base::raw(b));
}

TEST_F(RecordingDiskTest, an_end_is_recorded_when_it_comes_and_before_its_caller_hears_of_it) {
  const FileId file = disk->create("a", 4 * block_bytes).value();
  faulty->hold(true);
  const auto ones = blocks(1, 1), twos = blocks(1, 2);
  testing::DiskResult result;
  disk->write_durable(file, 0, ones, result, 1);
  disk->write_durable(file, block_bytes, twos, result, 2);
  EXPECT_EQ(read()->events().size(), 4U);
  faulty->deliver_one();
  EXPECT_EQ(result.tokens, std::vector<std::uint64_t>{1});
  auto reader = read();
  ASSERT_EQ(reader->events().size(), 5U);
  EXPECT_EQ(reader->events()[4].operation, reader->events()[2].operation);
  disk->drain();
  EXPECT_EQ(read()->events().size(), 6U);
}

TEST_F(RecordingDiskTest, what_failed_is_recorded_as_failed) {
  EXPECT_FALSE(disk->open("nothing"));
  const FileId file = disk->create("a", block_bytes).value();
  faulty->fail_writes(-EIO);
  const auto ones = blocks(1, 1);
  testing::DiskResult result;
  disk->write_durable(file, 0, ones, result, 1);
  disk->drain();
  EXPECT_EQ(result.results, std::vector<std::int32_t>{-EIO});
  const auto reader = read();
  EXPECT_TRUE(reader->events()[1].failed);
  EXPECT_FALSE(reader->events()[3].failed);
  EXPECT_TRUE(reader->events()[5].failed);
}

TEST_F(RecordingDiskTest, what_there_is_no_room_for_is_not_done) {
  const FileId file = disk->create("a", 4 * block_bytes).value();
  open(4 * block_bytes);
  ASSERT_EQ(disk->create("b", 4 * block_bytes).value(), file);
  const auto ones = blocks(1, 1), twos = blocks(3, 2);
  testing::DiskResult result;
  faulty->hold(true);
  disk->write_durable(file, 0, ones, result, 1);
  disk->write_durable(file, 0, twos, result, 2);
  EXPECT_EQ(faulty->in_flight(), 1U);
  EXPECT_TRUE(result.tokens.empty());  // never from inside the call
  disk->poll();
  EXPECT_EQ(result.tokens, std::vector<std::uint64_t>{2});
  EXPECT_EQ(result.results, std::vector<std::int32_t>{-ENOSPC});
  // From then on nothing more, not even what is small enough; but what had begun has its end.
  EXPECT_EQ(disk->flush_now(file).error().code(), base::ErrorCode::no_space);
  EXPECT_FALSE(disk->create("c", block_bytes));
  EXPECT_FALSE(disk->exists("c"));
  disk->drain();
  EXPECT_EQ(result.results.back(), static_cast<std::int32_t>(block_bytes));
  EXPECT_EQ(read()->events().back().kind, RecordedKind::end);
}

TEST_F(RecordingDiskTest, the_next_life_goes_on_in_the_same_recording) {
  ASSERT_TRUE(disk->create("a", block_bytes));
  const std::uint64_t used = RecordingReader::used_bytes(path()).value();
  disk.reset();
  EXPECT_EQ(std::filesystem::file_size(path()), used);
  open();
  ASSERT_TRUE(disk->create("b", block_bytes));
  const auto reader = read();
  ASSERT_EQ(reader->events().size(), 4U);
  EXPECT_EQ(reader->events()[2].name, "b");
  EXPECT_EQ(reader->events()[2].operation, used);
}

TEST_F(RecordingDiskTest, a_file_that_is_no_recording_is_left_alone) {
  disk.reset();
  std::filesystem::remove(path());
  {
    const std::string words = "something else, and longer than a header";
    std::FILE* other = std::fopen(path().c_str(), "w");
    ASSERT_EQ(std::fwrite(words.data(), 1, words.size(), other), words.size());
    std::fclose(other);
  }
  EXPECT_FALSE(RecordingDisk::open(std::make_unique<testing::FaultyDisk>(), path(), base::mib));
  EXPECT_FALSE(RecordingReader::open(path()));
}

TEST_F(RecordingDiskTest, two_threads_are_recorded_event_by_event) {
  const FileId a = disk->create("a", block_bytes).value();
  const FileId b = disk->create("b", block_bytes).value();
  const auto write = [&](FileId file, int fill) {
    const auto bytes = blocks(1, fill);
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(disk->write_now(file, 0, bytes));
  };
  // The disk below is not made for two threads, except that each has its own file.
  std::thread other([&] { write(b, 2); });
  write(a, 1);
  other.join();
  const auto reader = read();
  EXPECT_EQ(reader->events().size(), 4U + 4 * 50);
  for (const Event& event : reader->events()) {
    if (event.kind == RecordedKind::write)
      expect_equal(event.bytes, blocks(1, event.file == base::raw(a) ? 1 : 2));
  }
}

TEST_F(RecordingDiskTest, a_sealed_core_can_record) {
  disk.reset();
  const auto recording = std::move(Recording::open(path(), base::mib, Durability::plp).value());
  const auto ones = blocks(1, 1);
  base::seal();
  const auto number = recording->begin({.kind = RecordedKind::write_durable, .bytes = ones});
  if (number) recording->end(*number, false, FileId{});
  base::unseal();
  EXPECT_TRUE(number.has_value());
}

}  // namespace
}  // namespace millrace::storage

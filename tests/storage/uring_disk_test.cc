#include "storage/uring_disk.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "tests/storage/journal_fixture.h"
#include "tests/support/disk_result.h"
#include "tests/support/temporary_folder.h"

namespace millrace::storage {
namespace {

struct alignas(block_bytes) Buffer {
  std::array<std::byte, 4 * block_bytes> bytes{};
};

std::unique_ptr<base::Uring> make_uring() { return std::move(base::Uring::create(64).value()); }

std::unique_ptr<UringDisk> open_disk(base::Uring& uring, const std::string& folder) {
  auto disk = UringDisk::open({.folder = folder}, uring);
  if (!disk) ADD_FAILURE() << disk.error().message();
  return std::move(*disk);
}

TEST(UringDisk, a_created_file_is_zero_and_whole_under_its_own_name_only) {
  testing::TemporaryFolder folder;
  auto uring = make_uring();
  auto disk = open_disk(*uring, folder.path() + "/a/b");
  const FileId file = disk->create("x", 3 * base::mib).value();
  EXPECT_EQ(disk->size(file).value(), 3 * base::mib);
  EXPECT_TRUE(disk->exists("x"));
  EXPECT_FALSE(disk->exists("x.new"));
  Buffer buffer;
  buffer.bytes.fill(std::byte{1});
  ASSERT_TRUE(disk->read_now(file, base::mib, buffer.bytes));
  for (const std::byte byte : buffer.bytes) ASSERT_EQ(byte, std::byte{0});
  EXPECT_EQ(disk->create("x", base::mib).error().code(), base::ErrorCode::already_exists);
  EXPECT_EQ(disk->open("y").error().code(), base::ErrorCode::not_found);
  ASSERT_TRUE(disk->remove("x"));
  EXPECT_FALSE(disk->exists("x"));
}

TEST(UringDisk, what_was_written_is_read_back) {
  testing::TemporaryFolder folder;
  auto uring = make_uring();
  auto disk = open_disk(*uring, folder.path());
  const FileId file = disk->create("x", base::mib).value();
  Buffer written, read;
  std::memset(written.bytes.data(), 0x5a, written.bytes.size());
  testing::DiskResult result;
  disk->write_durable(file, 2 * block_bytes, written.bytes, result, 11);
  EXPECT_TRUE(result.results.empty());  // never from inside the call
  disk->drain();
  disk->read(file, 2 * block_bytes, read.bytes, result, 12);
  disk->drain();
  EXPECT_EQ(result.tokens, (std::vector<std::uint64_t>{11, 12}));
  EXPECT_EQ(result.results, (std::vector<std::int32_t>(2, sizeof written.bytes)));
  EXPECT_EQ(written.bytes, read.bytes);
}

// On a device whose cache forgets, the kernel is asked for the flush with the write itself.
TEST(UringDisk, a_durable_write_asks_for_what_its_device_needs) {
  bool forgot = false;
  for (const bool on_device : {false, true}) {
    testing::TemporaryFolder folder(on_device ? "/var/tmp" : "/dev/shm");
    auto uring = make_uring();
    auto disk = open_disk(*uring, folder.path());
    const bool forgets =
        disk->durability() == Durability::fua || disk->durability() == Durability::flush;
    forgot |= forgets;
    const FileId file = disk->create("x", block_bytes).value();
    Buffer buffer;
    testing::DiskResult result;
    disk->write_durable(file, 0, std::span(buffer.bytes).first(block_bytes), result, 1);
    EXPECT_EQ(uring->raw()->sq.sqes[0].rw_flags, forgets ? RWF_DSYNC : 0) << on_device;
    disk->drain();
    EXPECT_EQ(result.results, std::vector<std::int32_t>{block_bytes});
  }
  if (!forgot) GTEST_SKIP() << "no device here that has to be told to flush";
}

TEST(UringDisk, a_short_read_is_an_error) {
  testing::TemporaryFolder folder;
  auto uring = make_uring();
  auto disk = open_disk(*uring, folder.path());
  const FileId file = disk->create("x", 2 * block_bytes).value();
  Buffer buffer;
  testing::DiskResult result;
  disk->read(file, 0, buffer.bytes, result, 1);  // twice as long as the file
  disk->drain();
  EXPECT_EQ(result.results, std::vector<std::int32_t>{-EIO});
  EXPECT_FALSE(disk->read_now(file, 0, buffer.bytes));
}

TEST(UringDisk, a_failed_operation_gives_its_errno) {
  testing::TemporaryFolder folder;
  auto uring = make_uring();
  auto disk = open_disk(*uring, folder.path());
  const FileId file = disk->create("x", base::mib).value();
  testing::DiskResult result;
  std::byte* nowhere = reinterpret_cast<std::byte*>(std::uintptr_t{block_bytes});
  disk->read(file, 0, {nowhere, block_bytes}, result, 1);
  disk->drain();
  EXPECT_EQ(result.results, std::vector<std::int32_t>{-EFAULT});
}

TEST(UringDisk, a_folder_has_one_user_at_a_time_and_the_error_names_it) {
  testing::TemporaryFolder folder;
  auto uring = make_uring();
  auto first = open_disk(*uring, folder.path());
  auto second = UringDisk::open({.folder = folder.path(), .lock_wait_ns = 1'000'000}, *uring);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), base::ErrorCode::unavailable);
  EXPECT_NE(second.error().message().find(fmt::format("process {}", ::getpid())),
            std::string_view::npos);
  first.reset();
  EXPECT_TRUE(UringDisk::open({.folder = folder.path(), .lock_wait_ns = 0}, *uring));
}

TEST(UringDisk, a_journal_on_it_survives_being_dropped_and_closed) {
  testing::TemporaryFolder folder;
  auto uring = make_uring();
  const JournalOptions options = small_options();
  std::vector<SeenBatch> written;
  for (std::uint64_t round = 0; round < 3; ++round) {
    auto disk = open_disk(*uring, folder.path());
    auto arena = std::move(
        base::Arena::create({.bytes = Journal::arena_bytes(options), .huge_pages = false}).value());
    Seen seen;
    auto opened = Journal::open(options, *disk, arena, seen);
    ASSERT_TRUE(opened) << opened.error().message();
    auto& journal = **opened;
    EXPECT_EQ(seen.batches, written);
    EXPECT_TRUE(seen.damage.empty());
    for (std::uint64_t i = 0; i < 5; ++i) {
      auto batch = make_batch(round * 5 + i, 9000);
      const auto offset = static_cast<base::Offset>(round * 5 + i);
      const auto at = journal.append_batch(base::PartitionId{1}, batch, offset, 2, true);
      stamp_batch(batch.data(), offset, 2);
      written.push_back({base::PartitionId{1}, at.position, batch});
      for (int turn = 0; turn < 100 && journal.durable_position() < at.durable_at; ++turn) {
        journal.submit_writes(1);
        uring->wait(base::second_ns, 64);
      }
      ASSERT_GE(journal.durable_position(), at.durable_at);
    }
    if (round == 1) {
      EXPECT_TRUE(journal.close());
    }
  }
}

TEST(UringDisk, a_reserved_file_takes_its_name_when_it_is_renamed) {
  testing::TemporaryFolder folder;
  auto uring = make_uring();
  auto disk = open_disk(*uring, folder.path());
  const std::uint64_t free_before = disk->space()->free_bytes;
  const FileId file = disk->reserve("y", base::mib).value();
  EXPECT_LE(disk->space()->free_bytes, free_before);
  const auto buffer = std::make_unique<Buffer>();
  buffer->bytes.fill(std::byte{7});
  ASSERT_TRUE(disk->write_now(file, 0, buffer->bytes).has_value());
  ASSERT_TRUE(disk->create("x", base::mib).has_value());
  ASSERT_TRUE(disk->rename("y", "x").has_value());
  EXPECT_FALSE(disk->exists("y"));
  disk->close(file);
  // The closed one's number is given again, and means the new file.
  const FileId again = disk->open("x").value();
  EXPECT_EQ(again, file);
  buffer->bytes.fill(std::byte{0});
  ASSERT_TRUE(disk->read_now(again, 0, buffer->bytes).has_value());
  EXPECT_EQ(buffer->bytes[0], std::byte{7});
  auto names = disk->list().value();
  std::ranges::sort(names);
  EXPECT_EQ(names, (std::vector<std::string>{"lock", "x"}));
  const std::uint64_t too_many = base::align_up(free_before + base::gib, block_bytes);
  EXPECT_EQ(disk->reserve("huge", too_many).error().code(), base::ErrorCode::no_space);
  EXPECT_FALSE(disk->exists("huge"));
}

TEST(UringDisk, on_a_memory_file_system_it_works_and_promises_nothing) {
  if (find_device("/dev/shm").text != "tmpfs") GTEST_SKIP() << "no tmpfs here";
  testing::TemporaryFolder folder("/dev/shm");
  auto uring = make_uring();
  auto disk = open_disk(*uring, folder.path());
  EXPECT_EQ(disk->durability(), Durability::unsafe);
  EXPECT_EQ(disk->device(), "tmpfs");
  const FileId file = disk->create("x", base::mib).value();
  Buffer buffer;
  testing::DiskResult result;
  disk->write_durable(file, 0, buffer.bytes, result, 1);
  disk->drain();
  EXPECT_EQ(result.results, std::vector<std::int32_t>{sizeof buffer.bytes});
}

// A made-up /sys in which the folder's device is a partition of sdz.
class FakeSys {
 public:
  explicit FakeSys(const std::string& folder) : root_(folder + "/sys") {
    struct stat status {};
    EXPECT_EQ(::stat(folder.c_str(), &status), 0);
    std::filesystem::create_directories(root_ + "/devices/sdz/sdz1");
    std::filesystem::create_directories(root_ + "/devices/sdz/queue");
    std::filesystem::create_directories(root_ + "/devices/sdz/device");
    std::filesystem::create_directories(root_ + "/dev/block");
    std::filesystem::create_directories(root_ + "/drivers/nvme");
    std::ofstream(root_ + "/devices/sdz/sdz1/partition") << "1\n";
    std::filesystem::create_symlink("../../../drivers/nvme", root_ + "/devices/sdz/device/driver");
    std::filesystem::create_symlink(
        "../../devices/sdz/sdz1",
        fmt::format("{}/dev/block/{}:{}", root_, major(status.st_dev), minor(status.st_dev)));
  }
  void set(const char* write_cache, const char* fua) const {
    std::ofstream(root_ + "/devices/sdz/queue/write_cache") << write_cache << '\n';
    std::ofstream(root_ + "/devices/sdz/queue/fua") << fua << '\n';
  }
  const std::string& root() const { return root_; }

 private:
  std::string root_;
};

TEST(FindDevice, tells_the_durability_from_the_disk_behind_the_partition) {
  testing::TemporaryFolder folder;
  const FakeSys sys(folder.path());
  EXPECT_EQ(find_device(folder.path(), sys.root()).durability, Durability::unsafe);
  sys.set("write through", "0");
  EXPECT_EQ(find_device(folder.path(), sys.root()).durability, Durability::plp);
  EXPECT_EQ(find_device(folder.path(), sys.root()).text.substr(0, 10), "nvme sdz, ");
  sys.set("write back", "1");
  EXPECT_EQ(find_device(folder.path(), sys.root()).durability, Durability::fua);
  sys.set("write back", "0");
  EXPECT_EQ(find_device(folder.path(), sys.root()).durability, Durability::flush);
  sys.set("something new", "1");
  EXPECT_EQ(find_device(folder.path(), sys.root()).durability, Durability::unsafe);
}

TEST(FindDevice, without_a_block_device_nothing_is_promised) {
  testing::TemporaryFolder folder;
  EXPECT_EQ(find_device(folder.path(), folder.path()).durability, Durability::unsafe);
  EXPECT_EQ(find_device(folder.path() + "/none", folder.path()).text, "unknown");
}

TEST(Durability, has_the_names_that_are_printed_beside_figures) {
  EXPECT_EQ(name(Durability::plp), "plp");
  EXPECT_EQ(name(Durability::fua), "fua");
  EXPECT_EQ(name(Durability::flush), "flush");
  EXPECT_EQ(name(Durability::unsafe), "unsafe");
}

}  // namespace
}  // namespace millrace::storage

// RegionFile: what is made, found again, and refused.
#include "dataplane/link/region_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace millrace::link {
namespace {

class RegionFileTest : public testing::Test {
 protected:
  RegionFileTest() { EXPECT_NE(mkdtemp(directory_.data()), nullptr); }
  ~RegionFileTest() override { std::filesystem::remove_all(directory_); }
  std::string path() const { return directory_ + "/region"; }

 private:
  std::string directory_ = testing::TempDir() + "region-XXXXXX";
};

TEST_F(RegionFileTest, a_missing_file_is_made_for_its_owner_alone_and_starts_at_zero) {
  auto file = RegionFile::open_or_create(path());
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_EQ(file->region().magic, region_magic);
  EXPECT_EQ(file->region().version, region_version);
  EXPECT_EQ(file->region().incarnation.get(), 0U);
  EXPECT_EQ(file->region().cores[cores_max - 1].mailbox.peek(), nullptr);
  struct stat status {};
  ASSERT_EQ(stat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_EQ(status.st_size, static_cast<off_t>(sizeof(Region)));
}

TEST_F(RegionFileTest, both_planes_see_the_same_memory_and_it_outlives_each) {
  auto first = RegionFile::open_or_create(path());
  ASSERT_TRUE(first);
  first->region().incarnation.set(42);
  first->region().cores[3].mailbox.push(MailboxMessage{.incarnation = 42, .sequence = 7});
  {
    auto second = RegionFile::open_or_create(path());
    ASSERT_TRUE(second);
    EXPECT_EQ(second->region().incarnation.get(), 42U);
    const auto* message = second->region().cores[3].mailbox.peek();
    ASSERT_NE(message, nullptr);
    EXPECT_EQ(message->sequence, 7U);
    second->region().cores[3].mailbox.release(1);
  }
  EXPECT_EQ(first->region().cores[3].mailbox.consumed_count(), 1U);
}

TEST_F(RegionFileTest, another_version_is_refused_with_the_fix) {
  { ASSERT_TRUE(RegionFile::open_or_create(path())); }
  const int fd = open(path().c_str(), O_RDWR);
  const std::uint32_t version = region_version + 1;
  ASSERT_EQ(pwrite(fd, &version, sizeof version, offsetof(Region, version)), 4);
  close(fd);
  const auto file = RegionFile::open_or_create(path());
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code(), base::ErrorCode::invalid_argument);
  EXPECT_NE(file.error().message().find("same release"), std::string_view::npos);
}

TEST_F(RegionFileTest, a_region_of_another_size_is_refused_and_not_touched) {
  { ASSERT_TRUE(RegionFile::open_or_create(path())); }
  ASSERT_EQ(truncate(path().c_str(), sizeof(Region) - 4096), 0);
  const auto file = RegionFile::open_or_create(path());
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code(), base::ErrorCode::invalid_argument);
  EXPECT_EQ(std::filesystem::file_size(path()), sizeof(Region) - 4096);
}

TEST_F(RegionFileTest, a_file_of_something_else_is_refused_and_not_touched) {
  std::ofstream(path()) << "not a region, but somebody's notes";
  const auto file = RegionFile::open_or_create(path());
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code(), base::ErrorCode::corrupt);
  EXPECT_EQ(std::filesystem::file_size(path()), 34U);
}

TEST_F(RegionFileTest, a_missing_directory_is_named) {
  const auto file = RegionFile::open_or_create(path() + "/no/such");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code(), base::ErrorCode::not_found);
  EXPECT_NE(file.error().message().find("/no/such"), std::string_view::npos);
}

TEST(RegionFileAnonymous, is_reached_through_the_path_for_children) {
  auto file = RegionFile::create_anonymous();
  ASSERT_TRUE(file);
  EXPECT_NE(fcntl(file->fd(), F_GETFD) & FD_CLOEXEC, 0);
  ASSERT_TRUE(file->make_inheritable());
  EXPECT_EQ(fcntl(file->fd(), F_GETFD) & FD_CLOEXEC, 0);
  auto child = RegionFile::open_or_create(file->path_for_children());
  ASSERT_TRUE(child) << child.error().message();
  child->region().pid.set(99);
  EXPECT_EQ(file->region().pid.get(), 99U);
}

}  // namespace
}  // namespace millrace::link

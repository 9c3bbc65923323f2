#include "dataplane/core/launch.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "dataplane/link/region_file.h"
#include "storage/disk.h"

namespace millrace::core {
namespace {

namespace fs = std::filesystem;

// A UDP port that nobody has.
std::uint16_t free_udp_port() {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), bytes), 0);
  EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &bytes), 0);
  close(fd);
  return ntohs(address.sin_port);
}

class LaunchTest : public ::testing::Test {
 protected:
  LaunchTest() {
    std::string pattern = ::testing::TempDir() + "launch-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    options.link_path = folder_ + "/link";
    options.data_directory = folder_ + "/data";
    options.ports = {"udp:127.0.0.1:" + std::to_string(free_udp_port())};
    options.journal_bytes = 32ULL << 20;
    options.tail_bytes = 16ULL << 20;
    options.partitions_max = 64;
    region_file.emplace(std::move(link::RegionFile::open_or_create(options.link_path).value()));
  }
  ~LaunchTest() override { fs::remove_all(folder_); }

  link::Region& region() { return region_file->region(); }
  link::State state() { return static_cast<link::State>(region().state.get()); }
  // Runs until ready, then until(), then ends it by a signal; its exit code.
  template <typename Until>
  int run(Until until) {
    int code = -1;
    region().state.set(0);
    std::thread node([&] { code = run_node(options); });
    while (state() != link::State::ready && state() != link::State::failed) usleep(1000);
    if (state() == link::State::ready) {
      until();
      kill(getpid(), SIGTERM);
    }
    node.join();
    return code;
  }
  int run() {
    return run([] {});
  }
  void expect_failure(std::string_view text) {
    region().state.set(0);
    EXPECT_EQ(run_node(options), 1);
    EXPECT_EQ(state(), link::State::failed);
    EXPECT_NE(region().failure.get().find(text), std::string_view::npos) << region().failure.get();
  }

  NodeOptions options;
  std::optional<link::RegionFile> region_file;

 private:
  std::string folder_;
};

TEST_F(LaunchTest, a_node_starts_takes_its_catalog_and_ends_cleanly_on_a_signal) {
  options.data_directory.clear();
  options.memory_only = true;
  const int code = run([&] {
    EXPECT_EQ(region().pid.get(), static_cast<std::uint64_t>(getpid()));
    EXPECT_EQ(region().port_count.get(), 1U);
    EXPECT_EQ(region().durability.get(), "unsafe");
    EXPECT_EQ(region().catalog_ready.get(), 0U);
    while (region().incarnation.get() == 0) usleep(1000);
    link::MailboxMessage complete;
    complete.kind = link::MailboxKind::catalog_complete;
    complete.incarnation = region().incarnation.get();
    complete.sequence = 1;
    EXPECT_TRUE(region().cores[0].mailbox.push(complete));
    while (region().catalog_ready.get() == 0) usleep(1000);
  });
  EXPECT_EQ(code, 0);
  EXPECT_EQ(state(), link::State::none);
  EXPECT_EQ(region().ports[0].live.get(), 0U);
}

TEST_F(LaunchTest, a_data_directory_keeps_its_identity_over_restarts) {
  EXPECT_EQ(run(), 0);
  const auto identity = [&] {
    std::string line;
    std::ifstream file(options.data_directory + "/identity");
    std::getline(file, line);
    return line;
  };
  const std::string first = identity();
  EXPECT_EQ(first.size(), 16U);
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(identity(), first);
  fs::remove(options.data_directory + "/identity");
  expect_failure("identity is missing, but there are journals beside it");
  std::ofstream(options.data_directory + "/identity") << "not hexadecimal!\n";
  expect_failure("does not hold 16 hexadecimal digits");
  std::ofstream(options.data_directory + "/identity") << "0123456789abcdef\n";
  expect_failure("start with the data folder that belongs to this node");
  std::ofstream(options.data_directory + "/identity") << first << "\n";
  EXPECT_EQ(run(), 0);
}

TEST_F(LaunchTest, a_node_records_its_disk_only_when_asked_to) {
  EXPECT_EQ(run(), 0);
  const std::string folder = fs::path(options.link_path).parent_path();
  EXPECT_FALSE(fs::exists(folder + "/shard-0.recording"));
  options.recording_directory = folder;
  EXPECT_EQ(run(), 0);
  EXPECT_GT(fs::file_size(folder + "/shard-0.recording"), storage::block_bytes);
}

TEST_F(LaunchTest, what_is_wrong_with_its_words_is_said_in_the_region) {
  const auto good = options.ports;
  options.ports = {"udp:localhost:7070"};
  expect_failure("udp:ADDRESS:PORT");
  options.ports = {"udp:127.0.0.1:0"};
  expect_failure("udp:ADDRESS:PORT");
  options.ports = std::vector<std::string>(9, good[0]);
  expect_failure("at most 8 ports");
  options.ports = {"nonsense:1"};
  expect_failure("nonsense");
  options.ports = good;
  options.listeners = {"5514"};
  expect_failure("listener '5514'");
  options.listeners = {};
  options.cpus = {4000};
  expect_failure("CPU 4000 is not there");
  options.cpus = {};
  EXPECT_EQ(run(), 0) << "and none of it stays";
}

TEST_F(LaunchTest, a_link_that_cannot_be_made_is_an_error) {
  options.link_path = "/proc/nowhere/link";
  EXPECT_EQ(run_node(options), 1);
}

}  // namespace
}  // namespace millrace::core

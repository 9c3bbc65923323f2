#include "dataplane/port/dpdk_port.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/base/units.h"
#include "dataplane/port/eth_device.h"

extern char** environ;

namespace millrace::port {
namespace {

// A deadline for what must happen at all; nothing here asserts that it happens fast.
constexpr std::uint64_t patience_ns = 100 * base::second_ns;

class Patience {
 public:
  bool left() { return clock_.monotonic_ns() - start_ns_ < patience_ns; }

 private:
  base::SystemClock clock_;
  std::uint64_t start_ns_ = clock_.monotonic_ns();
};

// The other end, as a process that can be killed.
class Peer {
 public:
  explicit Peer(const std::string& spec) {
    std::string program = FRAME_ECHO_PEER;
    std::string argument = spec;
    std::array<char*, 3> arguments = {program.data(), argument.data(), nullptr};
    EXPECT_EQ(posix_spawn(&pid_, program.c_str(), nullptr, nullptr, arguments.data(), environ), 0);
  }
  ~Peer() { kill_now(); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  void kill_now() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
};

class DpdkPortTest : public testing::Test {
 protected:
  DpdkPortTest() {
    std::string pattern = "/tmp/millrace-port-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    auto env = DpdkEnv::start({.huge_pages = HugePages::never, .memory_mib = 128});
    EXPECT_TRUE(env.has_value()) << env.error().message();
    env_ = *env;
  }
  ~DpdkPortTest() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<EthDevice> open(const std::string& text) {
    const auto spec = parse_port_spec(text);
    EXPECT_TRUE(spec.has_value()) << spec.error().message();
    auto device = EthDevice::open(*env_, *spec);
    EXPECT_TRUE(device.has_value()) << device.error().message();
    return device ? std::move(*device) : nullptr;
  }
  std::string socket_path() const { return directory_ + "/memif.sock"; }

  static void send(DpdkPort& port, std::string_view text) {
    std::array<TxFrame, 1> frames;
    ASSERT_EQ(port.allocate_frames(frames), 1U);
    ASSERT_GE(frames[0].capacity, text.size());
    std::memcpy(frames[0].data, text.data(), text.size());
    frames[0].bytes = static_cast<std::uint32_t>(text.size());
    port.send_frames(frames);
  }
  static std::vector<std::string> receive_burst(DpdkPort& port) {
    std::array<RxFrame, burst_max> frames;
    const auto got = port.receive_frames(frames);
    std::vector<std::string> texts;
    for (std::uint32_t i = 0; i < got; ++i) {
      texts.emplace_back(reinterpret_cast<const char*>(frames[i].data), frames[i].bytes);
    }
    port.release_frames({frames.data(), got});
    if (got == 0) sched_yield();
    return texts;
  }
  // Sends `text` until it has come back: a frame sent before the peer is there is refused.
  static bool echoes(DpdkPort& port, const std::string& text) {
    for (Patience patience; patience.left();) {
      send(port, text);
      for (int turn = 0; turn < 100; ++turn) {
        for (const auto& got : receive_burst(port)) {
          if (got == text) return true;
        }
      }
    }
    return false;
  }
  std::string directory_;
  DpdkEnv* env_ = nullptr;
};

TEST_F(DpdkPortTest, a_memif_server_outlives_peers_that_are_killed_while_frames_flow) {
  auto device = open("memif:socket=" + socket_path() + ",role=server");
  ASSERT_NE(device, nullptr);
  for (int round = 0; round < 3; ++round) {
    Peer peer("memif:socket=" + socket_path() + ",role=client");
    ASSERT_TRUE(echoes(device->port(), "round " + std::to_string(round)));
    for (int i = 0; i < 2000; ++i) {
      if (i == 1000) peer.kill_now();
      send(device->port(), "flow");
      receive_burst(device->port());
    }
  }
  EXPECT_EQ(device->port().path(), "dpdk net_memif (socket " + socket_path() + ")");
}

TEST_F(DpdkPortTest, a_memif_client_finds_its_server_late_and_again_after_it_was_killed) {
  auto device = open("memif:socket=" + socket_path() + ",role=client");
  ASSERT_NE(device, nullptr);
  EXPECT_FALSE(device->port().link_up());
  send(device->port(), "nobody there");
  EXPECT_EQ(device->port().counters().tx_refused.get(), 1U);
  for (int round = 0; round < 3; ++round) {
    Peer peer("memif:socket=" + socket_path() + ",role=server");
    ASSERT_TRUE(echoes(device->port(), "round " + std::to_string(round)));
    EXPECT_TRUE(device->port().link_up());
    for (int i = 0; i < 2000; ++i) {
      if (i == 1000) peer.kill_now();
      send(device->port(), "flow");
      receive_burst(device->port());
    }
  }
}

TEST_F(DpdkPortTest, jumbo_frames_pass_through_memif_when_its_buffers_are_large) {
  auto device = open("memif:socket=" + socket_path() + ",bsize=9216");
  ASSERT_NE(device, nullptr);
  EXPECT_EQ(device->port().payload_bytes_max(), 9216U - 42);
  Peer peer("memif:socket=" + socket_path() + ",role=client,bsize=9216");
  std::string jumbo(9216, 'j');
  jumbo.back() = 'e';
  EXPECT_TRUE(echoes(device->port(), jumbo));
}

TEST_F(DpdkPortTest, what_nobody_takes_is_refused_counted_and_its_buffer_freed) {
  auto device = open("memif:socket=" + socket_path());
  ASSERT_NE(device, nullptr);
  EXPECT_FALSE(device->port().link_up());
  constexpr std::uint64_t more_than_the_pool = 20'000;
  for (std::uint64_t i = 0; i < more_than_the_pool; ++i) send(device->port(), "nobody");
  EXPECT_EQ(device->port().counters().tx_refused.get(), more_than_the_pool);
  EXPECT_EQ(device->port().counters().tx_packets.get(), 0U);
}

TEST_F(DpdkPortTest, transmit_frames_run_out_and_come_back_when_discarded) {
  auto device = open("memif:socket=" + socket_path());
  ASSERT_NE(device, nullptr);
  std::vector<TxFrame> taken;
  while (true) {
    std::array<TxFrame, burst_max> frames;
    const auto got = device->port().allocate_frames(frames);
    if (got == 0) break;
    taken.insert(taken.end(), frames.begin(), frames.begin() + got);
    ASSERT_LT(taken.size(), 100'000U);
  }
  EXPECT_GT(taken.size(), 1024U);
  device->port().discard_frames(taken);
  std::array<TxFrame, burst_max> frames;
  EXPECT_EQ(device->port().allocate_frames(frames), burst_max);
  device->port().discard_frames(frames);
}

TEST_F(DpdkPortTest, a_killed_servers_socket_is_cleared_and_a_living_ones_is_not) {
  {
    Peer peer("memif:socket=" + socket_path() + ",role=server");
    for (Patience patience; patience.left() && !std::filesystem::exists(socket_path());) {
      sched_yield();
    }
  }
  ASSERT_TRUE(std::filesystem::exists(socket_path()));
  auto device = open("memif:socket=" + socket_path());
  ASSERT_NE(device, nullptr);
  const auto second = EthDevice::open(*env_, *parse_port_spec("memif:socket=" + socket_path()));
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code(), base::ErrorCode::already_exists);
  EXPECT_NE(second.error().message().find("it answers"), std::string_view::npos);
}

TEST_F(DpdkPortTest, a_memif_server_outlives_callers_that_hang_up_at_once) {
  auto device = open("memif:socket=" + socket_path());
  ASSERT_NE(device, nullptr);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socket_path().copy(address.sun_path, sizeof address.sun_path - 1);
  for (int i = 0; i < 200; ++i) {
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    close(fd);
  }
  Peer peer("memif:socket=" + socket_path() + ",role=client");
  EXPECT_TRUE(echoes(device->port(), "still here"));
}

TEST_F(DpdkPortTest, devices_open_and_close_many_times_without_using_memory_up) {
  for (int i = 0; i < 20; ++i) {
    auto device = open("memif:socket=" + socket_path());
    ASSERT_NE(device, nullptr);
    auto null = open("null:");
    ASSERT_NE(null, nullptr);
  }
}

TEST_F(DpdkPortTest, the_null_device_gives_and_takes_all) {
  auto device = open("null:");
  ASSERT_NE(device, nullptr);
  std::size_t got = 0;
  for (Patience patience; patience.left() && got == 0;) got = receive_burst(device->port()).size();
  EXPECT_EQ(got, burst_max);
  for (int i = 0; i < 10; ++i) send(device->port(), "gone");
  EXPECT_EQ(device->port().counters().tx_packets.get(), 10U);
  EXPECT_EQ(device->port().counters().tx_refused.get(), 0U);
  EXPECT_EQ(device->port().path(), "dpdk net_null");
}

void put32(std::ofstream& file, std::uint32_t value) {
  file.write(reinterpret_cast<const char*>(&value), sizeof value);
}

TEST_F(DpdkPortTest, a_capture_is_replayed_in_order) {
  const std::string capture = directory_ + "/in.pcap";
  {
    std::ofstream file(capture, std::ios::binary);  // libpcap's classic format, Ethernet frames
    for (const std::uint32_t word : {0xa1b2c3d4U, 0x00040002U, 0U, 0U, 65535U, 1U}) {
      put32(file, word);
    }
    for (char frame = 'a'; frame < 'd'; ++frame) {
      for (const std::uint32_t word : {0U, 0U, 60U, 60U}) put32(file, word);
      file << std::string(60, frame);
    }
  }
  auto device = open("pcap:rx=" + capture + ",ip=10.0.0.1");
  ASSERT_NE(device, nullptr);
  std::vector<std::string> got;
  for (Patience patience; patience.left() && got.size() < 3;) {
    for (auto& text : receive_burst(device->port())) got.push_back(std::move(text));
  }
  EXPECT_EQ(got, (std::vector<std::string>{std::string(60, 'a'), std::string(60, 'b'),
                                           std::string(60, 'c')}));
}

TEST_F(DpdkPortTest, dpdk_comes_up_once_and_later_calls_get_the_same) {
  auto again = DpdkEnv::start({.huge_pages = HugePages::required, .memory_mib = 1 << 20});
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(*again, env_);
  EXPECT_FALSE(env_->uses_huge_pages());
  EXPECT_EQ(env_->memory_note(), "ordinary pages (as configured)");
}

}  // namespace
}  // namespace millrace::port

#include "dataplane/port/dpdk_port.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
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
constexpr std::uint64_t patience_ns = 20 * base::second_ns;

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
  static void drain(DpdkPort& port) {
    for (int quiet = 0; quiet < 1000;) quiet = receive_burst(port).empty() ? quiet + 1 : 0;
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

}  // namespace
}  // namespace millrace::port

// A DPDK port on one end of a veth pair, the kernel's own network stack on the other.
#include "dataplane/port/eth_device.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "dataplane/base/clock.h"
#include "dataplane/base/units.h"
#include "dataplane/net/checksum.h"
#include "dataplane/net/write.h"

// Under a leak sanitizer: libxdp keeps 80 bytes of each AF_XDP socket's memory area.
extern "C" const char* __lsan_default_suppressions() { return "leak:xsk_umem__create\n"; }

namespace millrace::port {
namespace {

constexpr std::uint64_t patience_ns = 100 * base::second_ns;
constexpr std::uint32_t ours = 0x0a4d0001;  // 10.77.0.1
constexpr std::uint16_t udp_port = 7070;

// What a core does with each frame: answers ARP, ping, and UDP with the same payload.
void serve_turn(DpdkPort& port) {
  const net::Identity identity{.mac = port.mac(), .ipv4 = port.ipv4()};
  std::array<RxFrame, burst_max> in;
  const auto got = port.receive_frames(in);
  for (std::uint32_t i = 0; i < got; ++i) {
    const auto parsed = net::parse_frame({in[i].data, in[i].bytes}, identity, in[i].checksum_good);
    std::array<TxFrame, 1> out;
    if (parsed.kind == net::FrameKind::dropped || port.allocate_frames(out) == 0) continue;
    if (parsed.kind == net::FrameKind::arp_request) {
      out[0].bytes = net::write_arp_reply(out[0].data, identity, parsed.peer);
    } else if (parsed.kind == net::FrameKind::icmp_echo) {
      out[0].bytes = net::write_icmp_echo_reply({out[0].data, out[0].capacity}, identity,
                                                parsed.peer, parsed.payload);
    } else if (parsed.kind == net::FrameKind::udp && parsed.local_port == udp_port) {
      const auto bytes = static_cast<std::uint32_t>(parsed.payload.size());
      std::memcpy(out[0].data + net::udp_headers_bytes, parsed.payload.data(), bytes);
      out[0].bytes =
          net::write_udp_headers(out[0].data, identity, parsed.peer, parsed.local_port, bytes);
    }
    if (out[0].bytes == 0) {
      port.discard_frames(out);
    } else {
      port.send_frames(out);
    }
  }
  port.release_frames({in.data(), got});
}

// Sends `request` from a kernel socket until `is_answer` holds for something that came back.
template <typename IsAnswer>
bool asks(DpdkPort& port, int fd, std::string_view request, IsAnswer is_answer) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(udp_port);
  to.sin_addr.s_addr = htonl(ours);
  base::SystemClock clock;
  const std::uint64_t start_ns = clock.monotonic_ns();
  for (std::uint32_t turn = 0; clock.monotonic_ns() - start_ns < patience_ns; ++turn) {
    if (turn % 2000 == 0) {
      sendto(fd, request.data(), request.size(), MSG_DONTWAIT,
             reinterpret_cast<const sockaddr*>(&to), sizeof to);
    }
    serve_turn(port);
    std::array<char, 2048> answer;
    const ssize_t bytes = recv(fd, answer.data(), answer.size(), MSG_DONTWAIT);
    if (bytes > 0 && is_answer(std::string_view(answer.data(), static_cast<std::size_t>(bytes)))) {
      return true;
    }
    if (bytes <= 0) sched_yield();
  }
  return false;
}

std::string ping_request() {
  std::array<std::byte, 40> message{};
  message[0] = std::byte{net::icmp_echo_request};
  message[4] = std::byte{0x4d};
  message[39] = std::byte{0x55};
  const std::uint16_t checksum = net::internet_checksum(message);
  message[2] = static_cast<std::byte>(checksum >> 8);
  message[3] = static_cast<std::byte>(checksum & 0xff);
  return {reinterpret_cast<const char*>(message.data()), message.size()};
}

// Runs in a thread, and a network namespace, of its own. What keeps the test from running, or "".
std::string serve_the_kernel() {
  if (unshare(CLONE_NEWNET) != 0) return "no permission for a network namespace";
  if (std::system("ip link add v0 type veth peer name v1 2>/dev/null && ip link set v0 up && "
                  "ip addr add 10.77.0.2/24 dev v1 && ip link set v1 up") != 0) {
    return "no veth pair can be made here";
  }
  auto env = DpdkEnv::start({.huge_pages = HugePages::never, .memory_mib = 128});
  EXPECT_TRUE(env.has_value()) << env.error().message();
  if (!env) return "";
  EXPECT_TRUE((*env)->register_thread().has_value());
  {
    auto device = EthDevice::open(**env, *parse_port_spec("af_xdp:iface=v0,ip=10.77.0.1"));
    EXPECT_TRUE(device.has_value()) << device.error().message();
    if (!device) return "";
    DpdkPort& port = (*device)->port();
    EXPECT_EQ(port.path(), "dpdk net_af_xdp (interface v0)");
    EXPECT_EQ(port.payload_bytes_max(), 1472U);

    const int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (const std::string& text : {std::string("hello"), std::string(1472, 'x')}) {
      EXPECT_TRUE(asks(port, udp, text, [&](std::string_view got) { return got == text; }));
    }
    close(udp);
    const int raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    const std::string ping = ping_request();
    EXPECT_TRUE(asks(port, raw, ping, [&](std::string_view got) {  // with its IPv4 header
      return got.size() == 20 + ping.size() && got[20] == 0 && got.substr(24) == ping.substr(4);
    }));
    close(raw);
  }
  (*env)->unregister_thread();
  return "";
}

TEST(AfXdp, the_kernel_at_the_other_end_of_a_veth_resolves_pings_and_talks_udp_both_ways) {
  std::string obstacle;
  std::thread([&] { obstacle = serve_the_kernel(); }).join();
  if (!obstacle.empty()) GTEST_SKIP() << obstacle;
}

}  // namespace
}  // namespace millrace::port

// The whole library, C++ layer and C ABI included, over the kernel's loopback.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/client/millrace.hpp"
#include "tests/dataplane/client/scripted_node.h"

namespace millrace::client {
namespace {

// A scripted node behind a socket, served between two polls of the client.
class SocketNode {
 public:
  SocketNode() : node([this](PacketBytes packet) { send(packet); }) {
    fd_ = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    socklen_t bytes = sizeof address;
    CHECK(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &bytes) == 0);
    udp_port_ = ntohs(address.sin_port);
  }
  ~SocketNode() { close(fd_); }

  std::string address() const { return "127.0.0.1:" + std::to_string(udp_port_); }
  void serve() {
    PacketBytes packet(65'536);
    for (;;) {
      socklen_t bytes = sizeof client_;
      const ssize_t got = recvfrom(fd_, packet.data(), packet.size(), 0,
                                   reinterpret_cast<sockaddr*>(&client_), &bytes);
      if (got < 0) break;
      node.receive(PacketBytes(packet.begin(), packet.begin() + got), clock_.monotonic_ns());
    }
    node.poll(clock_.monotonic_ns());
  }

 private:
  void send(const PacketBytes& packet) {
    sendto(fd_, packet.data(), packet.size(), 0, reinterpret_cast<const sockaddr*>(&client_),
           sizeof client_);
  }

  int fd_ = -1;
  std::uint16_t udp_port_ = 0;
  sockaddr_in client_{};
  base::SystemClock clock_;

 public:
  ScriptedNode node;
};

TEST(KernelUdp, carries_records_to_the_node_and_back) {
  SocketNode server;
  auto client = millrace::Client::connect(server.address());
  ASSERT_TRUE(client) << client.error();
  EXPECT_EQ(client->path().substr(0, 10), "kernel-udp");
  auto producer = client->open_producer("t");
  auto subscription = client->subscribe("t", 0, MR_FROM_EARLIEST);
  ASSERT_TRUE(producer && subscription);

  constexpr int count = 5'000;
  int offered = 0;
  std::vector<std::string> seen;
  mr_acks acks{};
  // Each turn moves at least the node, so the bound is on turns, not on time.
  for (int turns = 0; turns < 200'000 && (seen.size() < count || acks.durable < count); ++turns) {
    while (offered < count && producer->offer("k", "record " + std::to_string(offered)) >= 0)
      ++offered;
    client->poll([&](const RecordView& record) { seen.emplace_back(record.value()); });
    server.serve();
    producer->poll_acks(acks);
    client->wait(100);
  }
  ASSERT_EQ(seen.size(), static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i)
    ASSERT_EQ(seen[static_cast<std::size_t>(i)], "record " + std::to_string(i));
  EXPECT_EQ(acks.durable, count);
  EXPECT_EQ(client->status(), MR_OK);
  EXPECT_EQ(subscription->status(), MR_OK);
}

}  // namespace
}  // namespace millrace::client

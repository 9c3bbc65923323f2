#include "dataplane/port/kernel_udp_port.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "dataplane/base/units.h"

namespace millrace::port {
namespace {

constexpr std::uint32_t loopback = 0x7f000001;
constexpr std::uint32_t turns_max = 2000;

// The kernel's own view of the other side: a plain blocking socket on loopback.
class PlainSocket {
 public:
  PlainSocket() {
    fd_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const timeval limit{.tv_sec = 5, .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    sockaddr_in address = at(0);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    socklen_t bytes = sizeof address;
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &bytes);
    udp_port_ = ntohs(address.sin_port);
  }
  ~PlainSocket() { close(fd_); }
  PlainSocket(const PlainSocket&) = delete;
  PlainSocket& operator=(const PlainSocket&) = delete;

  void send(std::uint16_t to_port, std::string_view text) {
    sockaddr_in to = at(to_port);
    EXPECT_EQ(sendto(fd_, text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to),
              static_cast<ssize_t>(text.size()));
  }
  std::string receive(std::uint16_t* from_port = nullptr) {
    std::string text(65536, '\0');
    sockaddr_in from{};
    socklen_t bytes = sizeof from;
    const ssize_t got =
        recvfrom(fd_, text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&from), &bytes);
    EXPECT_GE(got, 0) << std::strerror(errno);
    text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    if (from_port != nullptr) *from_port = ntohs(from.sin_port);
    return text;
  }
  std::uint16_t udp_port() const { return udp_port_; }

 private:
  static sockaddr_in at(std::uint16_t udp_port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(udp_port);
    address.sin_addr.s_addr = htonl(loopback);
    return address;
  }
  int fd_ = -1;
  std::uint16_t udp_port_ = 0;
};

class KernelUdpPortTest : public testing::Test {
 protected:
  KernelUdpPortTest() {
    auto uring = base::Uring::create(256);
    EXPECT_TRUE(uring.has_value()) << uring.error().message();
    uring_ = std::move(*uring);
  }

  std::unique_ptr<KernelUdpPort> open(KernelUdpOptions options = {}) {
    options.ipv4 = loopback;
    if (options.local_ports.empty()) options.local_ports = {0};
    auto port = KernelUdpPort::create(*uring_, options);
    EXPECT_TRUE(port.has_value()) << port.error().message();
    return std::move(*port);
  }

  // Receives `count` payloads, in turns like a core's: burst in, release, wait when idle.
  std::vector<std::string> receive(KernelUdpPort& port, std::size_t count) {
    std::vector<std::string> texts;
    for (std::uint32_t turn = 0; turn < turns_max && texts.size() < count; ++turn) {
      std::array<RxFrame, burst_max> frames;
      const std::uint32_t got = port.receive_frames(frames);
      for (std::uint32_t i = 0; i < got; ++i) {
        last_ = frames[i];
        texts.emplace_back(reinterpret_cast<const char*>(frames[i].data), frames[i].bytes);
      }
      port.release_frames({frames.data(), got});
      if (got == 0) uring_->wait(5 * base::ms_ns, 64);
    }
    return texts;
  }

  void send(KernelUdpPort& port, std::uint16_t to_port, std::string_view text,
            std::uint16_t from_port = 0) {
    std::array<TxFrame, 1> frames;
    ASSERT_EQ(port.allocate_frames(frames), 1U);
    ASSERT_GE(frames[0].capacity, text.size());
    std::memcpy(frames[0].data, text.data(), text.size());
    frames[0].bytes = static_cast<std::uint32_t>(text.size());
    frames[0].local_port = from_port;
    frames[0].to.ipv4 = loopback;
    frames[0].to.udp_port = to_port;
    port.send_frames(frames);
  }

  std::unique_ptr<base::Uring> uring_;
  RxFrame last_;
};

TEST_F(KernelUdpPortTest, a_datagram_comes_in_with_its_sender_and_an_answer_goes_out) {
  auto port = open();
  PlainSocket peer;
  peer.send(port->local_port(), "ping");
  ASSERT_EQ(receive(*port, 1), std::vector<std::string>{"ping"});
  EXPECT_EQ(last_.peer.ipv4, loopback);
  EXPECT_EQ(last_.peer.udp_port, peer.udp_port());
  EXPECT_EQ(last_.local_port, port->local_port());

  send(*port, last_.peer.udp_port, "pong");
  std::uint16_t from = 0;
  EXPECT_EQ(peer.receive(&from), "pong");
  EXPECT_EQ(from, port->local_port());
  EXPECT_EQ(port->counters().rx_packets.get(), 1U);
  EXPECT_EQ(port->counters().rx_bytes.get(), 4U);
}

TEST_F(KernelUdpPortTest, each_of_several_ports_is_heard_and_answers_from_its_own) {
  auto port = open({.local_ports = {0, 0}});
  ASSERT_NE(port->local_port(0), port->local_port(1));
  PlainSocket peer;
  for (std::size_t i = 0; i < 2; ++i) {
    peer.send(port->local_port(i), "to " + std::to_string(i));
    ASSERT_EQ(receive(*port, 1), std::vector<std::string>{"to " + std::to_string(i)});
    EXPECT_EQ(last_.local_port, port->local_port(i));
    send(*port, peer.udp_port(), "back", port->local_port(i));
    std::uint16_t from = 0;
    EXPECT_EQ(peer.receive(&from), "back");
    EXPECT_EQ(from, port->local_port(i));
  }
}

TEST_F(KernelUdpPortTest, order_is_kept_while_the_buffers_wrap_many_times) {
  auto port = open({.rx_frames = 8});
  PlainSocket peer;
  std::vector<std::string> sent;
  std::vector<std::string> received;
  for (int round = 0; round < 40; ++round) {
    for (int i = 0; i < 20; ++i) {  // more than the buffers: the multishot ends and is armed again
      sent.push_back(std::to_string(round) + "/" + std::to_string(i));
      peer.send(port->local_port(), sent.back());
    }
    for (auto& text : receive(*port, 20)) received.push_back(std::move(text));
  }
  EXPECT_EQ(received, sent);
}

TEST_F(KernelUdpPortTest, frames_held_unreleased_leave_later_packets_waiting_and_lose_none) {
  auto port = open({.rx_frames = 4});
  PlainSocket peer;
  for (int i = 0; i < 10; ++i) peer.send(port->local_port(), std::to_string(i));
  std::array<RxFrame, burst_max> held;
  std::uint32_t held_count = 0;
  for (std::uint32_t turn = 0; turn < turns_max && held_count < 4; ++turn) {
    held_count += port->receive_frames(std::span(held).subspan(held_count));
    if (held_count < 4) uring_->wait(base::ms_ns, 64);
  }
  ASSERT_EQ(held_count, 4U);
  std::array<RxFrame, burst_max> none;
  uring_->wait(base::ms_ns, 64);
  EXPECT_EQ(port->receive_frames(none), 0U);
  port->release_frames({held.data(), held_count});
  EXPECT_EQ(receive(*port, 6), (std::vector<std::string>{"4", "5", "6", "7", "8", "9"}));
  port->refresh_counters();
  EXPECT_EQ(port->counters().rx_missed.get(), 0U);
}

TEST_F(KernelUdpPortTest, what_the_socket_overflows_is_counted_as_missed) {
  auto port = open({.rx_frames = 4, .socket_buffer_bytes = 4096});
  PlainSocket peer;
  constexpr int sent = 400;
  for (int i = 0; i < sent; ++i) peer.send(port->local_port(), std::string(1000, 'x'));
  std::size_t received = 0;
  for (std::size_t got = 1; got != 0;) {
    std::array<RxFrame, burst_max> frames;
    uring_->wait(20 * base::ms_ns, 64);
    got = port->receive_frames(frames);
    received += got;
    port->release_frames({frames.data(), got});
  }
  port->refresh_counters();
  EXPECT_LT(received, static_cast<std::size_t>(sent));
  EXPECT_EQ(received + port->counters().rx_missed.get(), static_cast<std::size_t>(sent));
  port->refresh_counters();
  EXPECT_EQ(received + port->counters().rx_missed.get(), static_cast<std::size_t>(sent));
}

TEST_F(KernelUdpPortTest, a_packet_over_the_maximum_is_counted_broken_and_the_next_comes_whole) {
  auto port = open({.payload_bytes_max = 100});
  PlainSocket peer;
  peer.send(port->local_port(), std::string(101, 'a'));
  peer.send(port->local_port(), std::string(100, 'b'));
  EXPECT_EQ(receive(*port, 1), std::vector<std::string>{std::string(100, 'b')});
  EXPECT_EQ(port->counters().rx_errors.get(), 1U);
  EXPECT_EQ(port->counters().rx_packets.get(), 1U);
}

TEST_F(KernelUdpPortTest, jumbo_payloads_and_empty_ones_pass_both_ways) {
  auto port = open({.payload_bytes_max = 8952, .rx_frames = 64, .tx_frames = 64});
  PlainSocket peer;
  const std::string jumbo(8952, 'j');
  peer.send(port->local_port(), jumbo);
  peer.send(port->local_port(), "");
  EXPECT_EQ(receive(*port, 2), (std::vector<std::string>{jumbo, ""}));
  send(*port, peer.udp_port(), jumbo);
  send(*port, peer.udp_port(), "");
  EXPECT_EQ(peer.receive(), jumbo);
  EXPECT_EQ(peer.receive(), "");
}

TEST_F(KernelUdpPortTest, transmit_frames_run_out_and_come_back_when_sent_or_discarded) {
  auto port = open({.tx_frames = 8});
  PlainSocket peer;
  std::array<TxFrame, 16> frames;
  ASSERT_EQ(port->allocate_frames(frames), 8U);
  EXPECT_EQ(port->allocate_frames(std::span(frames).subspan(8)), 0U);
  port->discard_frames({frames.data(), 4});
  for (int i = 0; i < 4; ++i) {
    frames[4 + i].bytes = 1;
    frames[4 + i].data[0] = static_cast<std::byte>('0' + i);
    frames[4 + i].to = {.ipv4 = loopback, .udp_port = peer.udp_port()};
  }
  port->send_frames({frames.data() + 4, 4});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(peer.receive(), std::string(1, static_cast<char>('0' + i)));
  EXPECT_EQ(port->allocate_frames(frames), 8U);
  EXPECT_EQ(port->counters().tx_packets.get(), 4U);
  EXPECT_EQ(port->counters().tx_bytes.get(), 4U);
}

TEST_F(KernelUdpPortTest, what_the_kernel_refuses_to_send_is_counted_and_its_frame_freed) {
  auto port = open({.payload_bytes_max = 100, .tx_frames = 1});
  for (int i = 0; i < 3; ++i) send(*port, 0, "nowhere");  // UDP port 0 is no destination
  std::array<TxFrame, 1> frames;
  EXPECT_EQ(port->allocate_frames(frames), 1U);
  EXPECT_EQ(port->counters().tx_refused.get(), 3U);
  EXPECT_EQ(port->counters().tx_packets.get(), 0U);
}

TEST_F(KernelUdpPortTest, two_ports_share_one_uring_without_mixing_their_buffers) {
  auto server = open();
  auto client =
      open({.connect_to = base::Endpoint{.ipv4 = loopback, .udp_port = server->local_port()}});
  send(*client, server->local_port(), "question");
  EXPECT_EQ(receive(*server, 1), std::vector<std::string>{"question"});
  EXPECT_EQ(last_.peer.udp_port, client->local_port());
  send(*server, client->local_port(), "answer");
  EXPECT_EQ(receive(*client, 1), std::vector<std::string>{"answer"});
}

TEST_F(KernelUdpPortTest, a_connected_client_outlives_a_server_that_is_not_there) {
  std::uint16_t server_port = 0;
  {
    PlainSocket gone;
    server_port = gone.udp_port();
  }
  auto client = open({.connect_to = base::Endpoint{.ipv4 = loopback, .udp_port = server_port}});
  for (int i = 0; i < 3; ++i) {
    send(*client, server_port, "anyone?");
    std::array<RxFrame, burst_max> frames;
    uring_->wait(base::ms_ns, 64);
    EXPECT_EQ(client->receive_frames(frames), 0U);
  }
  auto server = open({.local_ports = {server_port}});
  // The refusal of an earlier packet is reported on the first send after it.
  send(*client, server_port, "again");
  send(*client, server_port, "and again");
  EXPECT_FALSE(receive(*server, 1).empty());
  send(*server, client->local_port(), "here");
  EXPECT_EQ(receive(*client, 1), std::vector<std::string>{"here"});
}

TEST_F(KernelUdpPortTest, a_port_in_use_is_an_error_that_names_it_and_the_fix) {
  auto first = open();
  auto second =
      KernelUdpPort::create(*uring_, {.ipv4 = loopback, .local_ports = {first->local_port()}});
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code(), base::ErrorCode::already_exists);
  const std::string message(second.error().message());
  EXPECT_NE(message.find("127.0.0.1:" + std::to_string(first->local_port())), std::string::npos);
  EXPECT_NE(message.find("--port-offset"), std::string::npos);
}

TEST_F(KernelUdpPortTest, a_port_that_its_last_owner_is_about_to_leave_is_waited_for) {
  const int owner = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(loopback);
  socklen_t bytes = sizeof address;
  ASSERT_EQ(bind(owner, reinterpret_cast<sockaddr*>(&address), bytes), 0);
  ASSERT_EQ(getsockname(owner, reinterpret_cast<sockaddr*>(&address), &bytes), 0);
  std::thread leaves([owner] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    close(owner);
  });
  const auto port =
      KernelUdpPort::create(*uring_, {.ipv4 = loopback, .local_ports = {ntohs(address.sin_port)}});
  leaves.join();
  EXPECT_TRUE(port.has_value());
}

TEST_F(KernelUdpPortTest, an_address_of_another_host_is_an_error_that_says_so) {
  auto port = KernelUdpPort::create(*uring_, {.ipv4 = 0xc0000201, .local_ports = {0}});
  ASSERT_FALSE(port.has_value());
  EXPECT_EQ(port.error().code(), base::ErrorCode::not_found);
}

TEST_F(KernelUdpPortTest, cores_may_share_a_udp_port_when_both_ask_to) {
  auto first = open({.reuse_port = true});
  auto second = open({.local_ports = {first->local_port()}, .reuse_port = true});
  EXPECT_EQ(first->local_port(), second->local_port());
}

TEST_F(KernelUdpPortTest, closing_with_packets_waiting_and_sends_in_flight_frees_the_uring) {
  PlainSocket peer;
  for (int round = 0; round < 5; ++round) {
    auto port = open({.rx_frames = 16, .tx_frames = 16});
    for (int i = 0; i < 40; ++i) peer.send(port->local_port(), "unread");
    for (int i = 0; i < 8; ++i) send(*port, peer.udp_port(), "unreaped");
    port.reset();
    EXPECT_EQ(uring_->reap(64), 0U);
  }
}

TEST_F(KernelUdpPortTest, it_says_what_it_is) {
  auto port = open();
  EXPECT_EQ(port->path(), "kernel-udp 127.0.0.1:" + std::to_string(port->local_port()));
  EXPECT_EQ(port->framing(), Framing::datagram);
  EXPECT_EQ(port->payload_bytes_max(), 1472U);
  EXPECT_TRUE(port->wakes_uring());
  EXPECT_GE(port->receive_descriptors(), 1U);
  EXPECT_LE(port->receive_descriptors(), port->socket_buffer_bytes());
}

}  // namespace
}  // namespace millrace::port

// FakeServer: the other end of a driver's connections, scripted: what it sent is compared, what it
// gets is given. SeenEvents: what a driver told. ServedDriver: all of them together.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include "perf/loadgen/drivers/driver.h"

namespace millrace::loadgen {

constexpr std::string_view payload = "sixteen bytes or";

using Delivery = std::pair<std::uint32_t, std::string>;

class SeenEvents final : public Events {
 public:
  void acknowledged(std::uint64_t number) override { acknowledged_numbers.push_back(number); }
  void delivered(std::uint32_t source, std::span<const std::byte> payload) override {
    deliveries.emplace_back(
        source, std::string(reinterpret_cast<const char*>(payload.data()), payload.size()));
  }

  std::vector<std::uint64_t> acknowledged_numbers;
  std::vector<Delivery> deliveries;
};

inline std::string error_of(std::future<base::Result<void>>& prepared) {
  const base::Result<void> result = prepared.get();
  return result ? "" : std::string(result.error().message());
}

class FakeServer {
 public:
  FakeServer() : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    // What does not come is a failed test, not one that hangs.
    set_wait(fd_);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
    EXPECT_EQ(::listen(fd_, 64), 0);
    socklen_t bytes = sizeof at;
    EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &bytes), 0);
    port_ = ntohs(at.sin_port);
  }
  ~FakeServer() {
    for (const int fd : connections_) ::close(fd);
    ::close(fd_);
  }
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  // The next of the driver's connections, in the order it made them.
  int accept() {
    connections_.push_back(::accept(fd_, nullptr, nullptr));
    set_wait(connections_.back());
    return connections_.back();
  }
  // While the driver is being prepared: this is what it sends there next.
  void expect(int connection, std::string_view wanted) {
    std::string got(wanted.size(), '\0');
    const ssize_t count = ::recv(connection, got.data(), got.size(), MSG_WAITALL);
    got.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    EXPECT_EQ(got, wanted);
  }
  void send(int connection, std::string_view bytes) {
    EXPECT_EQ(::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  void hang_up() {
    for (const int fd : connections_) ::shutdown(fd, SHUT_RDWR);
  }

 private:
  static void set_wait(int fd) {
    const timeval wait{.tv_sec = 20, .tv_usec = 0};
    EXPECT_EQ(::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait), 0);
  }

  int fd_;
  int port_ = 0;
  std::vector<int> connections_;
};

// A driver and the server it speaks to. Where it is polled, what it told is seen.
template <typename DriverType>
class ServedDriver {
 public:
  template <typename... Options>
  explicit ServedDriver(Options... options) : driver(server.address(), options...) {}
  // Else a driver that takes away what it made would wait for an answer.
  ~ServedDriver() { server.hang_up(); }

  // On a thread of its own, for the server that the driver waits for is in the test.
  std::future<base::Result<void>> prepare(const Workload& workload) {
    return std::async(std::launch::async, [this, workload] { return driver.prepare(workload); });
  }
  // Polls until this is what the driver has sent there, and nothing else.
  void expect(int connection, std::string_view wanted) {
    std::string got;
    for (int i = 0; i < polls_max && got.size() < wanted.size(); ++i) {
      ASSERT_TRUE(driver.poll(seen));
      std::array<char, 4096> buffer;
      const ssize_t count = ::recv(connection, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (count > 0) got.append(buffer.data(), static_cast<std::size_t>(count));
    }
    EXPECT_EQ(got, wanted);
  }
  // Each byte comes by itself.
  void send_in_pieces(int connection, std::string_view bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      server.send(connection, bytes.substr(i, 1));
      ASSERT_TRUE(driver.poll(seen));
    }
  }
  // Polls until the driver has told of so much.
  void poll_until(std::size_t acknowledged, std::size_t delivered) {
    for (int i = 0; i < polls_max && (seen.acknowledged_numbers.size() < acknowledged ||
                                      seen.deliveries.size() < delivered);
         ++i) {
      ASSERT_TRUE(driver.poll(seen));
    }
    EXPECT_EQ(seen.acknowledged_numbers.size(), acknowledged);
    EXPECT_EQ(seen.deliveries.size(), delivered);
  }
  // What poll fails with once this has come; empty when it does not.
  std::string error_after(int connection, std::string_view bytes) {
    server.send(connection, bytes);
    for (int i = 0; i < polls_max; ++i) {
      if (const auto polled = driver.poll(seen); !polled) {
        return std::string(polled.error().message());
      }
    }
    return {};
  }

  FakeServer server;
  DriverType driver;
  SeenEvents seen;

 private:
  // Loopback is quick, but another process may have the processor.
  static constexpr int polls_max = 5'000'000;
};

}  // namespace millrace::loadgen

#include "perf/loadgen/drivers/tcp_stream.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <utility>

namespace millrace::loadgen {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr auto handshake_wait = std::chrono::seconds(10);

Error failed(std::string_view what) {
  return Error(ErrorCode::unavailable, "{}: {}", what, std::strerror(errno));
}

}  // namespace

Result<TcpStream> TcpStream::connect(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) {
    return Error(ErrorCode::invalid_argument, "'{}' has no port; it reads HOST:PORT", address);
  }
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int status = ::getaddrinfo(address.substr(0, colon).c_str(),
                                   address.substr(colon + 1).c_str(), &hints, &found);
  if (status != 0) {
    return Error(ErrorCode::invalid_argument, "{}: {}", address, ::gai_strerror(status));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> guard(found, ::freeaddrinfo);
  TcpStream stream(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (stream.fd_ < 0) return failed("socket");
  if (::connect(stream.fd_, found->ai_addr, found->ai_addrlen) != 0) return failed(address);
  const int one = 1;
  if (::setsockopt(stream.fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
      ::fcntl(stream.fd_, F_SETFL, O_NONBLOCK) != 0) {
    return failed(address);
  }
  return stream;
}

TcpStream::TcpStream(TcpStream&& other) noexcept { *this = std::move(other); }

TcpStream& TcpStream::operator=(TcpStream&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(out_, other.out_);
  std::swap(sent_, other.sent_);
  std::swap(in_, other.in_);
  std::swap(in_begin_, other.in_begin_);
  std::swap(in_end_, other.in_end_);
  return *this;
}

TcpStream::~TcpStream() {
  if (fd_ >= 0) ::close(fd_);
}

Result<void> TcpStream::pump() {
  if (auto sent = send_some(); !sent) return sent;
  return receive_some();
}

Result<void> TcpStream::send_some() {
  while (sent_ < out_.size()) {
    const ssize_t count = ::send(fd_, out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL);
    if (count < 0) {
      if (errno != EAGAIN && errno != EINTR) return failed("sending");
      if (sent_ >= out_bytes_max) out_.erase(0, std::exchange(sent_, 0));
      return {};
    }
    sent_ += static_cast<std::size_t>(count);
  }
  out_.clear();
  sent_ = 0;
  return {};
}

Result<void> TcpStream::receive_some() {
  if (in_.size() - in_end_ < read_bytes) {
    std::copy(in_.begin() + static_cast<std::ptrdiff_t>(in_begin_),
              in_.begin() + static_cast<std::ptrdiff_t>(in_end_), in_.begin());
    in_end_ -= std::exchange(in_begin_, 0);
    if (in_.size() - in_end_ < read_bytes) in_.resize(2 * in_.size() + 2 * read_bytes);
  }
  const ssize_t count = ::recv(fd_, in_.data() + in_end_, in_.size() - in_end_, 0);
  if (count == 0) return Error(ErrorCode::unavailable, "the peer closed the connection");
  if (count > 0) in_end_ += static_cast<std::size_t>(count);
  if (count < 0 && errno != EAGAIN && errno != EINTR) return failed("receiving");
  if (in_begin_ == in_end_) in_begin_ = in_end_ = 0;
  return {};
}

Result<void> TcpStream::wait_until(const std::function<bool()>& done, std::string_view what) {
  const auto give_up = std::chrono::steady_clock::now() + handshake_wait;
  while (!done()) {
    if (auto pumped = pump(); !pumped) return pumped;
    if (std::chrono::steady_clock::now() >= give_up) {
      return Error(ErrorCode::timeout, "{} did not come within {} s", what, handshake_wait.count());
    }
  }
  return {};
}

}  // namespace millrace::loadgen

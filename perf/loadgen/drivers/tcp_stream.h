// TcpStream: a TCP connection of a driver, read and written without waiting.
//
//   out().append(...) ... pump() ── in() ── take(n)
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/result.h"

namespace millrace::loadgen {

class TcpStream {
 public:
  // address: "HOST:PORT", an IPv4 address or a name. Waits for the connection.
  static base::Result<TcpStream> connect(const std::string& address);
  TcpStream(TcpStream&& other) noexcept;
  TcpStream& operator=(TcpStream&& other) noexcept;
  ~TcpStream();

  // What is to be sent; append to it.
  std::string& out() { return out_; }
  // More waits than the peer has taken for a while: offer no more.
  bool is_full() const { return out_.size() - sent_ > out_bytes_max; }
  // Sends what the socket takes and reads what has come. An error when the peer has gone.
  base::Result<void> pump();
  // What has come and was not taken; valid until the next pump().
  std::string_view in() const { return {in_.data() + in_begin_, in_end_ - in_begin_}; }
  void take(std::size_t bytes) { in_begin_ += bytes; }
  // Pumps until done() or for 10 s; for handshakes. what: for the error, "an answer to CONNECT".
  base::Result<void> wait_until(const std::function<bool()>& done, std::string_view what);

 private:
  static constexpr std::size_t out_bytes_max = 1 << 20;
  static constexpr std::size_t read_bytes = 256 << 10;

  explicit TcpStream(int fd) : fd_(fd) {}
  base::Result<void> send_some();
  base::Result<void> receive_some();

  int fd_ = -1;
  std::string out_;
  std::size_t sent_ = 0;  // of out_
  std::vector<char> in_;
  std::size_t in_begin_ = 0;
  std::size_t in_end_ = 0;
};

}  // namespace millrace::loadgen

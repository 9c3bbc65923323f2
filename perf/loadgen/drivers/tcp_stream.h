// TcpStream: a TCP connection of a driver, read and written without waiting.
//
//   out().append(...) ... pump() ── in() ── take(n)
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
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

// Pumps the stream, if the driver has it, and then takes what came.
template <typename Take>
base::Result<void> pump_and(std::optional<TcpStream>& stream, const Take& take) {
  if (!stream) return {};
  if (auto pumped = stream->pump(); !pumped) return pumped;
  return take();
}

// The next message; nothing: it is not all there. Its views hold until the stream is pumped.
// read: as bytes.h has it. malformed: the error where it says that this is no message.
template <typename Message>
base::Result<std::optional<Message>> take_message(TcpStream& stream,
                                                  std::int64_t (*read)(std::string_view, Message&),
                                                  std::string_view malformed) {
  Message message;
  const std::int64_t bytes = read(stream.in(), message);
  if (bytes < 0) return base::Error(base::ErrorCode::corrupt, "{}", malformed);
  if (bytes == 0) return std::optional<Message>();
  stream.take(static_cast<std::size_t>(bytes));
  return std::optional<Message>(message);
}

}  // namespace millrace::loadgen

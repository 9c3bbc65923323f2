#include "control/cli/line_reader.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace millrace::cli {

std::optional<std::string_view> LineReader::next() {
  const std::size_t at = buffer_.find(delimiter_, searched_);
  if (at == std::string::npos) {
    searched_ = buffer_.size();
    if (!ended_ || start_ == buffer_.size()) return std::nullopt;
    const std::string_view last(buffer_.data() + start_, buffer_.size() - start_);
    start_ = buffer_.size();
    return last;
  }
  const std::string_view line(buffer_.data() + start_, at - start_);
  start_ = searched_ = at + 1;
  return line;
}

bool LineReader::fill(int wait_ms) {
  if (ended_) return false;
  pollfd waited{fd_, POLLIN, 0};
  if (poll(&waited, 1, wait_ms) <= 0) return true;
  constexpr std::size_t chunk_bytes = 256 * 1024;
  buffer_.erase(0, start_);
  searched_ -= start_;
  start_ = 0;
  const std::size_t before = buffer_.size();
  buffer_.resize(before + chunk_bytes);
  const ssize_t got = read(fd_, buffer_.data() + before, chunk_bytes);
  buffer_.resize(before + static_cast<std::size_t>(got > 0 ? got : 0));
  if (got < 0 && errno != EINTR && errno != EAGAIN) failed_ = true;
  if (got == 0 || failed_) ended_ = true;
  return !ended_;
}

}  // namespace millrace::cli

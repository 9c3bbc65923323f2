// LineReader: lines of a file descriptor, without ever blocking in the middle of other work.
// Owns:  one buffer; a line is a view into it, valid until the next call of fill().
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::cli {

class LineReader {
 public:
  explicit LineReader(int fd, char delimiter = '\n') : fd_(fd), delimiter_(delimiter) {}

  // The next whole line without its newline; the last one needs none. Empty when more must be read
  // first, or at the end.
  std::optional<std::string_view> next();
  // Reads once if something is there within wait_ms. False at the end of the input or on an error
  // (see failed).
  bool fill(int wait_ms);

  bool at_end() const { return ended_ && start_ == buffer_.size(); }
  bool failed() const { return failed_; }

 private:
  int fd_;
  char delimiter_;
  std::string buffer_;
  std::size_t start_ = 0;     // of the next line
  std::size_t searched_ = 0;  // no delimiter before this
  bool ended_ = false;
  bool failed_ = false;
};

}  // namespace millrace::cli

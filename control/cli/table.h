// Table: columns aligned by spaces, upper-case headers, no borders. Numbers go to the right.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace millrace::cli {

class Table {
 public:
  explicit Table(std::vector<std::string> headers) : headers_(std::move(headers)) {}

  void add_row(std::vector<std::string> cells);  // one cell for each header
  std::string text() const;                      // every line ends with a newline

 private:
  std::vector<std::string> headers_;
  std::vector<std::vector<std::string>> rows_;
};

// 1536 -> "1.5 KiB"
std::string human_bytes(std::uint64_t bytes);

}  // namespace millrace::cli

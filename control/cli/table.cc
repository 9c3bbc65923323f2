// Table: see table.h.
#include "control/cli/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "dataplane/base/check.h"

namespace millrace::cli {

namespace {

bool is_number(const std::string& cell) {
  return !cell.empty() && std::all_of(cell.begin(), cell.end(),
                                      [](char c) { return (c >= '0' && c <= '9') || c == '-'; });
}

}  // namespace

void Table::add_row(std::vector<std::string> cells) {
  CHECK(cells.size() == headers_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::text() const {
  std::vector<std::size_t> widths;
  std::vector<char> sides;
  for (std::size_t column = 0; column < headers_.size(); ++column) {
    std::size_t width = headers_[column].size();
    bool is_right = !rows_.empty();
    for (const auto& row : rows_) {
      width = std::max(width, row[column].size());
      is_right = is_right && is_number(row[column]);
    }
    widths.push_back(width);
    sides.push_back(is_right ? '>' : '<');
  }
  std::string text;
  const auto add_line = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t column = 0; column < cells.size(); ++column) {
      if (column > 0) line += "  ";
      if (sides[column] == '>') line.append(widths[column] - cells[column].size(), ' ');
      line += cells[column];
      if (sides[column] == '<') line.append(widths[column] - cells[column].size(), ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  };
  add_line(headers_);
  for (const auto& row : rows_) add_line(row);
  return text;
}

std::string human_bytes(std::uint64_t bytes) {
  static constexpr const char* units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(units); ++unit) value /= 1024;
  return fmt::format("{:.1f} {}", value, units[unit]);
}

}  // namespace millrace::cli

#include "perf/loadgen/drivers/resp.h"

#include <algorithm>

#include "perf/loadgen/drivers/bytes.h"

namespace millrace::loadgen {

namespace {

// More than any answer here has: of elements not yet read, and of all before the last of them.
constexpr std::int64_t elements_max = 1 << 20;
constexpr std::size_t reply_bytes_max = 1 << 30;

}  // namespace

std::int64_t read_resp(std::string_view bytes, std::vector<RespNode>& nodes) {
  nodes.clear();
  std::size_t at = 0;
  for (std::int64_t left = 1; left != 0; --left) {
    if (at > reply_bytes_max) return -1;
    const std::int64_t first_bytes = line_bytes(bytes.substr(at));
    if (first_bytes <= 0) return first_bytes;
    const std::string_view line = bytes.substr(at, static_cast<std::size_t>(first_bytes) - 2);
    if (line.empty()) return -1;
    RespNode node{.type = line[0], .text = line.substr(1)};
    at += line.size() + 2;
    if (node.type != '+' && node.type != '-') {
      const auto count = read_number<std::int64_t>(node.text);
      if (!count) return -1;
      node.count = *count;
    }
    switch (node.type) {
      case '+':
      case '-':
      case ':':
        break;
      case '*':
        if (node.count < -1 || node.count > elements_max - left) return -1;
        left += std::max<std::int64_t>(node.count, 0);
        node.text = {};
        break;
      case '$': {
        node.text = {};
        if (node.count == -1) break;
        // Below -1 it is too large a number.
        const std::int64_t end = counted_bytes(bytes, at, static_cast<std::uint64_t>(node.count));
        if (end <= 0) return end;
        node.text = bytes.substr(at, static_cast<std::size_t>(node.count));
        at = static_cast<std::size_t>(end);
        break;
      }
      default:
        return -1;
    }
    nodes.push_back(node);
  }
  return static_cast<std::int64_t>(at);
}

void write_resp(std::string& out, std::span<const std::string_view> words) {
  out.append("*").append(std::to_string(words.size())).append("\r\n");
  for (const std::string_view word : words) {
    out.append("$").append(std::to_string(word.size())).append("\r\n");
    out.append(word).append("\r\n");
  }
}

}  // namespace millrace::loadgen

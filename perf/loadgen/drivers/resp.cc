#include "perf/loadgen/drivers/resp.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

namespace millrace::loadgen {

namespace {

constexpr std::int64_t elements_max = 1 << 20;  // of one array: more than any answer here has

}  // namespace

std::int64_t read_resp(std::string_view bytes, std::vector<RespNode>& nodes) {
  nodes.clear();
  std::size_t at = 0;
  for (std::int64_t left = 1; left != 0; --left) {
    const std::size_t end = bytes.find("\r\n", at);
    if (end == std::string_view::npos) return 0;
    RespNode node{.type = bytes[at], .text = bytes.substr(at + 1, end - at - 1)};
    at = end + 2;
    if (node.type != '+' && node.type != '-') {
      const auto read = std::from_chars(node.text.begin(), node.text.end(), node.count);
      if (read.ec != std::errc() || read.ptr != node.text.end()) return -1;
    }
    switch (node.type) {
      case '+':
      case '-':
      case ':':
        break;
      case '*':
        if (node.count > elements_max) return -1;
        left += std::max<std::int64_t>(node.count, 0);
        node.text = {};
        break;
      case '$': {
        const auto count = static_cast<std::size_t>(std::max<std::int64_t>(node.count, 0));
        if (node.count >= 0 && bytes.size() - at < count + 2) return 0;
        node.text = bytes.substr(at, count);
        if (node.count >= 0) at += count + 2;
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
  auto to = std::back_inserter(out);
  fmt::format_to(to, "*{}\r\n", words.size());
  for (const std::string_view word : words) fmt::format_to(to, "${}\r\n{}\r\n", word.size(), word);
}

}  // namespace millrace::loadgen

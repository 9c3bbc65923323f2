// Any bytes as answers of Redis: read_resp stays inside them, and reads them in pieces as in one.
#include <cstdlib>
#include <string_view>
#include <vector>

#include "perf/loadgen/drivers/resp.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  using namespace millrace::loadgen;
  std::string_view left(reinterpret_cast<const char*>(data), bytes);
  std::vector<RespNode> nodes;
  while (!left.empty()) {
    const std::int64_t count = read_resp(left, nodes);
    if (count <= 0) return 0;
    if (static_cast<std::size_t>(count) > left.size() || nodes.empty()) std::abort();
    const std::string_view reply = left.substr(0, static_cast<std::size_t>(count));
    for (const RespNode& node : nodes) {
      const bool is_inside =
          node.text.empty() || (node.text.data() >= reply.data() &&
                                node.text.data() + node.text.size() <= reply.data() + reply.size());
      if (!is_inside) std::abort();
    }
    if (read_resp(reply.substr(0, reply.size() - 1), nodes) > 0) std::abort();
    left.remove_prefix(reply.size());
  }
  return 0;
}

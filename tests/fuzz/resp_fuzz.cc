// Any bytes as answers of Redis: see stream_codec.h for what holds of them.
#include "perf/loadgen/drivers/resp.h"
#include "tests/fuzz/stream_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  using namespace millrace::loadgen;
  const auto read = [](std::string_view from, std::vector<std::string_view>& views) {
    std::vector<RespNode> nodes;
    const std::int64_t count = read_resp(from, nodes);
    if (count > 0) require(!nodes.empty());
    for (const RespNode& node : nodes) views.push_back(node.text);
    return count;
  };
  check_stream_codec({reinterpret_cast<const char*>(data), bytes}, read);
  return 0;
}

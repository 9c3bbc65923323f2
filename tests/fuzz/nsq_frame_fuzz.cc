// Any bytes as what nsqd says: see stream_codec.h for what holds of it.
#include "perf/loadgen/drivers/nsq_frame.h"
#include "tests/fuzz/stream_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  using namespace millrace::loadgen;
  const auto read = [](std::string_view from, std::vector<std::string_view>& views) {
    NsqFrame frame;
    const std::int64_t count = read_nsq(from, frame);
    views = {frame.id, frame.data};
    return count;
  };
  check_stream_codec({reinterpret_cast<const char*>(data), bytes}, read);
  return 0;
}

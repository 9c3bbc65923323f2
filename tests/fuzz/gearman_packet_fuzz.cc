// Any bytes as what gearmand says: see stream_codec.h for what holds of it.
#include "perf/loadgen/drivers/gearman_packet.h"
#include "tests/fuzz/stream_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  using namespace millrace::loadgen;
  const auto read = [](std::string_view from, std::vector<std::string_view>& views) {
    GearmanPacket packet;
    const std::int64_t count = read_gearman(from, packet);
    views = {packet.handle, packet.function, packet.data};
    return count;
  };
  check_stream_codec({reinterpret_cast<const char*>(data), bytes}, read);
  return 0;
}

// Any bytes as what a NATS server says: see stream_codec.h for what holds of it.
#include "perf/loadgen/drivers/nats_message.h"
#include "tests/fuzz/stream_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  using namespace millrace::loadgen;
  const auto read = [](std::string_view from, std::vector<std::string_view>& views) {
    NatsMessage message;
    const std::int64_t count = read_nats(from, message);
    views = {message.line, message.subject, message.reply, message.headers, message.payload};
    return count;
  };
  check_stream_codec({reinterpret_cast<const char*>(data), bytes}, read);
  return 0;
}

// Any bytes as what beanstalkd says: see stream_codec.h for what holds of it.
#include "perf/loadgen/drivers/beanstalkd_reply.h"
#include "tests/fuzz/stream_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  using namespace millrace::loadgen;
  const auto read = [](std::string_view from, std::vector<std::string_view>& views) {
    BeanstalkdReply reply;
    const std::int64_t count = read_beanstalkd(from, reply);
    views = {reply.line, reply.word, reply.id, reply.body};
    return count;
  };
  check_stream_codec({reinterpret_cast<const char*>(data), bytes}, read);
  return 0;
}

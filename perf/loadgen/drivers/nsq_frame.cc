#include "perf/loadgen/drivers/nsq_frame.h"

#include "perf/loadgen/drivers/bytes.h"

namespace millrace::loadgen {

namespace {

constexpr std::size_t length_bytes = 4;
constexpr std::size_t type_bytes = 4;
constexpr std::size_t id_at = 10;
constexpr std::size_t body_at = 26;

}  // namespace

std::int64_t read_nsq(std::string_view bytes, NsqFrame& frame) {
  if (bytes.size() < length_bytes) return 0;
  const std::uint32_t count = read_u32(bytes, 0);
  if (count < type_bytes || count > message_bytes_max) return -1;
  if (bytes.size() < length_bytes + type_bytes) return 0;
  const NsqFrameType type{read_u32(bytes, length_bytes)};
  const bool is_message = type == NsqFrameType::message;
  if (type > NsqFrameType::message || (is_message && count < type_bytes + body_at)) return -1;
  if (bytes.size() < length_bytes + count) return 0;
  const std::string_view data = bytes.substr(length_bytes + type_bytes, count - type_bytes);
  frame = {.type = type, .data = data};
  if (is_message) {
    frame.id = data.substr(id_at, body_at - id_at);
    frame.data = data.substr(body_at);
  }
  return static_cast<std::int64_t>(length_bytes + count);
}

}  // namespace millrace::loadgen

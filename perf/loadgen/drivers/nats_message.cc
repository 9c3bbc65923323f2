#include "perf/loadgen/drivers/nats_message.h"

#include <algorithm>
#include <array>

#include "perf/loadgen/drivers/bytes.h"

namespace millrace::loadgen {

namespace {

// MSG subject id [reply] bytes
// HMSG subject id [reply] header-bytes all-bytes
std::int64_t read_body(std::string_view bytes, NatsMessage& message) {
  std::array<std::string_view, 7> words;  // one more than a message has
  std::size_t count = 0;
  const std::string_view line = message.line;
  for (std::size_t at = 0; at < line.size() && count < words.size();) {
    const std::size_t end = std::min(line.find(' ', at), line.size());
    if (end > at) words[count++] = line.substr(at, end - at);
    at = end + 1;
  }
  const std::size_t numbers = words[0] == "HMSG" ? 2 : 1;
  const bool has_reply = count == 4 + numbers;
  if (count != 3 + numbers && !has_reply) return -1;
  const auto body_bytes = read_number<std::uint64_t>(words[count - 1]);
  const auto header_bytes = numbers == 2 ? read_number<std::uint64_t>(words[count - 2]) : 0;
  if (!body_bytes || !header_bytes || *header_bytes > *body_bytes) return -1;
  const std::size_t body_at = line.size() + 2;
  const std::int64_t all_bytes = counted_bytes(bytes, body_at, *body_bytes);
  if (all_bytes <= 0) return all_bytes;
  message.subject = words[1];
  if (has_reply) message.reply = words[3];
  message.headers = bytes.substr(body_at, *header_bytes);
  message.payload = bytes.substr(body_at + *header_bytes, *body_bytes - *header_bytes);
  return all_bytes;
}

}  // namespace

std::int64_t read_nats(std::string_view bytes, NatsMessage& message) {
  const std::int64_t first_bytes = line_bytes(bytes);
  if (first_bytes <= 0) return first_bytes;
  const std::string_view line = bytes.substr(0, static_cast<std::size_t>(first_bytes) - 2);
  message = {.line = line};
  if (line.starts_with("MSG ") || line.starts_with("HMSG ")) {
    message.verb = NatsVerb::message;
    return read_body(bytes, message);
  }
  if (line == "PING") {
    message.verb = NatsVerb::ping;
  } else if (line == "PONG") {
    message.verb = NatsVerb::pong;
  } else if (line == "+OK") {
    message.verb = NatsVerb::ok;
  } else if (line.starts_with("-ERR")) {
    message.verb = NatsVerb::error;
  } else if (line.starts_with("INFO ")) {
    message.verb = NatsVerb::info;
  } else {
    return -1;
  }
  return first_bytes;
}

}  // namespace millrace::loadgen

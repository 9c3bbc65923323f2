// NatsMessage: what a NATS server says, read from a stream's bytes.
// Source: https://docs.nats.io/reference/reference-protocols/nats-protocol
#pragma once

#include <cstdint>
#include <string_view>

namespace millrace::loadgen {

enum class NatsVerb : std::uint8_t { info, ok, error, ping, pong, message };

struct NatsMessage {
  NatsVerb verb = NatsVerb::ok;
  std::string_view line = {};  // the first, without its end
  // Of MSG and HMSG; what is not there is empty.
  std::string_view subject = {};
  std::string_view reply = {};
  std::string_view headers = {};
  std::string_view payload = {};
};

// Returns its bytes; 0 when it is not all there, -1 when it is none.
std::int64_t read_nats(std::string_view bytes, NatsMessage& message);

}  // namespace millrace::loadgen

// NsqFrame: what nsqd says, read from a stream's bytes.
//
//   length u32 | type u32 | data            length: of type and data
//   a message's data: time u64, attempts u16, id 16 bytes, body
//
// Source: https://nsq.io/clients/tcp_protocol_spec.html
#pragma once

#include <cstdint>
#include <string_view>

namespace millrace::loadgen {

enum class NsqFrameType : std::uint32_t { response, error, message };

struct NsqFrame {
  NsqFrameType type = NsqFrameType::response;
  std::string_view id = {};    // of a message
  std::string_view data = {};  // of a message: its body
};

// Returns its bytes; 0 when it is not all there, -1 when it is none.
std::int64_t read_nsq(std::string_view bytes, NsqFrame& frame);

}  // namespace millrace::loadgen

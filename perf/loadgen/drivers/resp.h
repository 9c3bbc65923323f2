// RESP2: what Redis answers, read from a stream's bytes.
// Source: https://redis.io/docs/latest/develop/reference/protocol-spec/
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::loadgen {

struct RespNode {
  char type = 0;           // '+' '-' ':' '$' '*'
  std::string_view text;   // of all but '*'; of a null: empty
  std::int64_t count = 0;  // '*': elements, which follow; -1: null. ':': the number
};

// The whole reply that `bytes` begin with, its elements after it in the order they are written, in
// `nodes`. Returns its bytes; 0 when it is not all there, -1 when it is no reply.
std::int64_t read_resp(std::string_view bytes, std::vector<RespNode>& nodes);

// Appends a command to what is sent.
void write_resp(std::string& out, std::span<const std::string_view> words);

}  // namespace millrace::loadgen

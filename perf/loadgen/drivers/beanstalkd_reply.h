// BeanstalkdReply: what beanstalkd answers, read from a stream's bytes.
// Source: https://github.com/beanstalkd/beanstalkd/blob/master/doc/protocol.txt
#pragma once

#include <cstdint>
#include <string_view>

namespace millrace::loadgen {

struct BeanstalkdReply {
  std::string_view line = {};  // the first, without its end
  std::string_view word = {};  // what it begins with: INSERTED, OUT_OF_MEMORY
  // Of RESERVED.
  std::string_view id = {};
  std::string_view body = {};
};

// Returns its bytes; 0 when it is not all there, -1 when it is none.
std::int64_t read_beanstalkd(std::string_view bytes, BeanstalkdReply& reply);

}  // namespace millrace::loadgen

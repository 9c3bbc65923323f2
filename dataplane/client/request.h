// Request: a question to the node that is asked again until it is answered.
// Core:  the client's thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "dataplane/base/units.h"

namespace millrace::client {

struct Request {
  enum class State : std::uint8_t {
    idle,     // nothing to ask
    wanted,   // to be asked from at_ns on
    pending,  // asked; asked again at at_ns
  };
  static constexpr std::uint64_t retry_min_ns = 10 * base::ms_ns;
  static constexpr std::uint64_t retry_max_ns = 500 * base::ms_ns;
  static constexpr std::uint64_t not_ready_ns = 100 * base::ms_ns;

  State state = State::idle;
  std::uint32_t id = 0;
  std::uint64_t at_ns = 0;
  std::uint64_t retry_ns = retry_min_ns;

  void want(std::uint64_t from_ns) {
    state = State::wanted;
    at_ns = from_ns;
    retry_ns = retry_min_ns;
  }
  void asked(std::uint64_t now_ns) {
    state = State::pending;
    at_ns = now_ns + retry_ns;
    retry_ns = std::min(retry_ns * 2, retry_max_ns);
  }
  bool due(std::uint64_t now_ns) const { return state != State::idle && now_ns >= at_ns; }
};

}  // namespace millrace::client

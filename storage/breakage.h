// Breakage: rules that a test build can be told to break, so that the simulator proves it would
// notice. In every other build nothing is broken and the questions cost nothing.
#pragma once

#include <cstdint>

namespace millrace::storage {

enum class Breakage : std::uint8_t {
  none,
  acknowledge_early,  // durable as soon as the write has started
  ignore_crc,         // recovery takes a frame's body as it is
  cut_on_damage,      // recovery calls every invalid frame a torn tail
  keep_generation,    // a start writes on in the generation of the last one
};

#ifdef MILLRACE_BREAKAGES
inline Breakage breakage = Breakage::none;
inline bool is_broken(Breakage rule) { return breakage == rule; }
#else
constexpr bool is_broken(Breakage /*rule*/) { return false; }
#endif

}  // namespace millrace::storage

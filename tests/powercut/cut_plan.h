// CutPlan: where the power of a recorded run is cut, cycle by cycle.
//
// Every other cycle takes its turn of all places, evenly from first to last; those between take the
// turns of the kinds of place, each kind's evenly again, so that what is rare is met as often as
// what is not.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/powercut/medium.h"

namespace millrace::powercut {

struct Cut {
  std::uint64_t events = 0;  // that have come before it
  std::uint64_t seed = 0;    // of what is left and of all that follows
};

// kinds: of the place after each number of events, from 0 on. By rising number of events.
std::vector<Cut> plan_cuts(const std::vector<CutKinds>& kinds, std::uint64_t cycles,
                           std::uint64_t seed);

}  // namespace millrace::powercut

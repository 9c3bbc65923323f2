#include "tests/powercut/cut_plan.h"

#include <algorithm>
#include <array>

namespace millrace::powercut {
namespace {

// Place `turn` of `turns` in a list of `count`: each its turn, or one of each stretch by chance.
std::uint64_t spread(std::uint64_t turn, std::uint64_t turns, std::uint64_t count,
                     sim::Random& random) {
  if (turns >= count) return turn % count;
  const std::uint64_t first = turn * count / turns;
  const std::uint64_t last = (turn + 1) * count / turns - 1;
  return random.between(first, last);
}

}  // namespace

std::vector<Cut> plan_cuts(const std::vector<CutKinds>& kinds, std::uint64_t cycles,
                           std::uint64_t seed) {
  std::array<std::vector<std::uint64_t>, cut_kinds> by_kind;
  for (std::uint64_t events = 0; events < kinds.size(); ++events) {
    for (std::size_t kind = 0; kind < cut_kinds; ++kind) {
      if (kinds[events].test(kind)) by_kind[kind].push_back(events);
    }
  }
  std::vector<std::vector<std::uint64_t>> met;
  for (auto& places : by_kind) {
    if (!places.empty()) met.push_back(std::move(places));
  }
  sim::Random random(seed);
  std::vector<Cut> cuts;
  const std::uint64_t plain_turns = (cycles + 1) / 2;
  for (std::uint64_t cycle = 0; cycle < cycles; ++cycle) {
    Cut cut{.seed = random.next()};
    const std::uint64_t turn = cycle / 2;
    if (cycle % 2 == 0) {
      cut.events = spread(turn, plain_turns, kinds.size(), random);
    } else {
      const auto& places = met[turn % met.size()];
      const std::uint64_t turns = (cycles / 2 + met.size() - 1) / met.size();
      cut.events = places[spread(turn / met.size(), turns, places.size(), random)];
    }
    cuts.push_back(cut);
  }
  std::ranges::stable_sort(cuts, {}, &Cut::events);
  return cuts;
}

}  // namespace millrace::powercut

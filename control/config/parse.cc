// Parse: see parse.h.
#include "control/config/parse.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "dataplane/base/units.h"
#include "dataplane/link/region.h"

namespace millrace::control {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr std::uint32_t processor_max = 1023;  // CPU_SETSIZE - 1

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr Unit size_units[] = {{"B", 1},
                               {"KiB", base::kib},
                               {"MiB", base::mib},
                               {"GiB", base::gib},
                               {"TiB", 1024 * base::gib}};
constexpr Unit time_units[] = {{"ns", 1},
                               {"us", base::us_ns},
                               {"ms", base::ms_ns},
                               {"s", base::second_ns},
                               {"m", 60 * base::second_ns},
                               {"h", 3600 * base::second_ns},
                               {"d", 86'400 * base::second_ns}};

// Input from outside may hold anything; this much of it goes into a message.
std::string quoted(std::string_view text) {
  std::string copy(text.substr(0, 60));
  std::replace_if(
      copy.begin(), copy.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return '"' + copy + '"';
}

template <std::size_t N>
Result<std::uint64_t> parse_with_unit(std::string_view text, const Unit (&units)[N],
                                      const char* expected) {
  std::uint64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view rest = text.substr(static_cast<std::size_t>(parsed.ptr - text.data()));
  if (parsed.ec == std::errc::result_out_of_range) {
    return Error(ErrorCode::invalid_argument, "{} is too large", quoted(text));
  }
  if (parsed.ec == std::errc()) {
    for (const Unit& unit : units) {
      if (rest != unit.name) continue;
      if (number > ~0ULL / unit.factor) {
        return Error(ErrorCode::invalid_argument, "{} is too large", quoted(text));
      }
      return number * unit.factor;
    }
  }
  return Error(ErrorCode::invalid_argument, "{} is not {}", quoted(text), expected);
}

}  // namespace

Result<std::uint64_t> parse_bytes(std::string_view text) {
  return parse_with_unit(
      text, size_units, "a size: write a whole number and B, KiB, MiB, GiB or TiB, as in \"1GiB\"");
}

Result<std::uint64_t> parse_duration_ns(std::string_view text) {
  return parse_with_unit(text, time_units,
                         "a duration: write a whole number and ns, us, ms, s, m, h or d, as in "
                         "\"30s\"");
}

Result<std::uint64_t> parse_whole(std::string_view text, std::uint64_t max) {
  std::uint64_t number = 0;
  const auto* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end || number > max) {
    return Error(ErrorCode::invalid_argument, "{} is not a whole number from 0 to {}", quoted(text),
                 max);
  }
  return number;
}

Result<std::vector<std::uint32_t>> parse_cores(std::string_view text) {
  std::vector<std::uint32_t> cores;
  std::size_t at = 0;
  while (at <= text.size()) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const auto core = parse_whole(text.substr(at, comma - at), processor_max);
    const bool is_repeated = core && std::find(cores.begin(), cores.end(), *core) != cores.end();
    if (!core || is_repeated) {
      return Error(ErrorCode::invalid_argument,
                   "{} is not a list of cores: write processor numbers, each once, as in \"0,1\"",
                   quoted(text));
    }
    cores.push_back(static_cast<std::uint32_t>(*core));
    at = comma + 1;
  }
  if (cores.size() > link::cores_max) {
    return Error(ErrorCode::invalid_argument, "{} cores are too many: at most {}", cores.size(),
                 link::cores_max);
  }
  return cores;
}

}  // namespace millrace::control

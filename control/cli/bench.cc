// The verb `bench`: hands over to millrace-bench, which measures and reads the rest of the command
// line.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "control/cli/node_access.h"
#include "control/cli/programs.h"
#include "control/cli/verbs.h"

namespace millrace::cli {

int run_bench(const std::vector<std::string>& arguments, const Globals& globals) {
  const auto program = find_program("millrace-bench", "");
  if (!program) return say_error(program.error().message()), exit_failed;
  std::vector<std::string> words = {*program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  if (globals.output == OutputFormat::json) words.insert(words.end(), {"-o", "json"});
  if (globals.port_offset != 0) {
    words.insert(words.end(), {"--port-offset", std::to_string(globals.port_offset)});
  }
  std::vector<char*> raw;
  for (std::string& word : words) raw.push_back(word.data());
  raw.push_back(nullptr);
  execv(program->c_str(), raw.data());
  say_error(fmt::format("cannot run {}: {}", *program, std::strerror(errno)));
  return exit_failed;
}

}  // namespace millrace::cli

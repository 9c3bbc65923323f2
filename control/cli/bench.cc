// The verbs `bench` and `log`: hand over to millrace-bench, which measures, and to millrace-log,
// which looks at the data of a node that is down; these read the rest of the command line.
#include "control/cli/node_access.h"
#include "control/cli/programs.h"
#include "control/cli/verbs.h"

namespace millrace::cli {

int run_bench(const std::vector<std::string>& arguments, const Globals& globals) {
  std::vector<std::string> words = arguments;
  if (globals.output == OutputFormat::json) words.insert(words.end(), {"-o", "json"});
  if (globals.port_offset != 0) {
    words.insert(words.end(), {"--port-offset", std::to_string(globals.port_offset)});
  }
  return say_error(become_program("millrace-bench", words).message()), exit_failed;
}

int run_log(const std::vector<std::string>& arguments, const Globals& globals) {
  std::vector<std::string> words = arguments;
  if (globals.output == OutputFormat::json) words.emplace_back("--json");
  return say_error(become_program("millrace-log", words).message()), exit_usage;
}

}  // namespace millrace::cli

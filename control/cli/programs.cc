// Programs: see programs.h.
#include "control/cli/programs.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace millrace::cli {

namespace fs = std::filesystem;

std::vector<std::string> program_directories(const std::string& own_path) {
  const fs::path own = fs::path(own_path).parent_path();
  std::vector<std::string> directories = {own.string()};
  // build/control/millrace finds build/, build/control/, build/dataplane/ and its core/,
  // build/perf/bench/, build/storage/tool/.
  for (const fs::path& root : {own, own.parent_path(), own.parent_path().parent_path()}) {
    for (const char* below :
         {"", "control", "dataplane", "dataplane/core", "perf/bench", "storage/tool"}) {
      directories.push_back((*below == 0 ? root : root / below).string());
    }
  }
  return directories;
}

base::Result<std::string> find_program(const std::string& name, const std::string& directory) {
  std::vector<std::string> directories = {directory};
  if (directory.empty()) {
    std::error_code error;
    const fs::path own = fs::read_symlink("/proc/self/exe", error);
    directories = program_directories(own.string());
  }
  for (const std::string& candidate : directories) {
    const std::string path = (fs::path(candidate) / name).string();
    std::error_code error;
    if (fs::is_regular_file(path, error) && access(path.c_str(), X_OK) == 0) return path;
  }
  return base::Error(base::ErrorCode::not_found,
                     "{} was not found in {} or the build tree around it: build or install it, or "
                     "name its directory with --programs DIR",
                     name, directories.front());
}

base::Error become_program(const std::string& name, const std::vector<std::string>& arguments) {
  const auto program = find_program(name, "");
  if (!program) return program.error();
  std::vector<std::string> words = {*program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> raw;
  for (std::string& word : words) raw.push_back(word.data());
  raw.push_back(nullptr);
  execv(program->c_str(), raw.data());
  return base::Error(base::ErrorCode::unavailable, "cannot run {}: {}", *program,
                     strerrordesc_np(errno));
}

}  // namespace millrace::cli

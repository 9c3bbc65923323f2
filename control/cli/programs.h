// Programs: where millraced and millrace-control are.
#pragma once

#include <string>
#include <vector>

#include "dataplane/base/result.h"

namespace millrace::cli {

// Directories to look in, in order, for a program that itself lies at `own_path` (links resolved):
// beside it, then the places of the build tree.
std::vector<std::string> program_directories(const std::string& own_path);

// `directory` alone when it is not empty, else the directories of this very program. Error
// not_found names where it looked.
base::Result<std::string> find_program(const std::string& name, const std::string& directory);

// Becomes a program of these; returns only to say why it could not.
base::Error become_program(const std::string& name, const std::vector<std::string>& arguments);

}  // namespace millrace::cli

// The identity of a data folder: random, made with it, and the seed of every CRC in it.
#pragma once

#include <cstdint>
#include <string>

#include "dataplane/base/result.h"

namespace millrace::storage {

inline constexpr std::string_view identity_file_name = "identity";

// The file holds 16 hexadecimal digits and the end of the line.
base::Result<std::uint64_t> read_identity(const std::string& path);

}  // namespace millrace::storage

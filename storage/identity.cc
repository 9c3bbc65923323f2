#include "storage/identity.h"

#include <charconv>
#include <fstream>

namespace millrace::storage {

base::Result<std::uint64_t> read_identity(const std::string& path) {
  constexpr std::size_t digits = 16;
  std::string text;
  std::uint64_t id = 0;
  std::ifstream file(path);
  std::getline(file, text);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id, 16);
  if (error == std::errc() && end == text.data() + text.size() && text.size() == digits) return id;
  return base::Error(base::ErrorCode::corrupt,
                     "{} does not hold 16 hexadecimal digits; restore it from a backup", path);
}

}  // namespace millrace::storage

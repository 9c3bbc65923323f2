#include "perf/loadgen/drivers/bytes.h"

namespace millrace::loadgen {

std::optional<std::uint32_t> partition_of(std::string_view name, char separator,
                                          std::uint32_t partitions) {
  const auto partition = read_number<std::uint32_t>(name.substr(name.rfind(separator) + 1));
  if (!partition || *partition >= partitions) return {};
  return partition;
}

std::int64_t line_bytes(std::string_view bytes) {
  const std::size_t end = bytes.substr(0, line_bytes_max).find("\r\n");
  if (end != std::string_view::npos) return static_cast<std::int64_t>(end + 2);
  return bytes.size() < line_bytes_max ? 0 : -1;
}

std::int64_t counted_bytes(std::string_view bytes, std::size_t at, std::uint64_t count) {
  if (count > message_bytes_max) return -1;
  if (bytes.size() - at < count + 2) return 0;
  if (bytes.substr(at + count, 2) != "\r\n") return -1;
  return static_cast<std::int64_t>(at + count + 2);
}

}  // namespace millrace::loadgen

#include "perf/loadgen/drivers/gearman_packet.h"

#include "perf/loadgen/drivers/bytes.h"

namespace millrace::loadgen {

using namespace std::string_view_literals;

namespace {

constexpr std::size_t head_bytes = 12;
constexpr std::string_view request_magic = "\0REQ"sv;
constexpr std::string_view response_magic = "\0RES"sv;

bool split_job(GearmanPacket& packet) {
  const std::string_view data = packet.data;
  const std::size_t handle_end = data.find('\0');
  if (handle_end == std::string_view::npos) return false;
  const std::size_t function_end = data.find('\0', handle_end + 1);
  if (function_end == std::string_view::npos) return false;
  packet.handle = data.substr(0, handle_end);
  packet.function = data.substr(handle_end + 1, function_end - handle_end - 1);
  packet.data = data.substr(function_end + 1);
  return true;
}

}  // namespace

std::int64_t read_gearman(std::string_view bytes, GearmanPacket& packet) {
  if (!response_magic.starts_with(bytes.substr(0, response_magic.size()))) return -1;
  if (bytes.size() < head_bytes) return 0;
  const std::uint32_t count = read_u32(bytes, 8);
  if (count > message_bytes_max) return -1;
  if (bytes.size() - head_bytes < count) return 0;
  packet = {.type = GearmanType{read_u32(bytes, 4)}, .data = bytes.substr(head_bytes, count)};
  if (packet.type == GearmanType::job_assign && !split_job(packet)) return -1;
  // A code, and a text.
  if (packet.type == GearmanType::error) {
    packet.data.remove_prefix(packet.data.find('\0') + 1);
  }
  return static_cast<std::int64_t>(head_bytes + count);
}

void write_gearman_head(std::string& out, GearmanType type, std::size_t data_bytes) {
  out.append(request_magic);
  append_be(out, static_cast<std::uint32_t>(type));
  append_be(out, static_cast<std::uint32_t>(data_bytes));
}

}  // namespace millrace::loadgen

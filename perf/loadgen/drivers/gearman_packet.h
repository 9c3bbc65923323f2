// GearmanPacket: what gearmand says, read from a stream's bytes, and the head of what it is told.
//
//   magic 4 bytes | type u32 | bytes u32 | arguments, each but the last ended by NUL
//
// Source: http://gearman.org/protocol/
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::loadgen {

enum class GearmanType : std::uint32_t {
  can_do = 1,
  pre_sleep = 4,
  noop = 6,
  job_created = 8,
  grab_job = 9,
  no_job = 10,
  job_assign = 11,
  work_complete = 13,
  echo_request = 16,
  echo_response = 17,
  submit_job_background = 18,
  error = 19,
};

struct GearmanPacket {
  GearmanType type = GearmanType::noop;
  // Of a job that is assigned.
  std::string_view handle = {};
  std::string_view function = {};
  std::string_view data = {};  // the last argument: a job's workload, an error's text
};

// Returns its bytes; 0 when it is not all there, -1 when it is none.
std::int64_t read_gearman(std::string_view bytes, GearmanPacket& packet);

// data_bytes: of the arguments, which are to follow.
void write_gearman_head(std::string& out, GearmanType type, std::size_t data_bytes);

}  // namespace millrace::loadgen

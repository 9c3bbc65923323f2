#include "perf/loadgen/drivers/gearman_driver.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <utility>

#include "dataplane/base/wire.h"

namespace millrace::loadgen {

using base::Error;
using base::ErrorCode;
using base::Result;
using namespace std::string_view_literals;

namespace {

constexpr std::uint32_t grabs_max = 64;
constexpr std::size_t header_bytes = 12;
constexpr std::string_view request_magic = "\0REQ"sv;
constexpr std::string_view response_magic = "\0RES"sv;

enum class PacketType : std::uint32_t {
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

struct Packet {
  PacketType type;
  std::string_view data;
};

Error refused(std::string_view text) { return Error(ErrorCode::unavailable, "gearman: {}", text); }

Error unexpected(PacketType type) {
  return Error(ErrorCode::corrupt, "gearman: a packet of type {} came",
               static_cast<std::uint32_t>(type));
}

void write_u32(std::string& out, std::uint32_t value) {
  std::array<std::byte, 4> bytes{};
  base::store_be(bytes.data(), value);
  out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void write_header(std::string& out, PacketType type, std::size_t bytes) {
  out.append(request_magic);
  write_u32(out, static_cast<std::uint32_t>(type));
  write_u32(out, static_cast<std::uint32_t>(bytes));
}

std::uint32_t read_u32(std::string_view bytes, std::size_t at) {
  return base::load_be<std::uint32_t>(reinterpret_cast<const std::byte*>(bytes.data() + at));
}

// Nothing: it is not all there. Its data holds until the stream is pumped.
Result<std::optional<Packet>> next_packet(TcpStream& stream) {
  const std::string_view in = stream.in();
  if (in.size() < header_bytes) return std::optional<Packet>();
  if (!in.starts_with(response_magic)) {
    return Error(ErrorCode::corrupt, "gearman: what came does not read as a response");
  }
  const std::uint32_t bytes = read_u32(in, 8);
  if (in.size() - header_bytes < bytes) return std::optional<Packet>();
  const Packet packet{.type = PacketType{read_u32(in, 4)}, .data = in.substr(header_bytes, bytes)};
  stream.take(header_bytes + bytes);
  // A code and a text.
  if (packet.type == PacketType::error)
    return refused(packet.data.substr(packet.data.find('\0') + 1));
  return std::optional<Packet>(packet);
}

}  // namespace

Result<void> GearmanDriver::prepare(const Workload& workload) {
  workload_ = workload;
  if (workload.consumes) {
    if (auto started = start_worker(); !started) return started;
  }
  auto client = TcpStream::connect(address_);
  if (!client) return client.error();
  client_.emplace(std::move(*client));
  return {};
}

// CAN_DO has no answer; an echo after it has.
Result<void> GearmanDriver::start_worker() {
  auto worker = TcpStream::connect(address_);
  if (!worker) return worker.error();
  worker_.emplace(std::move(*worker));
  for (std::uint32_t i = 0; i < workload_.partitions; ++i) {
    const std::string function = fmt::format("{}-{}", workload_.topic, i);
    write_header(worker_->out(), PacketType::can_do, function.size());
    worker_->out().append(function);
  }
  write_header(worker_->out(), PacketType::echo_request, 0);
  Result<void> outcome;
  const auto is_done = [&] {
    const auto packet = next_packet(*worker_);
    if (!packet) outcome = packet.error();
    return !packet || (*packet && (*packet)->type == PacketType::echo_response);
  };
  if (auto waited = worker_->wait_until(is_done, "an answer to ECHO_REQ"); !waited) return waited;
  grab();
  return outcome;
}

void GearmanDriver::grab() {
  write_header(worker_->out(), PacketType::grab_job, 0);
  ++grabs_;
}

// What is unique is the number: jobs that have it in common are made one.
bool GearmanDriver::offer(std::uint64_t number, std::span<const std::byte> payload) {
  if (client_->is_full()) return false;
  const std::string names =
      fmt::format("{}-{}\0{}\0"sv, workload_.topic, number % workload_.partitions, number);
  write_header(client_->out(), PacketType::submit_job_background, names.size() + payload.size());
  client_->out().append(names);
  client_->out().append(reinterpret_cast<const char*>(payload.data()), payload.size());
  return true;
}

Result<void> GearmanDriver::poll(Events& events) {
  if (auto pumped = client_->pump(); !pumped) return pumped;
  if (auto taken = take_answers(events); !taken || !worker_) return taken;
  if (auto pumped = worker_->pump(); !pumped) return pumped;
  return take_jobs(events);
}

Result<void> GearmanDriver::take_answers(Events& events) {
  while (true) {
    const auto packet = next_packet(*client_);
    if (!packet) return packet.error();
    if (!*packet) return {};
    if ((*packet)->type != PacketType::job_created) return unexpected((*packet)->type);
    events.acknowledged(answered_++);
  }
}

Result<void> GearmanDriver::take_jobs(Events& events) {
  while (true) {
    const auto packet = next_packet(*worker_);
    if (!packet) return packet.error();
    if (!*packet) return {};
    switch ((*packet)->type) {
      case PacketType::job_assign:
        if (auto taken = take_job((*packet)->data, events); !taken) return taken;
        break;
      case PacketType::no_job:
        if (--grabs_ == 0) write_header(worker_->out(), PacketType::pre_sleep, 0);
        break;
      case PacketType::noop:
        if (grabs_ == 0) grab();
        break;
      default:
        return unexpected((*packet)->type);
    }
  }
}

// Its handle, function and workload. Where one job was there may be more: asks for two.
Result<void> GearmanDriver::take_job(std::string_view data, Events& events) {
  const std::size_t handle_end = data.find('\0');
  const std::size_t function_end = data.find('\0', handle_end + 1);
  if (function_end == std::string_view::npos) return unexpected(PacketType::job_assign);
  const std::string_view handle = data.substr(0, handle_end + 1);
  const std::string_view function = data.substr(0, function_end);
  std::uint32_t partition = 0;
  std::from_chars(function.begin() + function.rfind('-') + 1, function.end(), partition);
  events.delivered(partition, std::as_bytes(std::span(data.substr(function_end + 1))));
  write_header(worker_->out(), PacketType::work_complete, handle.size());
  worker_->out().append(handle);
  --grabs_;
  while (grabs_ < 2) grab();
  if (grabs_ < grabs_max) grab();
  return {};
}

}  // namespace millrace::loadgen

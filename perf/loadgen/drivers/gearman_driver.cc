#include "perf/loadgen/drivers/gearman_driver.h"

#include <fmt/core.h>

#include "perf/loadgen/drivers/bytes.h"

namespace millrace::loadgen {

using base::Error;
using base::ErrorCode;
using base::Result;
using namespace std::string_view_literals;

namespace {

constexpr std::uint32_t grabs_max = 64;

Error refused(std::string_view text) { return Error(ErrorCode::unavailable, "gearman: {}", text); }

Error unexpected(GearmanType type) {
  return Error(ErrorCode::corrupt, "gearman: a packet of type {} came",
               static_cast<std::uint32_t>(type));
}

Result<std::optional<GearmanPacket>> next_packet(TcpStream& stream) {
  auto packet =
      take_message(stream, read_gearman, "gearman: what came does not read as a response");
  if (packet && *packet && (*packet)->type == GearmanType::error) return refused((*packet)->data);
  return packet;
}

}  // namespace

Result<void> GearmanDriver::prepare(const Workload& workload) {
  workload_ = workload;
  if (workload.consumes) {
    if (auto started = start_worker(); !started) return started;
  }
  if (!workload.publishes) return {};
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
    write_gearman_head(worker_->out(), GearmanType::can_do, function.size());
    worker_->out().append(function);
  }
  write_gearman_head(worker_->out(), GearmanType::echo_request, 0);
  Result<void> outcome;
  const auto is_done = [&] {
    const auto packet = next_packet(*worker_);
    if (!packet) outcome = packet.error();
    return !packet || (*packet && (*packet)->type == GearmanType::echo_response);
  };
  if (auto waited = worker_->wait_until(is_done, "an answer to ECHO_REQ"); !waited) return waited;
  grab();
  return outcome;
}

void GearmanDriver::grab() {
  write_gearman_head(worker_->out(), GearmanType::grab_job, 0);
  ++grabs_;
}

// What is unique is the number among all connections: jobs that have it in common are made one.
bool GearmanDriver::offer(std::uint64_t number, std::span<const std::byte> payload) {
  if (client_->is_full()) return false;
  const std::string names =
      fmt::format("{}-{}\0{}\0"sv, workload_.topic, number % workload_.partitions,
                  number * workload_.connections + workload_.member);
  write_gearman_head(client_->out(), GearmanType::submit_job_background,
                     names.size() + payload.size());
  client_->out().append(names).append(text_of(payload));
  return true;
}

Result<void> GearmanDriver::poll(Events& events) {
  if (auto taken = pump_and(client_, [&] { return take_answers(events); }); !taken) return taken;
  return pump_and(worker_, [&] { return take_jobs(events); });
}

Result<void> GearmanDriver::take_answers(Events& events) {
  while (true) {
    const auto packet = next_packet(*client_);
    if (!packet) return packet.error();
    if (!*packet) return {};
    if ((*packet)->type != GearmanType::job_created) return unexpected((*packet)->type);
    events.acknowledged(answered_++);
  }
}

Result<void> GearmanDriver::take_jobs(Events& events) {
  while (true) {
    const auto packet = next_packet(*worker_);
    if (!packet) return packet.error();
    if (!*packet) return {};
    const GearmanType type = (*packet)->type;
    const bool is_answer = type == GearmanType::job_assign || type == GearmanType::no_job;
    if (is_answer && grabs_ == 0) return unexpected(type);
    switch (type) {
      case GearmanType::job_assign:
        if (auto taken = take_job(**packet, events); !taken) return taken;
        break;
      case GearmanType::no_job:
        if (--grabs_ == 0) write_gearman_head(worker_->out(), GearmanType::pre_sleep, 0);
        break;
      case GearmanType::noop:
        if (grabs_ == 0) grab();
        break;
      default:
        return unexpected(type);
    }
  }
}

// Where one job was there may be more: asks for two.
Result<void> GearmanDriver::take_job(const GearmanPacket& job, Events& events) {
  const auto partition = partition_of(job.function, '-', workload_.partitions);
  if (!partition) {
    return Error(ErrorCode::corrupt, "gearman: a job of function '{}' came", job.function);
  }
  events.delivered(*partition, bytes_of(job.data));
  write_gearman_head(worker_->out(), GearmanType::work_complete, job.handle.size() + 1);
  worker_->out().append(job.handle).push_back('\0');
  --grabs_;
  while (grabs_ < 2) grab();
  if (grabs_ < grabs_max) grab();
  return {};
}

}  // namespace millrace::loadgen

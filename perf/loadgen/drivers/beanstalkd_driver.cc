#include "perf/loadgen/drivers/beanstalkd_driver.h"

#include <fmt/core.h>

#include <iterator>

#include "perf/loadgen/drivers/beanstalkd_reply.h"
#include "perf/loadgen/drivers/bytes.h"

namespace millrace::loadgen {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr std::size_t reader_count = 16;
constexpr int priority = 1024;
constexpr int seconds_to_run = 3600;  // longer than any run: no job is given out twice

Error refused(std::string_view text) {
  return Error(ErrorCode::unavailable, "beanstalkd: {}", text);
}

Result<std::optional<BeanstalkdReply>> next_reply(TcpStream& stream) {
  return take_message(stream, read_beanstalkd, "beanstalkd: what came does not read as a reply");
}

}  // namespace

Result<void> BeanstalkdDriver::prepare(const Workload& workload) {
  workload_ = workload;
  if (workload.publishes) {
    auto writer = TcpStream::connect(address_);
    if (!writer) return writer.error();
    writer_.emplace(std::move(*writer));
  }
  for (std::size_t i = 0; workload.consumes && i < reader_count; ++i) {
    if (auto added = add_reader(); !added) return added;
  }
  return {};
}

Result<void> BeanstalkdDriver::add_reader() {
  auto connected = TcpStream::connect(address_);
  if (!connected) return connected.error();
  TcpStream& reader = readers_.emplace_back(std::move(*connected));
  for (std::uint32_t i = 0; i < workload_.partitions; ++i) {
    fmt::format_to(std::back_inserter(reader.out()), "watch {}\r\n", tube(i));
  }
  reader.out().append("ignore default\r\n");
  std::uint32_t watching = 0;
  Result<void> outcome;
  const auto is_done = [&] {
    while (watching <= workload_.partitions) {
      const auto reply = next_reply(reader);
      if (!reply) outcome = reply.error();
      if (reply && !*reply) return false;
      if (reply && (*reply)->word != "WATCHING") outcome = refused((*reply)->line);
      if (!outcome) return true;
      ++watching;
    }
    return true;
  };
  if (auto waited = reader.wait_until(is_done, "an answer to watch"); !waited) return waited;
  if (!outcome) return outcome;
  reader.out().append("reserve\r\n");
  return {};
}

bool BeanstalkdDriver::offer(std::uint64_t number, std::span<const std::byte> payload) {
  if (writer_->is_full()) return false;
  auto out = std::back_inserter(writer_->out());
  const std::uint64_t partition = number % workload_.partitions;
  if (used_ != partition) fmt::format_to(out, "use {}\r\n", tube(partition));
  used_ = partition;
  fmt::format_to(out, "put {} 0 {} {}\r\n", priority, seconds_to_run, payload.size());
  writer_->out().append(text_of(payload)).append("\r\n");
  return true;
}

Result<void> BeanstalkdDriver::poll(Events& events) {
  if (auto taken = pump_and(writer_, [&] { return take_answers(events); }); !taken) return taken;
  for (std::uint32_t i = 0; i < readers_.size(); ++i) {
    if (auto pumped = readers_[i].pump(); !pumped) return pumped;
    if (auto taken = take_jobs(i, events); !taken) return taken;
  }
  return {};
}

Result<void> BeanstalkdDriver::take_answers(Events& events) {
  while (true) {
    const auto reply = next_reply(*writer_);
    if (!reply) return reply.error();
    if (!*reply) return {};
    if ((*reply)->word == "USING") continue;
    if ((*reply)->word != "INSERTED") return refused((*reply)->line);
    events.acknowledged(answered_++);
  }
}

Result<void> BeanstalkdDriver::take_jobs(std::uint32_t reader, Events& events) {
  TcpStream& stream = readers_[reader];
  bool has_asked = false;
  while (true) {
    const auto reply = next_reply(stream);
    if (!reply) return reply.error();
    if (!*reply) break;
    if ((*reply)->word == "DELETED") continue;
    if ((*reply)->word != "RESERVED") return refused((*reply)->line);
    events.delivered(reader, bytes_of((*reply)->body));
    fmt::format_to(std::back_inserter(stream.out()), "delete {}\r\nreserve\r\n", (*reply)->id);
    has_asked = true;
  }
  return has_asked ? stream.pump() : Result<void>();
}

std::string BeanstalkdDriver::tube(std::uint64_t partition) const {
  return fmt::format("{}-{}", workload_.topic, partition);
}

}  // namespace millrace::loadgen

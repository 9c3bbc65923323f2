#include "perf/loadgen/drivers/nsq_driver.h"

#include <fmt/core.h>

#include <iterator>

#include "perf/loadgen/drivers/bytes.h"
#include "perf/loadgen/drivers/nsq_frame.h"

namespace millrace::loadgen {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr std::string_view magic = "  V2";
constexpr int messages_in_flight_max = 2500;  // the most that nsqd grants by default
constexpr std::string_view unbuffered = R"({"output_buffer_size":-1,"output_buffer_timeout":-1})";

Error refused(std::string_view text) { return Error(ErrorCode::unavailable, "nsq: {}", text); }

Error unexpected(const NsqFrame& frame) {
  if (frame.type == NsqFrameType::response) return refused(frame.data);
  return Error(ErrorCode::corrupt, "nsq: a message came where an answer was due");
}

// A length, and what is that long.
void write_body(std::string& out, std::string_view body) {
  append_be(out, static_cast<std::uint32_t>(body.size()));
  out.append(body);
}

// The next frame that came, past heartbeats, which it answers.
Result<std::optional<NsqFrame>> next_frame(TcpStream& stream) {
  while (true) {
    auto frame = take_message(stream, read_nsq, "nsq: what came does not read as NSQ");
    if (!frame || !*frame) return frame;
    const auto& [type, id, data] = **frame;
    if (type == NsqFrameType::error) return refused(data);
    if (type != NsqFrameType::response || data != "_heartbeat_") return frame;
    stream.out().append("NOP\n");
  }
}

bool is_ok(const NsqFrame& frame) {
  return frame.type == NsqFrameType::response && frame.data == "OK";
}

Result<void> wait_for_ok(TcpStream& stream, std::string_view what) {
  Result<void> outcome;
  const auto is_done = [&] {
    const auto frame = next_frame(stream);
    if (!frame) outcome = frame.error();
    if (frame && *frame && !is_ok(**frame)) outcome = unexpected(**frame);
    return !frame || *frame;
  };
  if (auto waited = stream.wait_until(is_done, what); !waited) return waited;
  return outcome;
}

}  // namespace

Result<void> NsqDriver::prepare(const Workload& workload) {
  workload_ = workload;
  for (std::uint32_t i = 0; workload.consumes && i < workload.partitions; ++i) {
    if (auto added = add_reader(i); !added) return added;
  }
  if (!workload.publishes) return {};
  auto writer = connect();
  if (!writer) return writer.error();
  writer_.emplace(std::move(*writer));
  return {};
}

Result<TcpStream> NsqDriver::connect() {
  auto stream = TcpStream::connect(address_);
  if (!stream) return stream;
  stream->out().append(magic);
  return stream;
}

// Creates the topic and its channel as well.
Result<void> NsqDriver::add_reader(std::uint32_t partition) {
  auto connected = connect();
  if (!connected) return connected.error();
  TcpStream& reader = readers_.emplace_back(std::move(*connected));
  if (!buffers_) {
    reader.out().append("IDENTIFY\n");
    write_body(reader.out(), unbuffered);
    if (auto answered = wait_for_ok(reader, "an answer to IDENTIFY"); !answered) return answered;
  }
  fmt::format_to(std::back_inserter(reader.out()), "SUB {} load\n", topic(partition));
  if (auto answered = wait_for_ok(reader, "an answer to SUB"); !answered) return answered;
  fmt::format_to(std::back_inserter(reader.out()), "RDY {}\n", messages_in_flight_max);
  return {};
}

bool NsqDriver::offer(std::uint64_t number, std::span<const std::byte> payload) {
  if (writer_->is_full()) return false;
  fmt::format_to(std::back_inserter(writer_->out()), "PUB {}\n",
                 topic(number % workload_.partitions));
  write_body(writer_->out(), text_of(payload));
  return true;
}

Result<void> NsqDriver::poll(Events& events) {
  if (auto taken = pump_and(writer_, [&] { return take_answers(events); }); !taken) return taken;
  for (std::uint32_t i = 0; i < readers_.size(); ++i) {
    if (auto pumped = readers_[i].pump(); !pumped) return pumped;
    if (auto taken = take_messages(i, events); !taken) return taken;
  }
  return {};
}

Result<void> NsqDriver::take_answers(Events& events) {
  while (true) {
    const auto frame = next_frame(*writer_);
    if (!frame) return frame.error();
    if (!*frame) return {};
    if (!is_ok(**frame)) return unexpected(**frame);
    events.acknowledged(answered_++);
  }
}

Result<void> NsqDriver::take_messages(std::uint32_t partition, Events& events) {
  TcpStream& reader = readers_[partition];
  while (true) {
    const auto frame = next_frame(reader);
    if (!frame) return frame.error();
    if (!*frame) return {};
    if ((*frame)->type != NsqFrameType::message) return unexpected(**frame);
    events.delivered(partition, bytes_of((*frame)->data));
    reader.out().append("FIN ").append((*frame)->id).append("\n");
  }
}

std::string NsqDriver::topic(std::uint64_t partition) const {
  return fmt::format("{}-{}", workload_.topic, partition);
}

}  // namespace millrace::loadgen

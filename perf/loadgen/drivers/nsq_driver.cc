#include "perf/loadgen/drivers/nsq_driver.h"

#include <fmt/format.h>

#include <array>
#include <iterator>
#include <utility>

#include "dataplane/base/wire.h"

namespace millrace::loadgen {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr std::string_view magic = "  V2";
constexpr int messages_in_flight_max = 2500;  // the most that nsqd grants by default
constexpr std::string_view unbuffered = R"({"output_buffer_size":-1,"output_buffer_timeout":-1})";

enum class FrameType : std::uint32_t { response, error, message };

struct Frame {
  FrameType type;
  std::string_view data;
};

// Of a message: its time and attempts, then its id, then its body.
constexpr std::size_t id_at = 10;
constexpr std::size_t body_at = 26;

Error refused(std::string_view text) { return Error(ErrorCode::unavailable, "nsq: {}", text); }

std::uint32_t read_u32(std::string_view bytes, std::size_t at) {
  return base::load_be<std::uint32_t>(reinterpret_cast<const std::byte*>(bytes.data() + at));
}

// A length, and what is that long.
void write_body(std::string& out, std::string_view body) {
  std::array<std::byte, 4> length{};
  base::store_be(length.data(), static_cast<std::uint32_t>(body.size()));
  out.append(reinterpret_cast<const char*>(length.data()), length.size()).append(body);
}

// The next frame that came, past heartbeats, which it answers. Its data holds until the stream is
// pumped.
Result<std::optional<Frame>> next_frame(TcpStream& stream) {
  while (true) {
    const std::string_view in = stream.in();
    if (in.size() < 8) return std::optional<Frame>();
    const std::uint32_t bytes = read_u32(in, 0);
    if (bytes < 4) return Error(ErrorCode::corrupt, "nsq: a frame of {} bytes", bytes);
    if (in.size() - 4 < bytes) return std::optional<Frame>();
    const Frame frame{.type = FrameType{read_u32(in, 4)}, .data = in.substr(8, bytes - 4)};
    stream.take(4 + bytes);
    if (frame.type == FrameType::error) return refused(frame.data);
    if (frame.type == FrameType::message && frame.data.size() < body_at) {
      return Error(ErrorCode::corrupt, "nsq: a message of {} bytes", frame.data.size());
    }
    if (frame.type != FrameType::response || frame.data != "_heartbeat_") {
      return std::optional<Frame>(frame);
    }
    stream.out().append("NOP\n");
  }
}

Result<void> wait_for_ok(TcpStream& stream, std::string_view what) {
  Result<void> outcome;
  const auto is_done = [&] {
    const auto frame = next_frame(stream);
    if (!frame) outcome = frame.error();
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
  write_body(writer_->out(), {reinterpret_cast<const char*>(payload.data()), payload.size()});
  return true;
}

Result<void> NsqDriver::poll(Events& events) {
  if (auto pumped = writer_->pump(); !pumped) return pumped;
  if (auto taken = take_answers(events); !taken) return taken;
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
    if ((*frame)->data != "OK") return refused((*frame)->data);
    events.acknowledged(answered_++);
  }
}

Result<void> NsqDriver::take_messages(std::uint32_t partition, Events& events) {
  TcpStream& reader = readers_[partition];
  while (true) {
    const auto frame = next_frame(reader);
    if (!frame) return frame.error();
    if (!*frame) return {};
    const std::string_view data = (*frame)->data;
    if ((*frame)->type != FrameType::message) return refused(data);
    events.delivered(partition, std::as_bytes(std::span(data.substr(body_at))));
    reader.out().append("FIN ").append(data.substr(id_at, body_at - id_at)).append("\n");
  }
}

std::string NsqDriver::topic(std::uint64_t partition) const {
  return fmt::format("{}-{}", workload_.topic, partition);
}

}  // namespace millrace::loadgen

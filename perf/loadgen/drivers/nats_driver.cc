#include "perf/loadgen/drivers/nats_driver.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>

namespace millrace::loadgen {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

// What NATS's own client lets wait for its answer; a server refuses what is far beyond.
constexpr std::uint64_t unanswered_max = 4000;
constexpr std::string_view connect_line =
    R"(CONNECT {"verbose":false,"pedantic":false,"headers":true,"lang":"c++","version":"1"})"
    "\r\n";
constexpr std::string_view control_status = "NATS/1.0 100";

struct Message {
  std::string_view subject;
  std::string_view reply = {};
  std::string_view headers = {};
  std::string_view payload = {};
};

Error refused(std::string_view text) { return Error(ErrorCode::unavailable, "nats: {}", text); }

Error not_nats() { return Error(ErrorCode::corrupt, "nats: what came does not read as NATS"); }

template <typename Number>
bool read_number(std::string_view digits, Number& number) {
  const auto read = std::from_chars(digits.begin(), digits.end(), number);
  return read.ec == std::errc() && read.ptr == digits.end();
}

// Partition or number: what follows the last dot.
std::string_view tail_of(std::string_view subject) {
  return subject.substr(subject.rfind('.') + 1);
}

// MSG subject id [reply] bytes, or HMSG subject id [reply] header-bytes all-bytes. Nothing yet:
// not all of it is there.
Result<std::optional<Message>> take_message(TcpStream& stream, std::string_view line,
                                            std::size_t body_at) {
  std::array<std::string_view, 6> words;
  std::size_t count = 0;
  for (std::size_t at = 0; at < line.size() && count < words.size();) {
    const std::size_t end = std::min(line.find(' ', at), line.size());
    if (end > at) words[count++] = line.substr(at, end - at);
    at = end + 1;
  }
  const std::size_t numbers = words[0] == "HMSG" ? 2 : 1;
  std::size_t header_bytes = 0;
  std::size_t bytes = 0;
  if (count < 3 + numbers || !read_number(words[count - 1], bytes) ||
      (numbers == 2 && !read_number(words[count - 2], header_bytes)) || header_bytes > bytes) {
    return not_nats();
  }
  if (stream.in().size() < body_at + bytes + 2) return std::optional<Message>();
  const std::string_view body = stream.in().substr(body_at, bytes);
  stream.take(body_at + bytes + 2);
  return std::optional<Message>(
      Message{.subject = words[1],
              .reply = count == 4 + numbers ? words[3] : std::string_view(),
              .headers = body.substr(0, header_bytes),
              .payload = body.substr(header_bytes)});
}

// The next message or PONG that came, past all else; answers PING. Its views hold until the stream
// is pumped.
Result<std::optional<Message>> next_message(TcpStream& stream) {
  while (true) {
    const std::string_view in = stream.in();
    const std::size_t end = in.find("\r\n");
    if (end == std::string_view::npos) return std::optional<Message>();
    const std::string_view line = in.substr(0, end);
    if (line.starts_with("MSG ") || line.starts_with("HMSG ")) {
      return take_message(stream, line, end + 2);
    }
    if (line.starts_with("-ERR")) return refused(line);
    stream.take(end + 2);
    if (line == "PING") stream.out().append("PONG\r\n");
    if (line == "PONG") return std::optional<Message>(Message{.subject = line});
  }
}

// Takes messages until one has this subject: an answer, or PONG.
Result<void> wait_for(TcpStream& stream, std::string_view subject, std::string& payload) {
  Result<void> outcome;
  const auto is_done = [&] {
    while (true) {
      const auto message = next_message(stream);
      if (!message) {
        outcome = message.error();
        return true;
      }
      if (!*message) return false;
      if ((*message)->subject != subject) continue;
      payload = (*message)->payload;
      return true;
    }
  };
  if (auto waited = stream.wait_until(is_done, subject); !waited) return waited;
  return outcome;
}

Result<TcpStream> connect(const std::string& address) {
  auto stream = TcpStream::connect(address);
  if (!stream) return stream;
  stream->out().append(connect_line).append("PING\r\n");
  std::string none;
  if (auto answered = wait_for(*stream, "PONG", none); !answered) return answered.error();
  return stream;
}

}  // namespace

NatsDriver::~NatsDriver() {
  if (!has_stream_) return;
  static_cast<void>(request("$JS.API.STREAM.DELETE." + workload_.topic, ""));
}

Result<void> NatsDriver::prepare(const Workload& workload) {
  if (kind_ == NatsKind::core && !workload.consumes) {
    return Error(
        ErrorCode::invalid_argument,
        "nats: core answers for nothing that is published, so it cannot be measured alone");
  }
  workload_ = workload;
  answers_ = fmt::format("_INBOX.{}.answer.", workload.topic);
  delivery_ = fmt::format("_INBOX.{}.delivery", workload.topic);
  auto writer = connect(address_);
  if (!writer) return writer.error();
  writer_.emplace(std::move(*writer));
  if (kind_ == NatsKind::jetstream) {
    if (auto created = create_stream(); !created) return created;
  }
  if (!workload.consumes) return {};
  if (auto subscribed = subscribe(); !subscribed) return subscribed;
  if (kind_ == NatsKind::core) return {};
  return create_consumer();
}

Result<void> NatsDriver::create_stream() {
  fmt::format_to(std::back_inserter(writer_->out()), "SUB {}* 1\r\n", answers_);
  const std::string subject = "$JS.API.STREAM.CREATE." + workload_.topic;
  const std::string settings = fmt::format(
      R"({{"name":"{0}","subjects":["{0}.*"],"storage":"file","retention":"limits",)"
      R"("discard":"old","num_replicas":1,"max_consumers":-1,"max_msgs":-1,"max_bytes":-1}})",
      workload_.topic);
  if (auto answered = request(subject, settings); !answered) return answered;
  has_stream_ = true;
  return {};
}

Result<void> NatsDriver::subscribe() {
  auto reader = connect(address_);
  if (!reader) return reader.error();
  reader_.emplace(std::move(*reader));
  const std::string subject =
      kind_ == NatsKind::core ? fmt::format("{}.*", workload_.topic) : delivery_;
  fmt::format_to(std::back_inserter(reader_->out()), "SUB {} 1\r\nPING\r\n", subject);
  std::string none;
  return wait_for(*reader_, "PONG", none);
}

Result<void> NatsDriver::create_consumer() {
  const std::string settings = fmt::format(
      R"({{"stream_name":"{}","config":{{"deliver_subject":"{}","deliver_policy":"all",)"
      R"("ack_policy":"none","replay_policy":"instant","flow_control":true,)"
      R"("idle_heartbeat":5000000000,"mem_storage":true,"num_replicas":1}}}})",
      workload_.topic, delivery_);
  return request("$JS.API.CONSUMER.CREATE." + workload_.topic, settings);
}

// Asks JetStream; what it refuses is an error in its words.
Result<void> NatsDriver::request(std::string_view subject, std::string_view body) {
  const std::string answer = answers_ + "api";
  std::string& out = writer_->out();
  out.append("PUB ").append(subject).append(" ").append(answer).append(" ");
  out.append(std::to_string(body.size())).append("\r\n").append(body).append("\r\n");
  std::string payload;
  if (auto answered = wait_for(*writer_, answer, payload); !answered) return answered;
  if (payload.empty()) return refused("JetStream is not enabled");
  if (payload.find(R"("error":)") != std::string::npos) return refused(payload);
  return {};
}

bool NatsDriver::offer(std::uint64_t number, std::span<const std::byte> payload) {
  if (writer_->is_full() || unanswered_ == unanswered_max) return false;
  auto out = std::back_inserter(writer_->out());
  const std::uint64_t partition = number % workload_.partitions;
  if (kind_ == NatsKind::core) {
    fmt::format_to(out, "PUB {}.{} {}\r\n", workload_.topic, partition, payload.size());
  } else {
    fmt::format_to(out, "PUB {}.{} {}{} {}\r\n", workload_.topic, partition, answers_, number,
                   payload.size());
    ++unanswered_;
  }
  writer_->out().append(reinterpret_cast<const char*>(payload.data()), payload.size());
  writer_->out().append("\r\n");
  return true;
}

Result<void> NatsDriver::poll(Events& events) {
  if (auto pumped = writer_->pump(); !pumped) return pumped;
  if (auto taken = take_answers(events); !taken || !reader_) return taken;
  if (auto pumped = reader_->pump(); !pumped) return pumped;
  return take_messages(events);
}

Result<void> NatsDriver::take_answers(Events& events) {
  while (true) {
    const auto message = next_message(*writer_);
    if (!message) return message.error();
    if (!*message) return {};
    const std::string_view payload = (*message)->payload;
    std::uint64_t number = 0;
    if (payload.empty()) return refused("no stream takes what is published");
    if (payload.find(R"("error":)") != std::string_view::npos) return refused(payload);
    if (!read_number(tail_of((*message)->subject), number)) return not_nats();
    --unanswered_;
    events.acknowledged(number);
  }
}

Result<void> NatsDriver::take_messages(Events& events) {
  while (true) {
    const auto message = next_message(*reader_);
    if (!message) return message.error();
    if (!*message) return {};
    if ((*message)->headers.starts_with(control_status)) {
      const std::string_view reply = (*message)->reply;
      if (!reply.empty()) reader_->out().append("PUB ").append(reply).append(" 0\r\n\r\n");
      continue;
    }
    std::uint32_t partition = 0;
    if (!read_number(tail_of((*message)->subject), partition)) return not_nats();
    events.delivered(partition, std::as_bytes(std::span((*message)->payload)));
  }
}

}  // namespace millrace::loadgen

#include "perf/loadgen/drivers/nats_driver.h"

#include <fmt/core.h>

#include <iterator>

#include "perf/loadgen/drivers/bytes.h"
#include "perf/loadgen/drivers/nats_message.h"

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

Error refused(std::string_view text) { return Error(ErrorCode::unavailable, "nats: {}", text); }

Error unexpected(std::string_view subject) {
  return Error(ErrorCode::corrupt, "nats: a message of subject '{}' came", subject);
}

// The next message or PONG that came, past all else; answers PING.
Result<std::optional<NatsMessage>> next_message(TcpStream& stream) {
  while (true) {
    auto message = take_message(stream, read_nats, "nats: what came does not read as NATS");
    if (!message || !*message) return message;
    switch ((*message)->verb) {
      case NatsVerb::error:
        return refused((*message)->line);
      case NatsVerb::ping:
        stream.out().append("PONG\r\n");
        break;
      case NatsVerb::pong:
      case NatsVerb::message:
        return message;
      case NatsVerb::info:
      case NatsVerb::ok:
        break;
    }
  }
}

// Takes messages until one has this subject; its payload. No subject: until PONG.
Result<std::string> wait_for(TcpStream& stream, std::string_view subject) {
  Result<std::string> payload(std::string{});
  const auto is_done = [&] {
    while (true) {
      const auto message = next_message(stream);
      if (!message) payload = message.error();
      if (!message) return true;
      if (!*message) return false;
      if ((*message)->subject != subject) continue;
      payload = std::string((*message)->payload);
      return true;
    }
  };
  const std::string_view what = subject.empty() ? "PONG" : subject;
  if (auto waited = stream.wait_until(is_done, what); !waited) return waited.error();
  return payload;
}

Result<TcpStream> connect(const std::string& address) {
  auto stream = TcpStream::connect(address);
  if (!stream) return stream;
  stream->out().append(connect_line).append("PING\r\n");
  if (auto answered = wait_for(*stream, ""); !answered) return answered.error();
  return stream;
}

}  // namespace

NatsDriver::~NatsDriver() {
  if (!has_stream_) return;
  static_cast<void>(request("$JS.API.STREAM.DELETE." + workload_.topic, ""));
}

Result<void> NatsDriver::prepare(const Workload& workload) {
  if (kind_ == NatsKind::core && !workload.consumes && workload.makes_topic) {
    return Error(
        ErrorCode::invalid_argument,
        "nats: core answers for nothing that is published, so it cannot be measured alone");
  }
  workload_ = workload;
  answers_ = fmt::format("_INBOX.{}-{}.answer.", workload.topic, workload.member);
  delivery_ = fmt::format("_INBOX.{}-{}.delivery", workload.topic, workload.member);
  // A consumer of a stream is asked for through it, too.
  if (workload.publishes || kind_ == NatsKind::jetstream) {
    auto writer = connect(address_);
    if (!writer) return writer.error();
    writer_.emplace(std::move(*writer));
  }
  if (kind_ == NatsKind::jetstream) {
    fmt::format_to(std::back_inserter(writer_->out()), "SUB {}* 1\r\n", answers_);
    if (auto created = create_stream(); !created) return created;
  }
  if (!workload.consumes) return {};
  if (auto subscribed = subscribe(); !subscribed) return subscribed;
  if (kind_ == NatsKind::core) return {};
  return create_consumer();
}

Result<void> NatsDriver::create_stream() {
  if (!workload_.makes_topic) return {};
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
  if (auto answered = wait_for(*reader_, ""); !answered) return answered.error();
  return {};
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
  const auto payload = wait_for(*writer_, answer);
  if (!payload) return payload.error();
  if (payload->empty()) return refused("JetStream is not enabled");
  if (payload->find(R"("error":)") != std::string::npos) return refused(*payload);
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
  writer_->out().append(text_of(payload)).append("\r\n");
  return true;
}

Result<void> NatsDriver::poll(Events& events) {
  if (auto taken = pump_and(writer_, [&] { return take_answers(events); }); !taken) return taken;
  return pump_and(reader_, [&] { return take_messages(events); });
}

Result<void> NatsDriver::take_answers(Events& events) {
  while (true) {
    const auto message = next_message(*writer_);
    if (!message) return message.error();
    if (!*message) return {};
    const std::string_view payload = (*message)->payload;
    if (payload.empty()) return refused("no stream takes what is published");
    if (payload.find(R"("error":)") != std::string_view::npos) return refused(payload);
    const std::string_view subject = (*message)->subject;
    const auto number = read_number<std::uint64_t>(subject.substr(subject.rfind('.') + 1));
    if (!number || unanswered_ == 0) return unexpected(subject);
    --unanswered_;
    events.acknowledged(*number);
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
    const auto partition = partition_of((*message)->subject, '.', workload_.partitions);
    if (!partition) return unexpected((*message)->subject);
    events.delivered(*partition, bytes_of((*message)->payload));
  }
}

}  // namespace millrace::loadgen

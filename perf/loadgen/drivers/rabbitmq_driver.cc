#include "perf/loadgen/drivers/rabbitmq_driver.h"

#include <amqp_tcp_socket.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "perf/loadgen/drivers/bytes.h"

namespace millrace::loadgen {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr amqp_channel_t channel = 1;
constexpr std::uint16_t prefetch = 1000;
constexpr std::uint64_t messages_per_ack = 100;
constexpr int frames_per_poll = 1024;
constexpr std::size_t out_bytes_max = 1 << 20;
constexpr std::size_t frame_overhead = 8;  // type, channel, size; end
constexpr char frame_end = '\xCE';

Error refused(std::string_view text) { return Error(ErrorCode::unavailable, "rabbitmq: {}", text); }

std::string_view text_of(amqp_bytes_t bytes) {
  return {static_cast<const char*>(bytes.bytes), bytes.len};
}

amqp_bytes_t amqp_bytes_of(const std::string& text) {
  return {text.size(), const_cast<char*>(text.data())};
}

void append_frame_head(std::string& out, std::uint8_t type, std::size_t bytes) {
  append_be(out, type);
  append_be(out, channel);
  append_be(out, static_cast<std::uint32_t>(bytes));
}

// basic.publish to the default exchange, and the head of a message of so many bytes.
std::string publish_frames(const std::string& queue, std::size_t bytes, bool is_persistent) {
  std::string method;
  append_be<std::uint32_t>(method, AMQP_BASIC_PUBLISH_METHOD);
  append_be<std::uint16_t>(method, 0);  // ticket
  append_be<std::uint8_t>(method, 0);   // exchange
  append_be(method, static_cast<std::uint8_t>(queue.size()));
  method += queue;
  append_be<std::uint8_t>(method, 1);  // mandatory
  std::string header;
  append_be<std::uint16_t>(header, AMQP_BASIC_CLASS);
  append_be<std::uint16_t>(header, 0);  // weight
  append_be<std::uint64_t>(header, bytes);
  append_be<std::uint16_t>(header, AMQP_BASIC_DELIVERY_MODE_FLAG);
  append_be<std::uint8_t>(header, is_persistent ? 2 : 1);
  std::string out;
  append_frame_head(out, AMQP_FRAME_METHOD, method.size());
  out += method + frame_end;
  append_frame_head(out, AMQP_FRAME_HEADER, header.size());
  out += header + frame_end;
  return out;
}

// What the server, or else the library, has to say against it.
std::optional<Error> problem(const amqp_rpc_reply_t& reply) {
  if (reply.reply_type == AMQP_RESPONSE_NORMAL) return {};
  if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) {
    return refused(amqp_error_string2(reply.library_error));
  }
  if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
    return refused(
        text_of(static_cast<const amqp_channel_close_t*>(reply.reply.decoded)->reply_text));
  }
  if (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
    return refused(
        text_of(static_cast<const amqp_connection_close_t*>(reply.reply.decoded)->reply_text));
  }
  return refused("an answer of another kind");
}

// A method that nobody asked for: an error if it says that something is not as it was.
std::optional<Error> problem(const amqp_method_t& method) {
  switch (method.id) {
    case AMQP_BASIC_NACK_METHOD:
      return refused("basic.nack: a message was not taken");
    case AMQP_BASIC_RETURN_METHOD:
      return refused(text_of(static_cast<const amqp_basic_return_t*>(method.decoded)->reply_text));
    case AMQP_BASIC_CANCEL_METHOD:
      return refused("basic.cancel: a queue is gone");
    case AMQP_CHANNEL_CLOSE_METHOD:
      return refused(text_of(static_cast<const amqp_channel_close_t*>(method.decoded)->reply_text));
    case AMQP_CONNECTION_CLOSE_METHOD:
      return refused(
          text_of(static_cast<const amqp_connection_close_t*>(method.decoded)->reply_text));
    default:
      return {};
  }
}

Result<AmqpConnection> connect(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  const auto port = read_number<std::uint16_t>(std::string_view(address).substr(colon + 1));
  if (colon == std::string::npos || !port) {
    return Error(ErrorCode::invalid_argument, "rabbitmq: address {} is not HOST:PORT", address);
  }
  AmqpConnection connection(amqp_new_connection());
  amqp_socket_t* const socket = amqp_tcp_socket_new(connection.get());
  const int opened = amqp_socket_open(socket, address.substr(0, colon).c_str(), *port);
  if (opened != AMQP_STATUS_OK) return refused(amqp_error_string2(opened));
  if (auto error = problem(amqp_login(connection.get(), "/", 0, AMQP_DEFAULT_FRAME_SIZE, 0,
                                      AMQP_SASL_METHOD_PLAIN, "guest", "guest"))) {
    return *error;
  }
  amqp_channel_open(connection.get(), channel);
  if (auto error = problem(amqp_get_rpc_reply(connection.get()))) return *error;
  return connection;
}

// False: none has come.
Result<bool> next_frame(amqp_connection_state_t connection, amqp_frame_t& frame) {
  const timeval at_once{};
  const int status = amqp_simple_wait_frame_noblock(connection, &frame, &at_once);
  if (status == AMQP_STATUS_TIMEOUT) return false;
  if (status != AMQP_STATUS_OK) return refused(amqp_error_string2(status));
  return true;
}

}  // namespace

void AmqpClose::operator()(amqp_connection_state_t connection) const {
  amqp_destroy_connection(connection);
}

// Over a connection of its own, for what went wrong may have closed the others' channels.
RabbitMqDriver::~RabbitMqDriver() {
  if (!has_queues_) return;
  publisher_.reset();
  consumer_.reset();
  const auto connection = connect(options_.address);
  if (!connection) return;
  for (std::size_t i = 0; i < workload_.partitions; ++i) {
    amqp_queue_delete(connection->get(), channel, amqp_bytes_of(queue(i)), 0, 0);
  }
  amqp_connection_close(connection->get(), AMQP_REPLY_SUCCESS);
}

Result<void> RabbitMqDriver::prepare(const Workload& workload) {
  workload_ = workload;
  if (workload.publishes || workload.makes_topic) {
    auto publisher = connect(options_.address);
    if (!publisher) return publisher.error();
    publisher_ = std::move(*publisher);
    if (auto declared = declare_queues(); !declared) return declared;
    amqp_confirm_select(publisher_.get(), channel);
    if (auto error = problem(amqp_get_rpc_reply(publisher_.get()))) return *error;
  }
  if (!workload_.consumes) return {};
  return consume();
}

Result<void> RabbitMqDriver::declare_queues() {
  std::array<amqp_table_entry_t, 1> entries{};
  entries[0].key = amqp_cstring_bytes("x-queue-type");
  entries[0].value.kind = AMQP_FIELD_KIND_UTF8;
  entries[0].value.value.bytes = amqp_bytes_of(options_.queue_type);
  const amqp_table_t arguments{.num_entries = entries.size(), .entries = entries.data()};
  for (std::size_t i = 0; i < workload_.partitions; ++i) {
    const std::string name = queue(i);
    amqp_queue_declare(publisher_.get(), channel, amqp_bytes_of(name), 0, 1, 0, 0, arguments);
    if (auto error = problem(amqp_get_rpc_reply(publisher_.get()))) return *error;
    publish_frames_.push_back(
        publish_frames(name, workload_.payload_bytes, options_.is_persistent));
  }
  has_queues_ = workload_.makes_topic;
  return {};
}

// The tag of each consumer is its partition.
Result<void> RabbitMqDriver::consume() {
  auto consumer = connect(options_.address);
  if (!consumer) return consumer.error();
  consumer_ = std::move(*consumer);
  amqp_basic_qos(consumer_.get(), channel, 0, prefetch, 0);
  if (auto error = problem(amqp_get_rpc_reply(consumer_.get()))) return *error;
  for (std::size_t i = 0; i < workload_.partitions; ++i) {
    amqp_basic_consume(consumer_.get(), channel, amqp_bytes_of(queue(i)),
                       amqp_bytes_of(std::to_string(i)), 0, 0, 0, amqp_empty_table);
    if (auto error = problem(amqp_get_rpc_reply(consumer_.get()))) return *error;
  }
  return {};
}

std::string RabbitMqDriver::queue(std::size_t partition) const {
  return workload_.topic + "-" + std::to_string(partition);
}

bool RabbitMqDriver::offer(std::uint64_t number, std::span<const std::byte> payload) {
  if (out_.size() - sent_ > out_bytes_max) return false;
  const std::size_t body_bytes_max =
      static_cast<std::size_t>(amqp_get_frame_max(publisher_.get())) - frame_overhead;
  out_ += publish_frames_[number % publish_frames_.size()];
  while (!payload.empty()) {
    const auto part = payload.first(std::min(payload.size(), body_bytes_max));
    append_frame_head(out_, AMQP_FRAME_BODY, part.size());
    out_.append(text_of(part));
    out_ += frame_end;
    payload = payload.subspan(part.size());
  }
  confirmed_.push_back(false);
  return true;
}

Result<void> RabbitMqDriver::poll(Events& events) {
  if (publisher_) {
    if (auto sent = send_some(); !sent) return sent;
    if (auto taken = take_confirms(events); !taken) return taken;
  }
  if (!consumer_) return {};
  return take_messages(events);
}

Result<void> RabbitMqDriver::send_some() {
  while (sent_ < out_.size()) {
    const auto bytes = ::send(amqp_get_sockfd(publisher_.get()), out_.data() + sent_,
                              out_.size() - sent_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return {};
    // The server tells why it left before it closes.
    if (bytes < 0 && errno != EPIPE && errno != ECONNRESET) return refused(std::strerror(errno));
    if (bytes < 0) return {};
    sent_ += static_cast<std::size_t>(bytes);
  }
  out_.clear();
  sent_ = 0;
  return {};
}

Result<void> RabbitMqDriver::take_confirms(Events& events) {
  amqp_frame_t frame;
  for (int i = 0; i < frames_per_poll; ++i) {
    const auto has_come = next_frame(publisher_.get(), frame);
    if (!has_come) return has_come.error();
    if (!*has_come) break;
    if (frame.frame_type != AMQP_FRAME_METHOD) continue;
    if (auto error = problem(frame.payload.method)) return *error;
    if (frame.payload.method.id == AMQP_BASIC_ACK_METHOD) {
      const auto* ack = static_cast<const amqp_basic_ack_t*>(frame.payload.method.decoded);
      confirm(ack->delivery_tag, ack->multiple != 0, events);
    }
  }
  amqp_maybe_release_buffers(publisher_.get());
  return {};
}

// Tags are numbers counted from 1.
void RabbitMqDriver::confirm(std::uint64_t tag, bool is_multiple, Events& events) {
  for (std::uint64_t number = is_multiple ? lowest_ : tag - 1; number < tag; ++number) {
    if (number < lowest_ || number - lowest_ >= confirmed_.size()) continue;
    if (confirmed_[number - lowest_]) continue;
    confirmed_[number - lowest_] = true;
    events.acknowledged(number);
  }
  for (; !confirmed_.empty() && confirmed_.front(); ++lowest_) confirmed_.pop_front();
}

Result<void> RabbitMqDriver::take_messages(Events& events) {
  amqp_frame_t frame;
  for (int i = 0; i < frames_per_poll; ++i) {
    const auto has_come = next_frame(consumer_.get(), frame);
    if (!has_come) return has_come.error();
    if (!*has_come) break;
    if (auto taken = take_frame(frame, events); !taken) return taken;
    if (taken_ - acknowledged_ < messages_per_ack) continue;
    if (auto acknowledged = acknowledge(); !acknowledged) return acknowledged;
  }
  amqp_maybe_release_buffers(consumer_.get());
  return acknowledge();
}

Result<void> RabbitMqDriver::take_frame(const amqp_frame_t& frame, Events& events) {
  switch (frame.frame_type) {
    case AMQP_FRAME_METHOD: {
      if (auto error = problem(frame.payload.method)) return *error;
      if (frame.payload.method.id != AMQP_BASIC_DELIVER_METHOD) return {};
      const auto* deliver = static_cast<const amqp_basic_deliver_t*>(frame.payload.method.decoded);
      const std::string_view tag = text_of(deliver->consumer_tag);
      const auto partition = read_number<std::uint32_t>(tag);
      if (!partition || *partition >= workload_.partitions) {
        return Error(ErrorCode::corrupt, "rabbitmq: a message of consumer tag '{}' came", tag);
      }
      arriving_.source = *partition;
      arriving_.tag = deliver->delivery_tag;
      return {};
    }
    case AMQP_FRAME_HEADER:
      arriving_.bytes = frame.payload.properties.body_size;
      arriving_.payload.clear();
      return {};
    case AMQP_FRAME_BODY: {
      const auto bytes = bytes_of(text_of(frame.payload.body_fragment));
      arriving_.payload.insert(arriving_.payload.end(), bytes.begin(), bytes.end());
      if (arriving_.payload.size() < arriving_.bytes) return {};
      taken_ = arriving_.tag;
      events.delivered(arriving_.source, arriving_.payload);
      return {};
    }
    default:
      return {};
  }
}

// Up to the last message that came whole.
Result<void> RabbitMqDriver::acknowledge() {
  if (taken_ == acknowledged_) return {};
  const int status = amqp_basic_ack(consumer_.get(), channel, taken_, 1);
  if (status != AMQP_STATUS_OK) return refused(amqp_error_string2(status));
  acknowledged_ = taken_;
  return {};
}

}  // namespace millrace::loadgen

// Any bytes as a native packet: decoded or refused, and what decodes is read within its bounds.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "dataplane/protocol/native/codec.h"

namespace {

using namespace millrace::native;

std::uint64_t read_all(const Request& request) {
  const auto body = request.body;
  std::uint64_t sum = 0;
  switch (request.header.type) {
    case PacketType::hello:
      return load_hello(body).cookie[1];
    case PacketType::cookie:
      return load_cookie(body).cookie[1];
    case PacketType::welcome:
      return load_welcome(body).server_ns;
    case PacketType::open:
      for (const char c : load_open(body).topic) sum += static_cast<unsigned char>(c);
      return sum;
    case PacketType::open_ack:
      return load_open_ack(body).accepted;
    case PacketType::close:
    case PacketType::unsubscribe:
      return load_close(body).handle;
    case PacketType::close_ack:
    case PacketType::unsub_ack:
      return load_close_ack(body).request_id;
    case PacketType::data:
      for (const std::byte b : data_payload(body)) sum += static_cast<std::uint64_t>(b);
      return sum;
    case PacketType::push:
      for (const std::byte b : push_payload(body)) sum += static_cast<std::uint64_t>(b);
      return sum;
    case PacketType::ack:
      for (std::uint32_t i = 0; i < ack_entry_count(body); ++i) {
        sum += load_ack_entry(body, i).durable;
      }
      return sum;
    case PacketType::nak:
      for (std::uint32_t i = 0; i < nak_range_count(body); ++i) {
        sum += load_nak_range(body, i).first;
      }
      return sum;
    case PacketType::ping:
      return load_ping(body).srtt_ns;
    case PacketType::pong:
      return load_pong(body).received_ns;
    case PacketType::subscribe:
      return static_cast<std::uint64_t>(load_subscribe(body).value);
    case PacketType::sub_ack:
      return static_cast<std::uint64_t>(load_sub_ack(body).log_end);
    case PacketType::beat:
      return static_cast<std::uint64_t>(load_beat(body).log_end);
    case PacketType::error:
      for (const char c : load_error(body).text) sum += static_cast<unsigned char>(c);
      return sum;
    case PacketType::end:
      return static_cast<std::uint64_t>(load_end(body).code);
  }
  return 0;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  if (bytes > 65'507) return 0;
  // Of exactly this size, so that a read past the end is seen.
  const std::vector<std::byte> packet(reinterpret_cast<const std::byte*>(data),
                                      reinterpret_cast<const std::byte*>(data) + bytes);
  Request request;
  const auto reason =
      decode_request(packet.data(), static_cast<std::uint32_t>(packet.size()), request);
  if (reason != millrace::base::DropReason::none) return 0;
  static volatile std::uint64_t sink = 0;
  sink = sink + read_all(request);
  return 0;
}

#include "dataplane/protocol/native/codec.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace millrace::native {
namespace {

using base::DropReason;

Header header_of(PacketType type) {
  const bool sequenced = type == PacketType::data || type == PacketType::push;
  return {type, make_id(5, 9), sequenced ? sequence_max : 0, flag_repair | flag_ack_now, 123, 456};
}

class Packet {
 public:
  template <typename Body>
  Packet(PacketType type, const Body& body) : bytes_(2048) {
    bytes_.resize(encode(bytes_.data(), header_of(type), body));
  }
  explicit Packet(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}

  DropReason decode() { return decode(bytes_.size()); }
  DropReason decode(std::size_t bytes) {
    return decode_request(bytes_.data(), static_cast<std::uint32_t>(bytes), request);
  }
  std::vector<std::byte>& bytes() { return bytes_; }
  void set(std::size_t at, std::uint8_t value) { bytes_[at] = static_cast<std::byte>(value); }

  Request request;

 private:
  std::vector<std::byte> bytes_;
};

Packet data_packet(std::uint16_t flags, std::uint32_t payload_bytes) {
  std::vector<std::byte> bytes(data_overhead_bytes + payload_bytes);
  store_data(bytes.data(), header_of(PacketType::data), {77, 3, flags});
  return Packet(std::move(bytes));
}

Packet push_packet(const PushHeader& push, std::uint32_t payload_bytes) {
  std::vector<std::byte> bytes(push_overhead_bytes + payload_bytes);
  store_push(bytes.data(), header_of(PacketType::push), push);
  return Packet(std::move(bytes));
}

Packet ack_packet() {
  std::vector<std::byte> bytes(ack_overhead_bytes + 2 * ack_entry_bytes);
  store_ack_entry(bytes.data(), 0, {1, 2, 3, 4});
  store_ack_entry(bytes.data(), 1, {5, ~0ULL, 7, 8});
  EXPECT_EQ(finish_ack(bytes.data(), header_of(PacketType::ack), 2), bytes.size());
  return Packet(std::move(bytes));
}

TEST(NativeCodec, the_header_lies_where_the_specification_says) {
  std::array<std::byte, header_bytes> bytes;
  store_header(bytes.data(),
               {PacketType::data, 0x04030201, 0x0a0908070605, 0x0c0b, 0x1211100f0e0d, 0x1413});
  EXPECT_EQ(bytes[0], std::byte{0xA1});
  EXPECT_EQ(bytes[1], std::byte{0x10});
  for (int i = 2; i < 22; ++i) EXPECT_EQ(bytes[i], static_cast<std::byte>(i - 1)) << i;
}

TEST(NativeCodec, every_field_of_the_handshake_survives_the_wire) {
  Packet hello(PacketType::hello, Hello{0, 3, 1472, 64, 0xdeadbeef, 5000, {1, 2}, {3, 4}});
  ASSERT_EQ(hello.decode(), DropReason::none);
  EXPECT_EQ(hello.bytes().size(), hello_bytes);
  EXPECT_EQ(hello.request.header.session, make_id(5, 9));
  EXPECT_EQ(hello.request.header.flags, flag_repair | flag_ack_now);
  EXPECT_EQ(hello.request.header.ack_upto, 123U);
  EXPECT_EQ(hello.request.header.credit, 456);
  const Hello h = load_hello(hello.request.body);
  EXPECT_EQ(h.version_min, 0);
  EXPECT_EQ(h.version_max, 3);
  EXPECT_EQ(h.payload_bytes_max, 1472);
  EXPECT_EQ(h.credit, 64);
  EXPECT_EQ(h.session, 0xdeadbeefU);
  EXPECT_EQ(h.idle_timeout_ms, 5000U);
  EXPECT_EQ(h.nonce, (Nonce{1, 2}));
  EXPECT_EQ(h.cookie, (Cookie{3, 4}));

  Packet cookie(PacketType::cookie, CookieReply{{5, 6}, {7, 8}});
  ASSERT_EQ(cookie.decode(), DropReason::none);
  EXPECT_EQ(load_cookie(cookie.request.body).nonce, (Nonce{5, 6}));
  EXPECT_EQ(load_cookie(cookie.request.body).cookie, (Cookie{7, 8}));

  Packet welcome(PacketType::welcome, Welcome{1, 9000, 256, make_id(1, 2), 10'000, {9, 10}, 11});
  ASSERT_EQ(welcome.decode(), DropReason::none);
  const Welcome w = load_welcome(welcome.request.body);
  EXPECT_EQ(w.version, 1);
  EXPECT_EQ(w.payload_bytes_max, 9000);
  EXPECT_EQ(w.credit, 256);
  EXPECT_EQ(w.session, make_id(1, 2));
  EXPECT_EQ(w.idle_timeout_ms, 10'000U);
  EXPECT_EQ(w.nonce, (Nonce{9, 10}));
  EXPECT_EQ(w.server_ns, 11U);
}

TEST(NativeCodec, every_field_of_requests_and_answers_survives_the_wire) {
  const std::string topic(topic_bytes_max, 'x');
  Packet open(PacketType::open, Open{1, 2, 3, -4, 5, topic});
  ASSERT_EQ(open.decode(), DropReason::none);
  const Open o = load_open(open.request.body);
  EXPECT_EQ(o.request_id, 1U);
  EXPECT_EQ(o.replaces, 2U);
  EXPECT_EQ(o.producer_id, 3);
  EXPECT_EQ(o.producer_epoch, -4);
  EXPECT_EQ(o.partition_index, 5);
  EXPECT_EQ(o.topic, topic);

  Packet opened(PacketType::open_ack, OpenAck{1, Status::fenced, 2, 3, -1, 4, 5, 6, 7});
  ASSERT_EQ(opened.decode(), DropReason::none);
  const OpenAck a = load_open_ack(opened.request.body);
  EXPECT_EQ(a.request_id, 1U);
  EXPECT_EQ(a.status, Status::fenced);
  EXPECT_EQ(a.partition_count, 2);
  EXPECT_EQ(a.stream, 3U);
  EXPECT_EQ(a.last_sequence, -1);
  EXPECT_EQ(a.producer_epoch, 4);
  EXPECT_EQ(a.log_start, 5);
  EXPECT_EQ(a.log_end, 6);
  EXPECT_EQ(a.accepted, 7U);

  Packet subscribe(PacketType::subscribe, Subscribe{1, 2, StartAt::time, -3});
  ASSERT_EQ(subscribe.decode(), DropReason::none);
  EXPECT_EQ(load_subscribe(subscribe.request.body).stream, 2U);
  EXPECT_EQ(load_subscribe(subscribe.request.body).start_at, StartAt::time);
  EXPECT_EQ(load_subscribe(subscribe.request.body).value, -3);

  Packet sub_ack(PacketType::sub_ack, SubAck{1, Status::not_ready, 2, 3, 4});
  ASSERT_EQ(sub_ack.decode(), DropReason::none);
  EXPECT_EQ(load_sub_ack(sub_ack.request.body).status, Status::not_ready);
  EXPECT_EQ(load_sub_ack(sub_ack.request.body).subscription, 2U);
  EXPECT_EQ(load_sub_ack(sub_ack.request.body).next_offset, 3);
  EXPECT_EQ(load_sub_ack(sub_ack.request.body).log_end, 4);

  Packet error(PacketType::error, ErrorReply{Status::journal_full, 5, 6, "no room"});
  ASSERT_EQ(error.decode(), DropReason::none);
  EXPECT_EQ(load_error(error.request.body).code, Status::journal_full);
  EXPECT_EQ(load_error(error.request.body).handle, 5U);
  EXPECT_EQ(load_error(error.request.body).sequence, 6U);
  EXPECT_EQ(load_error(error.request.body).text, "no room");

  Packet beat(PacketType::beat, Beat{1, 2, 3});
  ASSERT_EQ(beat.decode(), DropReason::none);
  EXPECT_EQ(load_beat(beat.request.body).next_offset, 2);
  EXPECT_EQ(load_beat(beat.request.body).log_end, 3);

  Packet close(PacketType::unsubscribe, Close{1, 2});
  ASSERT_EQ(close.decode(), DropReason::none);
  EXPECT_EQ(load_close(close.request.body).handle, 2U);
  Packet ping(PacketType::ping, Ping{1, 2});
  ASSERT_EQ(ping.decode(), DropReason::none);
  EXPECT_EQ(load_ping(ping.request.body).srtt_ns, 2U);
  Packet end(PacketType::end, End{Status::idle_timeout});
  ASSERT_EQ(end.decode(), DropReason::none);
  EXPECT_EQ(load_end(end.request.body).code, Status::idle_timeout);
}

TEST(NativeCodec, lists_survive_the_wire) {
  Packet ack = ack_packet();
  ASSERT_EQ(ack.decode(), DropReason::none);
  ASSERT_EQ(ack_entry_count(ack.request.body), 2U);
  EXPECT_EQ(load_ack_entry(ack.request.body, 1).stream, 5U);
  EXPECT_EQ(load_ack_entry(ack.request.body, 1).memory, ~0ULL);
  EXPECT_EQ(load_ack_entry(ack.request.body, 1).durable, 8U);

  const std::array<PacketRange, 2> ranges{{{1, 256}, {sequence_max, 1}}};
  Packet nak(PacketType::nak, std::span<const PacketRange>(ranges));
  ASSERT_EQ(nak.decode(), DropReason::none);
  ASSERT_EQ(nak_range_count(nak.request.body), 2U);
  EXPECT_EQ(load_nak_range(nak.request.body, 0).count, 256);
  EXPECT_EQ(load_nak_range(nak.request.body, 1).first, sequence_max);
}

TEST(NativeCodec, data_and_push_are_checked_field_by_field) {
  EXPECT_EQ(data_packet(fragment_first | fragment_last | data_durable, 1).decode(),
            DropReason::none);
  EXPECT_EQ(data_packet(0, 0).decode(), DropReason::malformed);
  EXPECT_EQ(data_packet(1 << 3, 5).decode(), DropReason::malformed);

  const std::uint16_t both = fragment_first | fragment_last;
  EXPECT_EQ(push_packet({1, both, 0, 0, 10}, 10).decode(), DropReason::none);
  EXPECT_EQ(push_packet({1, fragment_last, 0, 4, 10}, 6).decode(), DropReason::none);
  EXPECT_EQ(push_packet({1, push_gone, 0, 10, 0}, 0).decode(), DropReason::none);
  EXPECT_EQ(push_packet({0, both, 0, 0, 10}, 10).decode(), DropReason::malformed);
  EXPECT_EQ(push_packet({1, both, -1, 0, 10}, 10).decode(), DropReason::malformed);
  EXPECT_EQ(push_packet({1, both, 0, 0, 9}, 10).decode(), DropReason::malformed);
  EXPECT_EQ(push_packet({1, both, 0, 0, 11}, 10).decode(), DropReason::malformed);
  EXPECT_EQ(push_packet({1, both, 0, 1, 11}, 10).decode(), DropReason::malformed);
  EXPECT_EQ(push_packet({1, 0, 0, 0xffff'ffff, 0xffff'ffff}, 1).decode(), DropReason::malformed);
  EXPECT_EQ(push_packet({1, push_gone, 0, 0, 0}, 1).decode(), DropReason::malformed);
}

TEST(NativeCodec, a_packet_of_any_other_size_is_malformed) {
  std::vector<Packet> packets;
  packets.emplace_back(PacketType::cookie, CookieReply{});
  packets.emplace_back(PacketType::welcome, Welcome{});
  packets.emplace_back(PacketType::open, Open{.topic = "topic"});
  packets.emplace_back(PacketType::open_ack, OpenAck{});
  packets.emplace_back(PacketType::close, Close{});
  packets.emplace_back(PacketType::close_ack, CloseAck{});
  packets.emplace_back(PacketType::ping, Ping{});
  packets.emplace_back(PacketType::pong, Pong{});
  packets.emplace_back(PacketType::subscribe, Subscribe{});
  packets.emplace_back(PacketType::sub_ack, SubAck{});
  packets.emplace_back(PacketType::beat, Beat{});
  packets.emplace_back(PacketType::error, ErrorReply{.text = "text"});
  packets.emplace_back(PacketType::end, End{});
  packets.push_back(ack_packet());
  const std::array<PacketRange, 2> ranges{{{1, 2}, {5, 6}}};
  packets.emplace_back(PacketType::nak, std::span<const PacketRange>(ranges));
  for (Packet& packet : packets) {
    const std::size_t whole = packet.bytes().size();
    ASSERT_EQ(packet.decode(), DropReason::none);
    packet.bytes().resize(whole + 1);
    for (std::size_t bytes = 0; bytes <= whole + 1; ++bytes) {
      if (bytes == whole) continue;
      ASSERT_EQ(packet.decode(bytes), DropReason::malformed)
          << "type " << static_cast<int>(packet.bytes()[1]) << " bytes " << bytes;
    }
  }
  Packet hello(PacketType::hello, Hello{});
  EXPECT_EQ(hello.decode(hello_bytes - 1), DropReason::malformed);
}

TEST(NativeCodec, values_out_of_range_are_malformed) {
  Packet subscribe(PacketType::subscribe, Subscribe{});
  subscribe.set(header_bytes + 8, 4);
  EXPECT_EQ(subscribe.decode(), DropReason::malformed);
  Packet ping(PacketType::ping, Ping{});
  ping.set(6, 1);
  EXPECT_EQ(ping.decode(), DropReason::malformed) << "only DATA and PUSH have a pkt_seq";
  Packet open(PacketType::open, Open{.producer_id = -2, .topic = "t"});
  EXPECT_EQ(open.decode(), DropReason::malformed);
  for (const PacketRange range : {PacketRange{0, 1}, PacketRange{1, 0}, PacketRange{1, 257}}) {
    Packet nak(PacketType::nak, std::span<const PacketRange>(&range, 1));
    EXPECT_EQ(nak.decode(), DropReason::malformed);
  }
  Packet ack = ack_packet();
  base::store_le<std::uint32_t>(ack.bytes().data() + header_bytes, 0x9249'2495);  // * 28 wraps
  EXPECT_EQ(ack.decode(), DropReason::malformed);
}

TEST(NativeCodec, what_is_not_ours_is_told_apart) {
  Packet ping(PacketType::ping, Ping{});
  ping.set(0, 0xB1);
  EXPECT_EQ(ping.decode(), DropReason::bad_magic);
  EXPECT_EQ(ping.decode(1), DropReason::bad_magic);
  ping.set(0, 0xA2);
  EXPECT_EQ(ping.decode(), DropReason::bad_version);
  ping.set(0, 0xA1);
  ping.set(1, 0x13);
  EXPECT_EQ(ping.decode(), DropReason::unknown_type);
}

TEST(NativeCodec, ids_are_never_zero_and_generations_come_round_to_one) {
  EXPECT_EQ(next_generation(0), 1U);
  EXPECT_EQ(next_generation(0xFFF), 1U);
  EXPECT_EQ(id_index(make_id(0xF'FFFF, 0xFFF)), 0xF'FFFFU);
  EXPECT_EQ(id_generation(make_id(0xF'FFFF, 0xFFF)), 0xFFFU);
}

TEST(NativeCodec, every_status_has_a_name) {
  for (int status = 0; status < 256; ++status) {
    const bool known = status <= 14 || (status >= 64 && status <= 74);
    EXPECT_EQ(name(static_cast<Status>(status)) != "unknown", known) << status;
  }
  EXPECT_EQ(name(Status::journal_full), "journal_full");
  EXPECT_EQ(name(Status::not_ready), "not_ready");
  EXPECT_EQ(name(Status::unknown_session), "unknown_session");
  EXPECT_EQ(name(Status::bad_request), "bad_request");
}

}  // namespace
}  // namespace millrace::native

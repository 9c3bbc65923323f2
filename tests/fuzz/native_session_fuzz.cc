// A peer that did the handshake and then sends anything: packets made from the input, in sessions
// on a shard in memory. Each packet is counted once, and no frame is lost.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/base/arena.h"
#include "dataplane/base/check.h"
#include "dataplane/protocol/native/sessions.h"
#include "tests/support/shard/fake_shard.h"

namespace {

using namespace millrace;
using Bytes = std::vector<std::byte>;

class Server {
 public:
  Server()
      : arena_(std::move(*base::Arena::create(
            {.bytes = native::Sessions::arena_bytes(options()), .huge_pages = false}))),
        sessions_(options(), arena_),
        effects_(std::make_unique<protocol::Effects>()) {
    shard_.add_topic("t", 2);
    prepare();
  }

  void receive(const Bytes& packet) {
    auto frame = std::make_unique<Bytes>(packet);
    const protocol::Datagram datagram{.data = frame->data(),
                                      .bytes = static_cast<std::uint32_t>(frame->size()),
                                      .local_port = native::default_udp_port,
                                      .peer = {.ipv4 = 1, .udp_port = 2},
                                      .frame = next_frame_};
    native::Request request;
    protocol::Disposition end{.reason =
                                  native::decode_request(datagram.data, datagram.bytes, request)};
    if (end.reason == base::DropReason::none) {
      end = sessions_.handle_request(request, datagram, now_ns, *effects_);
    }
    CHECK(!end.held || end.reason == base::DropReason::none);
    if (end.held) frames_[next_frame_] = std::move(frame);
    ++next_frame_;
    settle();
  }
  void turn() {
    shard::Event event;
    while (shard_.next_event(event)) {
      sessions_.encode_reply(event, now_ns, *effects_);
      settle();
    }
    sessions_.poll(now_ns, *effects_);
    sessions_.flush(now_ns, *effects_);
    settle();
  }
  void finish() {
    sessions_.end_all(native::Status::shutting_down);
    for (int i = 0; i < 3; ++i) turn();
    CHECK(sessions_.session_count() == 0);
    CHECK(sessions_.stream_count() == 0);
    CHECK(sessions_.subscription_count() == 0);
    CHECK(frames_.empty());
  }

  std::uint64_t now_ns = 1'000'000;
  std::uint64_t room_bytes = 4 << 20;
  Bytes last_sent;
  testing::FakeShard& shard() { return shard_; }

 private:
  static native::SessionsOptions options() {
    native::SessionsOptions options;
    options.sessions_max = 4;
    options.streams_max = 8;
    options.subscriptions_max = 4;
    options.pending_acks_max = 64;
    options.reassembly_buffers = 1;
    options.secret = {1, 2};
    options.ports[0] = {.credits = 64, .payload_bytes_max = 1472};
    return options;
  }
  void prepare() {
    protocol::PacketWriter& writer = effects_->writers[0];
    writer.reset();
    for (std::uint32_t i = 0; i < 16; ++i) {
      writer.slots()[i].payload = buffers_[i].data();
      writer.slots()[i].capacity = 1472;
    }
    writer.set_prepared(16);
    effects_->append_room_bytes = room_bytes;
  }
  void settle() {
    for (const auto& command : effects_->commands.items()) shard_.apply(command);
    effects_->commands.clear();
    shard_.push_batches();
    for (const auto& released : effects_->released.items()) {
      CHECK(frames_.erase(released.frame) == 1);
    }
    effects_->released.clear();
    for (const auto& packet : effects_->writers[0].filled()) {
      native::Request request;
      CHECK(native::decode_request(packet.payload, packet.bytes, request) ==
            base::DropReason::none);
      last_sent.assign(packet.payload, packet.payload + packet.bytes);
    }
    prepare();
  }

  testing::FakeShard shard_;
  base::Arena arena_;
  native::Sessions sessions_;
  std::unique_ptr<protocol::Effects> effects_;
  std::array<std::array<std::byte, 1472>, 16> buffers_;
  std::map<std::uint64_t, std::unique_ptr<Bytes>> frames_;
  std::uint64_t next_frame_ = 1;
};

std::uint32_t connect(Server& server) {
  Bytes packet(native::control_bytes_max);
  native::Hello hello{.payload_bytes_max = 1472, .credit = 8, .session = 1};
  for (int i = 0; i < 2; ++i) {
    packet.resize(native::control_bytes_max);
    packet.resize(encode(packet.data(), {.type = native::PacketType::hello}, hello));
    server.receive(packet);
    const auto body = std::span<const std::byte>(server.last_sent).subspan(native::header_bytes);
    if (i == 1) return native::load_welcome(body).session;
    hello.cookie = native::load_cookie(body).cookie;
  }
  return 0;
}

}  // namespace

// The input is a list of steps: control byte, length byte, then that many bytes of a packet.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  Server server;
  const std::uint32_t session = connect(server);
  Bytes packet(native::control_bytes_max);
  packet.resize(encode(packet.data(), {.type = native::PacketType::open, .session = session},
                       native::Open{.request_id = 1, .producer_id = 5, .topic = "t"}));
  server.receive(packet);
  server.turn();
  while (bytes >= 2) {
    const std::uint8_t control = data[0];
    const std::size_t length = std::min<std::size_t>(data[1], bytes - 2);
    Bytes step(length);
    if (length != 0) std::memcpy(step.data(), data + 2, length);
    data += 2 + length;
    bytes -= 2 + length;
    // Most packets are made to pass the first checks, so that the input explores what lies behind.
    if ((control & 1) != 0 && step.size() >= native::header_bytes) {
      step[0] = std::byte{0xA1};
      base::store_le<std::uint32_t>(step.data() + 2, session);
    }
    if ((control & 2) != 0) server.room_bytes = server.room_bytes == 0 ? 4 << 20 : 0;
    if ((control & 4) != 0) server.shard().make_durable();
    if ((control & 8) != 0) server.shard().refuse_next(shard::Status::journal_full);
    server.receive(step);
    server.now_ns += std::uint64_t{control} * 10'000;
    if ((control & 16) == 0) server.turn();
  }
  server.finish();
  return 0;
}

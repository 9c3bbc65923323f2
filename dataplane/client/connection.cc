#include "dataplane/client/connection.h"

#include <algorithm>

#include "dataplane/base/check.h"
#include "dataplane/base/split_mix.h"

namespace millrace::client {

namespace {

constexpr std::uint64_t greet_interval_min_ns = 10 * base::ms_ns;
constexpr std::uint64_t greet_interval_max_ns = 500 * base::ms_ns;
constexpr std::uint64_t awaiting_ping_min_ns = 1 * base::ms_ns;
constexpr std::uint64_t awaiting_ping_max_ns = 100 * base::ms_ns;
constexpr std::uint32_t pings_before_lost = 3;
// Several, so that a lost PING or two do not look like silence.
constexpr std::uint32_t pings_per_silence = 4;

}  // namespace

Connection::Connection(DatagramChannel& channel, const ConnectionOptions& options)
    : channel_(channel),
      options_(options),
      receive_credit_(static_cast<std::uint16_t>(
          std::clamp(channel.receive_descriptors() / 2, 2U, native::window_packets))),
      random_state_(options.seed) {
  restart(0);
}

Connection::~Connection() { lose(); }

void Connection::restart(std::uint64_t now_ns) {
  CHECK(state_ != State::established);
  if (state_ == State::closed) return;
  state_ = State::greeting;
  nonce_ = {base::split_mix(random_state_), base::split_mix(random_state_)};
  cookie_ = {};
  const std::uint64_t random = base::split_mix(random_state_);
  client_session_ = native::make_id(static_cast<std::uint32_t>(random),
                                    1 + static_cast<std::uint32_t>((random >> 32) % 0xFFF));
  server_session_ = 0;
  greet_at_ns_ = now_ns;
  greet_interval_ns_ = greet_interval_min_ns;
  receive_window_.reset(receive_credit_);
  channel_.look_again();
}

void Connection::greet(std::uint64_t now_ns) {
  native::Hello hello;
  hello.payload_bytes_max =
      static_cast<std::uint16_t>(std::min<std::uint32_t>(channel_.payload_bytes_max(), 0xFFFF));
  hello.credit = receive_credit_;
  hello.session = client_session_;
  hello.idle_timeout_ms = options_.idle_timeout_ms;
  hello.nonce = nonce_;
  hello.cookie = cookie_;
  std::byte* at = channel_.begin();
  // Without a buffer, or before the server's MAC is known, it is tried again soon.
  greet_at_ns_ = now_ns + greet_interval_ns_;
  if (at == nullptr) return;
  channel_.commit(native::encode(at, {native::PacketType::hello}, hello));
  greet_interval_ns_ = std::min(greet_interval_ns_ * 2, greet_interval_max_ns);
}

bool Connection::receive(const Received& received, std::uint64_t now_ns, native::Request& packet) {
  if (state_ == State::closed ||
      native::decode_request(received.data, received.bytes, packet) != base::DropReason::none) {
    drop(received);
    return false;
  }
  const bool ours = packet.header.session == client_session_;
  using native::PacketType;
  if (packet.header.type == PacketType::error && receive_error(packet, now_ns)) {
    channel_.release(received.frame);
    return false;
  }
  if (!ours || !established()) {
    if (state_ == State::greeting && ours && receive_greeting(packet, now_ns))
      channel_.release(received.frame);
    else
      drop(received);
    return false;
  }
  heard_ns_ = now_ns;
  unanswered_since_ns_ = 0;
  unanswered_pings_ = 0;
  send_window_.on_ack(packet.header.ack_upto, packet.header.credit, now_ns);
  switch (packet.header.type) {
    case PacketType::push:
      receive_push(received, packet, now_ns);
      return false;
    case PacketType::ack:
    case PacketType::open_ack:
    case PacketType::close_ack:
    case PacketType::sub_ack:
    case PacketType::unsub_ack:
    case PacketType::beat:
    case PacketType::error:
      return true;
    case PacketType::nak:
      for (std::uint32_t i = 0; i < native::nak_range_count(packet.body); ++i)
        send_window_.on_nak(native::load_nak_range(packet.body, i));
      break;
    case PacketType::ping:
      send(PacketType::pong, native::Pong{native::load_ping(packet.body).sent_ns, now_ns});
      break;
    case PacketType::pong: {
      const std::uint64_t sent_ns = native::load_pong(packet.body).sent_ns;
      if (sent_ns <= now_ns) send_window_.add_sample(now_ns - sent_ns);
      break;
    }
    case PacketType::end:
      lose();
      break;
    default:  // repeats of a handshake that is over, and what only clients send
      ++dropped_packets_;
      break;
  }
  channel_.release(received.frame);
  return false;
}

bool Connection::receive_greeting(const native::Request& packet, std::uint64_t now_ns) {
  if (packet.header.type == native::PacketType::cookie) {
    const native::CookieReply reply = native::load_cookie(packet.body);
    if (reply.nonce != nonce_) return false;
    const bool news = reply.cookie != cookie_;
    cookie_ = reply.cookie;
    if (news) greet(now_ns);
    return true;
  }
  if (packet.header.type != native::PacketType::welcome) return false;
  const native::Welcome body = native::load_welcome(packet.body);
  if (body.nonce != nonce_) return false;
  welcome(body, now_ns);
  return true;
}

void Connection::welcome(const native::Welcome& welcome, std::uint64_t now_ns) {
  const std::uint32_t payload_bytes =
      std::min<std::uint32_t>(welcome.payload_bytes_max, channel_.payload_bytes_max());
  if (payload_bytes < native::payload_bytes_min || welcome.session == 0) return;
  payload_bytes_ = payload_bytes;
  server_session_ = welcome.session;
  if (welcome.idle_timeout_ms != 0) options_.idle_timeout_ms = welcome.idle_timeout_ms;
  send_window_ = native::SendWindow();
  send_window_.reset(welcome.credit, now_ns);
  receive_window_.reset(receive_credit_);
  ack_due_ = false;
  heard_ns_ = pinged_ns_ = now_ns;
  unanswered_since_ns_ = 0;
  unanswered_pings_ = 0;
  refusal_ = native::Status::ok;
  state_ = State::established;
  ++sessions_;
}

// True when the error was about the session as a whole; others are the owner's.
bool Connection::receive_error(const native::Request& packet, std::uint64_t now_ns) {
  const native::ErrorReply error = native::load_error(packet.body);
  const bool ours = packet.header.session == client_session_;
  if (state_ == State::greeting && ours) {
    refusal_ = error.code;
    // A cookie ages; the next HELLO asks for a new one.
    cookie_ = {};
    greet_at_ns_ = now_ns + greet_interval_ns_;
    return true;
  }
  if (!established()) return false;
  // A node that has forgotten the session (it was started anew) does not know our id for it.
  const bool forgotten =
      error.code == native::Status::unknown_session && error.handle == server_session_;
  if (forgotten || (ours && error.handle == 0)) {
    lose();
    return true;
  }
  return false;
}

void Connection::receive_push(const Received& received, const native::Request& packet,
                              std::uint64_t now_ns) {
  ack_due_ = true;
  switch (receive_window_.arrive(packet.header.pkt_seq, now_ns)) {
    case native::ReceiveWindow::Arrival::next:
    case native::ReceiveWindow::Arrival::held:
      held_[native::window_slot(packet.header.pkt_seq)] = received;
      return;
    case native::ReceiveWindow::Arrival::duplicate:
    case native::ReceiveWindow::Arrival::outside:
      drop(received);
      return;
  }
}

void Connection::push_done() {
  const bool was_shut = receive_window_.credit() < receive_credit_ / 2;
  channel_.release(held_[native::window_slot(receive_window_.next_seq())].frame);
  receive_window_.delivered();
  // The node waits for credit: tell it once there is a good deal of it.
  if (was_shut && receive_window_.credit() >= receive_credit_ / 2) ack_due_ = true;
}

void Connection::lose() {
  if (state_ != State::established) return;
  for (std::uint64_t seq = receive_window_.next_seq(); seq <= receive_window_.highest_seq(); ++seq)
    if (receive_window_.holds(seq)) channel_.release(held_[native::window_slot(seq)].frame);
  receive_window_.reset(receive_credit_);
  ack_due_ = false;
  state_ = State::lost;
}

void Connection::close() {
  if (established()) send(native::PacketType::end, native::End{});
  lose();
  channel_.flush();
  state_ = State::closed;
}

std::uint64_t Connection::ping_at_ns(bool awaiting) const {
  const std::uint64_t calm_ns =
      std::min<std::uint64_t>(options_.silence_timeout_ns, options_.idle_timeout_ms * base::ms_ns) /
      pings_per_silence;
  if (!awaiting) return std::max(heard_ns_, pinged_ns_) + calm_ns;
  const std::uint64_t first_ns = std::max(4 * send_window_.srtt_ns(), awaiting_ping_min_ns);
  const std::uint64_t wait_ns =
      std::min(first_ns << std::min(unanswered_pings_, 20U), awaiting_ping_max_ns);
  return std::max(heard_ns_, pinged_ns_) + std::min(wait_ns, calm_ns);
}

void Connection::ping(std::uint64_t now_ns) {
  if (unanswered_since_ns_ == 0) unanswered_since_ns_ = now_ns;
  pinged_ns_ = now_ns;
  const std::uint64_t srtt_ns = send_window_.srtt_known() ? send_window_.srtt_ns() : 0;
  if (send(native::PacketType::ping, native::Ping{now_ns, srtt_ns})) ++unanswered_pings_;
}

void Connection::ask_missing(std::uint64_t now_ns) {
  std::array<native::PacketRange, native::nak_ranges_max> ranges;
  const std::uint32_t count =
      receive_window_.missing_packets(now_ns, send_window_.srtt_ns(), ranges);
  if (count != 0)
    send(native::PacketType::nak, std::span<const native::PacketRange>(ranges.data(), count));
}

void Connection::poll(std::uint64_t now_ns, bool awaiting) {
  channel_.poll(now_ns);
  if (state_ == State::greeting) {
    if (now_ns >= greet_at_ns_) greet(now_ns);
    return;
  }
  if (!established()) return;
  if (now_ns >= receive_window_.nak_due_ns()) ask_missing(now_ns);
  if (send_window_.in_flight() != 0 && now_ns >= send_window_.deadline_ns())
    send_window_.on_deadline(now_ns);
  if (now_ns >= ping_at_ns(awaiting)) {
    // Only silence that was asked about counts: the program may just not have polled for long.
    if (unanswered_since_ns_ != 0 && unanswered_pings_ >= pings_before_lost &&
        now_ns - unanswered_since_ns_ >= options_.silence_timeout_ns)
      return lose();
    ping(now_ns);
  }
}

void Connection::acknowledge() {
  if (!ack_due_ || !established()) return;
  std::byte* at = channel_.begin();
  if (at != nullptr) channel_.commit(native::finish_ack(at, header(native::PacketType::ack), 0));
}

std::uint64_t Connection::deadline_ns(bool awaiting) const {
  std::uint64_t deadline_ns = channel_.deadline_ns();
  if (state_ == State::greeting) return std::min(deadline_ns, greet_at_ns_);
  if (!established()) return 0;
  deadline_ns = std::min({deadline_ns, receive_window_.nak_due_ns(), ping_at_ns(awaiting)});
  if (send_window_.in_flight() != 0)
    deadline_ns = std::min(deadline_ns, send_window_.deadline_ns());
  return deadline_ns;
}

}  // namespace millrace::client

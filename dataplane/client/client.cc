#include "dataplane/client/client.h"

#include <algorithm>

#include "dataplane/base/check.h"

namespace millrace::client {

Client::Client(port::Port& port, base::Clock& clock, const ClientOptions& options)
    : options_(options),
      channel_(port, options.server, options.local_port),
      session_(channel_, clock, options.connection) {
  session_.client = this;
  house_kept_ns_ = wall_aligned_ns_ = session_.now_ns;
}

Client::~Client() {
  // One END ends it all at the node, so nothing else is said goodbye to.
  session_.connection.close();
  producers_.clear();
  subscriptions_.clear();
}

int Client::poll(mr_handler handler, void* context, std::uint32_t records_max) {
  if (polling_) return MR_INVALID;
  polling_ = true;
  session_.read_clock();
  const bool received = receive();
  if (is_quiet(received)) {
    polling_ = false;
    return 0;
  }
  quiet_until_ns_ = session_.now_ns + quiet_ns_max;
  if (session_.connection.state() == Connection::State::lost) recover();
  std::uint32_t count = 0;
  if (session_.connection.has_push()) count = deliver(handler, context, records_max);
  session_.connection.poll(session_.now_ns, session_.pending_batches != 0);
  if (session_.connection.established()) {
    if (session_.now_ns >= session_.requests_due_ns) poll_requests();
    for (const auto& producer : producers_) producer->poll();
    session_.queue.send(session_.now_ns);
    session_.connection.acknowledge();
  } else if (session_.connection.state() == Connection::State::lost) {
    recover();
  }
  if (session_.now_ns - house_kept_ns_ >= house_interval_ns) keep_house();
  channel_.flush();
  polling_ = false;
  return static_cast<int>(count);
}

// Nothing waits to go out, also not because of what came in. Timers can wait a few such polls,
// which are short: they see the next packet sooner, and the program its acknowledgement.
bool Client::is_quiet(bool received) {
  if (received && session_.connection.owes_packets()) return false;
  if (session_.now_ns >= quiet_until_ns_ || !session_.connection.established()) return false;
  if (has_records() || !session_.queue.idle()) return false;
  if (session_.now_ns >= session_.requests_due_ns) return false;
  for (const auto& producer : producers_)
    if (producer->gathers()) return false;
  return ++quiet_polls_ % quiet_polls_max != 0;
}

bool Client::look() {
  session_.read_clock();
  const bool any = receive();
  if (any) quiet_until_ns_ = 0;  // what it brought about leaves with the next poll
  return any;
}

// True when anything came.
bool Client::receive() {
  bool any = false;
  for (std::uint32_t i = 0; i < bursts_max; ++i) {
    const std::uint32_t count = channel_.receive(burst_);
    any |= count != 0;
    for (std::uint32_t k = 0; k < count; ++k) {
      native::Request packet;
      if (!session_.connection.receive(burst_[k], session_.now_ns, packet)) continue;
      handle(packet);
      channel_.release(burst_[k].frame);
    }
    if (count < burst_.size()) break;
  }
  return any;
}

void Client::handle(const native::Request& packet) {
  using native::PacketType;
  switch (packet.header.type) {
    case PacketType::ack:
      return handle_ack(packet.body);
    case PacketType::open_ack:
      return handle_open_ack(packet.body);
    case PacketType::sub_ack:
      return handle_sub_ack(packet.body);
    case PacketType::close_ack:
    case PacketType::unsub_ack:
      return handle_close_ack(packet.body);
    case PacketType::beat: {
      const native::Beat beat = native::load_beat(packet.body);
      Subscription* subscription = session_.subscriptions.find(beat.subscription);
      if (subscription != nullptr) subscription->on_beat(beat);
      return;
    }
    case PacketType::error:
      return handle_error(packet.body);
    default:
      CHECK(!"a packet that Connection keeps to itself");
  }
}

void Client::handle_ack(std::span<const std::byte> body) {
  const std::uint32_t count = native::ack_entry_count(body);
  for (std::uint32_t i = 0; i < count; ++i) {
    const native::AckEntry entry = native::load_ack_entry(body, i);
    Lane* lane = session_.streams.find(entry.stream);
    if (lane != nullptr) lane->producer->on_ack(*lane, entry);
  }
}

void Client::handle_open_ack(std::span<const std::byte> body) {
  const native::OpenAck ack = native::load_open_ack(body);
  for (const auto& producer : producers_)
    if (producer->on_open_ack(ack)) return;
  for (const auto& subscription : subscriptions_)
    if (subscription->on_open_ack(ack)) return;
  // A repeat, or the answer to someone who has left meanwhile.
  const bool in_use =
      session_.streams.find(ack.stream) != nullptr ||
      std::any_of(subscriptions_.begin(), subscriptions_.end(),
                  [&ack](const auto& item) { return item->stream() == ack.stream; });
  if (ack.stream != 0 && !in_use) session_.close_handle(native::PacketType::close, ack.stream);
}

void Client::handle_sub_ack(std::span<const std::byte> body) {
  const native::SubAck ack = native::load_sub_ack(body);
  for (const auto& subscription : subscriptions_)
    if (subscription->on_sub_ack(ack)) return;
  if (ack.subscription != 0 && session_.subscriptions.find(ack.subscription) == nullptr)
    session_.close_handle(native::PacketType::unsubscribe, ack.subscription);
}

void Client::handle_close_ack(std::span<const std::byte> body) {
  const std::uint32_t request_id = native::load_close_ack(body).request_id;
  std::erase_if(session_.closing, [this, request_id](Session::Closing& closing) {
    if (closing.request.state != Request::State::pending || closing.request.id != request_id)
      return false;
    session_.withdraw(closing.request);
    session_.want_requests();
    return true;
  });
}

void Client::handle_error(std::span<const std::byte> body) {
  const native::ErrorReply error = native::load_error(body);
  if (Lane* lane = session_.streams.find(error.handle); lane != nullptr)
    return lane->producer->on_refused(*lane, error.code);
  if (Subscription* one = session_.subscriptions.find(error.handle); one != nullptr)
    return one->on_refused(error.code);
  for (const auto& subscription : subscriptions_)
    if (error.handle != 0 && subscription->stream() == error.handle)
      subscription->on_refused(error.code);
}

std::uint32_t Client::deliver(mr_handler handler, void* context, std::uint32_t records_max) {
  std::uint32_t count = 0;
  while (count < records_max) {
    if (delivering_ == nullptr && !take_push()) break;
    if (delivering_ == nullptr) continue;
    count += delivering_->deliver(handler, context, records_max - count);
    if (!delivering_->finished()) break;
    delivering_ = nullptr;
    session_.connection.push_done();
  }
  return count;
}

// Looks at the next PUSH. False: there is none, or it has to wait; else it is used up, unless
// delivering_ is set.
bool Client::take_push() {
  const std::span<const std::byte> body = session_.connection.next_push();
  if (body.empty()) return false;
  const std::uint32_t handle = native::load_push(body).subscription;
  Subscription* subscription = session_.subscriptions.find(handle);
  if (subscription == nullptr) {
    // Either its SUB_ACK has not come yet, or it was cancelled.
    for (const auto& candidate : subscriptions_)
      if (candidate->subscribing()) return false;
  } else if (subscription->take_push(body)) {
    delivering_ = subscription;
    return true;
  }
  session_.connection.push_done();
  return true;
}

bool Client::has_records() const {
  return delivering_ != nullptr || session_.connection.has_push();
}

// The session is gone: forget what belonged to it, and begin another.
void Client::recover() {
  delivering_ = nullptr;
  session_.queue.clear();
  session_.streams.clear();
  session_.subscriptions.clear();
  session_.closing.clear();
  for (const auto& producer : producers_) producer->on_session_lost();
  for (const auto& subscription : subscriptions_) subscription->on_session_lost();
  session_.restart_requests();
  session_.connection.restart(session_.now_ns);
}

void Client::poll_requests() {
  std::uint64_t due_ns = ~0ULL;
  for (const auto& producer : producers_) due_ns = std::min(due_ns, producer->poll_requests());
  for (const auto& subscription : subscriptions_)
    due_ns = std::min(due_ns, subscription->poll_requests());
  for (Session::Closing& closing : session_.closing) {
    if (closing.request.state == Request::State::wanted && !session_.may_ask()) continue;
    if (closing.request.due(session_.now_ns)) {
      session_.ask(closing.request);
      session_.connection.send(closing.type, native::Close{closing.request.id, closing.handle});
    }
    due_ns = std::min(due_ns, closing.request.at_ns);
  }
  session_.requests_due_ns = due_ns;
}

void Client::keep_house() {
  const std::uint64_t elapsed_ns = std::min(session_.now_ns - house_kept_ns_, house_elapsed_max_ns);
  house_kept_ns_ = session_.now_ns;
  for (const auto& producer : producers_) producer->keep_house(elapsed_ns);
  if (session_.now_ns - wall_aligned_ns_ >= base::second_ns) {
    wall_aligned_ns_ = session_.now_ns;
    session_.align_wall();
  }
}

std::uint64_t Client::deadline_ns() const {
  std::uint64_t deadline_ns = session_.connection.deadline_ns(session_.pending_batches != 0);
  if (session_.pending_batches != 0)
    deadline_ns = std::min(deadline_ns, house_kept_ns_ + house_interval_ns);
  if (!session_.connection.established()) return deadline_ns;
  deadline_ns = std::min(deadline_ns, session_.requests_due_ns);
  for (const auto& producer : producers_)
    deadline_ns = std::min(deadline_ns, producer->linger_deadline_ns());
  return deadline_ns;
}

Producer* Client::open_producer(ProducerOptions options) {
  options.delivery_timeout_ns = options_.delivery_timeout_ns;
  session_.read_clock();
  producers_.push_back(std::make_unique<Producer>(session_, options));
  return producers_.back().get();
}

void Client::close_producer(Producer* producer) {
  std::erase_if(producers_, [producer](const auto& item) { return item.get() == producer; });
}

Subscription* Client::subscribe(const SubscriptionOptions& options) {
  session_.read_clock();
  subscriptions_.push_back(std::make_unique<Subscription>(session_, options));
  return subscriptions_.back().get();
}

void Client::unsubscribe(Subscription* subscription) {
  if (delivering_ == subscription) {
    delivering_ = nullptr;
    session_.connection.push_done();
  }
  std::erase_if(subscriptions_,
                [subscription](const auto& item) { return item.get() == subscription; });
}

int Client::status() const { return session_.connection.status(); }

mr_stats Client::stats() const {
  const port::PortCounters& port = channel_.port().counters();
  mr_stats stats;
  stats.packets_sent = port.tx_packets.get();
  stats.packets_received = port.rx_packets.get();
  stats.packets_repaired = session_.queue.repaired_packets();
  stats.packets_dropped = channel_.dropped_packets() + session_.connection.dropped_packets();
  stats.sessions = session_.connection.sessions();
  const native::SendWindow& window = session_.connection.send_window();
  stats.rtt_ns = window.srtt_known() ? window.srtt_ns() : 0;
  return stats;
}

}  // namespace millrace::client

#include "perf/loadgen/drivers/zeromq_driver.h"

#include <zmq.h>

#include <array>
#include <cerrno>

namespace millrace::loadgen {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

// Messages of each end's pipe. What is over it is refused, by PUB as well, which else drops it.
constexpr int high_water_mark = 10'000;
constexpr int receiver_wait_ms = 10'000;
constexpr int messages_per_poll = 1024;

Error refused(int error) {
  return Error(ErrorCode::unavailable, "zeromq: {}", zmq_strerror(error));
}

bool set(void* socket, int option, int value) {
  return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

}  // namespace

void ZeroMqClose::operator()(void* socket) const {
  set(socket, ZMQ_LINGER, 0);
  zmq_close(socket);
}

void ZeroMqEnd::operator()(void* context) const { zmq_ctx_term(context); }

Result<void> ZeroMqDriver::prepare(const Workload& workload) {
  if (workload.connections != 1 || workload.subscribers != 1) {
    return Error(ErrorCode::invalid_argument, "zeromq: one socket of each kind is all there is");
  }
  if (!workload.consumes) {
    return Error(ErrorCode::invalid_argument,
                 "zeromq: nothing answers for what is published, so it cannot be measured alone");
  }
  if (auto opened = open(); !opened) return opened;
  return wait_for_receiver();
}

Result<void> ZeroMqDriver::open() {
  const bool pushes = kind_ == ZeroMqKind::push;
  context_.reset(zmq_ctx_new());
  sender_.reset(zmq_socket(context_.get(), pushes ? ZMQ_PUSH : ZMQ_XPUB));
  receiver_.reset(zmq_socket(context_.get(), pushes ? ZMQ_PULL : ZMQ_SUB));
  if (!sender_ || !receiver_) return refused(zmq_errno());
  if (!set(sender_.get(), ZMQ_SNDHWM, high_water_mark) ||
      !set(receiver_.get(), ZMQ_RCVHWM, high_water_mark) ||
      (!pushes && !set(sender_.get(), ZMQ_XPUB_NODROP, 1)) ||
      (!pushes && zmq_setsockopt(receiver_.get(), ZMQ_SUBSCRIBE, "", 0) != 0)) {
    return refused(zmq_errno());
  }
  std::array<char, 256> endpoint{};
  std::size_t bytes = endpoint.size();
  if (zmq_bind(sender_.get(), ("tcp://" + address_).c_str()) != 0 ||
      zmq_getsockopt(sender_.get(), ZMQ_LAST_ENDPOINT, endpoint.data(), &bytes) != 0 ||
      zmq_connect(receiver_.get(), endpoint.data()) != 0) {
    return refused(zmq_errno());
  }
  return {};
}

// PUSH can send once it has a peer; XPUB hears of the subscription.
Result<void> ZeroMqDriver::wait_for_receiver() {
  const bool pushes = kind_ == ZeroMqKind::push;
  zmq_pollitem_t item{.socket = sender_.get(),
                      .fd = 0,
                      .events = static_cast<short>(pushes ? ZMQ_POLLOUT : ZMQ_POLLIN),
                      .revents = 0};
  const int ready = zmq_poll(&item, 1, receiver_wait_ms);
  if (ready < 0) return refused(zmq_errno());
  if (ready == 0) return Error(ErrorCode::timeout, "zeromq: the receiver does not connect");
  std::array<char, 256> subscription{};
  if (!pushes && zmq_recv(sender_.get(), subscription.data(), subscription.size(), 0) < 0) {
    return refused(zmq_errno());
  }
  return {};
}

bool ZeroMqDriver::offer(std::uint64_t, std::span<const std::byte> payload) {
  if (zmq_send(sender_.get(), payload.data(), payload.size(), ZMQ_DONTWAIT) >= 0) return true;
  if (zmq_errno() != EAGAIN) refused_ = zmq_errno();
  return false;
}

Result<void> ZeroMqDriver::poll(Events& events) {
  if (refused_ != 0) return refused(refused_);
  for (int i = 0; i < messages_per_poll; ++i) {
    zmq_msg_t message;
    zmq_msg_init(&message);
    if (zmq_msg_recv(&message, receiver_.get(), ZMQ_DONTWAIT) < 0) {
      const int error = zmq_errno();
      zmq_msg_close(&message);
      if (error == EAGAIN) return {};
      return refused(error);
    }
    events.delivered(
        0, {static_cast<const std::byte*>(zmq_msg_data(&message)), zmq_msg_size(&message)});
    zmq_msg_close(&message);
  }
  return {};
}

}  // namespace millrace::loadgen

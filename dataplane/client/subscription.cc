#include "dataplane/client/subscription.h"

#include <algorithm>
#include <cstring>

#include "dataplane/base/check.h"
#include "dataplane/client/status.h"

namespace millrace::client {

Subscription::Subscription(Session& session, const SubscriptionOptions& options)
    : session_(session), options_(options) {
  before_start_time_ = options.start_at == native::StartAt::time;
  ask_again(session.now_ns);
}

Subscription::~Subscription() {
  session_.withdraw(request_);
  if (handle_ != 0) {
    session_.subscriptions.erase(handle_);
    session_.close_handle(native::PacketType::unsubscribe, handle_);
  }
  if (stream_ != 0) session_.close_handle(native::PacketType::close, stream_);
}

void Subscription::ask_again(std::uint64_t from_ns) {
  session_.withdraw(request_);
  request_.want(from_ns);
  session_.want_requests();
}

int Subscription::position(mr_position& position) const {
  position = {next_offset_, log_end_, partition_count_};
  if (phase_ == Phase::stopped || session_.connection.established()) return status_;
  return session_.connection.status();
}

bool Subscription::take_push(std::span<const std::byte> body) {
  const native::PushHeader header = native::load_push(body);
  const std::span<const std::byte> bytes = native::push_payload(body);
  if (phase_ == Phase::stopped) return false;
  if ((header.flags & native::push_gone) != 0) {
    on_refused(static_cast<native::Status>(header.skip_bytes));
    return false;
  }
  constexpr std::uint16_t whole = native::fragment_first | native::fragment_last;
  if ((header.flags & whole) == whole) return start_batches(bytes);

  if (header.skip_bytes == 0) {
    if (header.batch_bytes > storage::batch_bytes_max) {
      stop(MR_CORRUPT);
      return false;
    }
    if (assembly_.size() < header.batch_bytes) assembly_.resize(header.batch_bytes);
    assembly_offset_ = header.base_offset;
    assembled_bytes_ = 0;
  }
  // Packets come in order, so a piece that does not fit the one before is the node's mistake.
  const bool fits = assembly_offset_ == header.base_offset &&
                    assembled_bytes_ == header.skip_bytes &&
                    header.batch_bytes <= assembly_.size() &&
                    bytes.size() <= header.batch_bytes - assembled_bytes_;
  if (!fits) {
    stop(MR_CORRUPT);
    return false;
  }
  if (!bytes.empty()) std::memcpy(assembly_.data() + assembled_bytes_, bytes.data(), bytes.size());
  assembled_bytes_ += static_cast<std::uint32_t>(bytes.size());
  if ((header.flags & native::fragment_last) == 0) return false;
  assembly_offset_ = -1;
  return start_batch({assembly_.data(), assembled_bytes_});
}

// Those behind the one that is started wait in rest_.
bool Subscription::start_batches(std::span<const std::byte> bytes) {
  rest_ = bytes;
  while (!rest_.empty()) {
    const std::size_t size = rest_.size() < storage::batch_header_bytes
                                 ? rest_.size()
                                 : storage::BatchView(rest_.data()).bytes();
    const auto batch = rest_.first(std::min(size, rest_.size()));
    rest_ = rest_.subspan(batch.size());
    if (start_batch(batch)) return true;
  }
  return false;
}

// True when the batch has something for us.
bool Subscription::start_batch(std::span<const std::byte> bytes) {
  if (storage::check_batch(bytes, storage::Offsets::some) != storage::BatchFault::none) {
    stop(MR_CORRUPT);
    return false;
  }
  const storage::BatchView batch(bytes.data());
  reader_end_ = batch.last_offset() + 1;
  log_end_ = std::max(log_end_, reader_end_);
  if (reader_end_ <= next_offset_) return false;
  if (batch.is_control()) {
    next_offset_ = reader_end_;
    return false;
  }
  if (batch.is_compressed()) {
    stop(MR_UNSUPPORTED);
    return false;
  }
  reader_.emplace(batch);
  return true;
}

// Records of the first batch that lie before the place asked for.
bool Subscription::skips(const storage::Record& record) {
  if (record.offset < next_offset_) return true;
  if (!before_start_time_) return false;
  if (record.timestamp_ms < options_.start_value) return true;
  before_start_time_ = false;
  return false;
}

std::uint32_t Subscription::deliver(mr_handler handler, void* context, std::uint32_t records_max) {
  std::uint32_t count = 0;
  storage::Record record;
  while (reader_ && count < records_max) {
    if (!reader_->next(record)) {
      const bool malformed = reader_->malformed();
      reader_.reset();
      if (malformed)
        stop(MR_CORRUPT);
      else
        next_offset_ = std::max(next_offset_, reader_end_);
      start_batches(rest_);
      continue;
    }
    const bool skip = skips(record);
    next_offset_ = std::max(next_offset_, record.offset + 1);
    if (skip) continue;
    mr_record out;
    out.subscription = reinterpret_cast<mr_subscription*>(this);
    out.offset = record.offset;
    out.timestamp_ms = record.timestamp_ms;
    out.key = record.key ? record.key->data() : nullptr;
    out.key_bytes = record.key ? record.key->size() : 0;
    out.value = record.value ? record.value->data() : nullptr;
    out.value_bytes = record.value ? record.value->size() : 0;
    out.headers = record.headers.data();
    out.headers_bytes = record.headers.size();
    handler(context, &out);
    ++count;
  }
  return count;
}

std::uint64_t Subscription::poll_requests() {
  if (request_.state == Request::State::idle) return ~0ULL;
  if (request_.state == Request::State::wanted && !session_.may_ask()) return ~0ULL;
  if (!request_.due(session_.now_ns)) return request_.at_ns;
  session_.ask(request_);
  if (phase_ == Phase::opening) {
    native::Open open;
    open.request_id = request_.id;
    open.partition_index = options_.partition_index;
    open.topic = options_.topic;
    session_.connection.send(native::PacketType::open, open);
  } else {
    native::Subscribe subscribe{request_.id, stream_, options_.start_at, options_.start_value};
    if (next_offset_ >= 0) {
      subscribe.start_at = native::StartAt::offset;
      subscribe.value = next_offset_;
    }
    session_.connection.send(native::PacketType::subscribe, subscribe);
  }
  return request_.at_ns;
}

bool Subscription::on_open_ack(const native::OpenAck& ack) {
  if (phase_ != Phase::opening || request_.state != Request::State::pending ||
      request_.id != ack.request_id)
    return false;
  session_.withdraw(request_);
  if (ack.status == native::Status::not_ready) {
    status_ = MR_NOT_READY;
    ask_again(session_.now_ns + Request::not_ready_ns);
  } else if (ack.status != native::Status::ok || ack.stream == 0) {
    stop(ack.status == native::Status::ok ? MR_INVALID : to_status(ack.status));
  } else {
    stream_ = ack.stream;
    partition_count_ = ack.partition_count;
    log_end_ = std::max(log_end_, ack.log_end);
    phase_ = Phase::subscribing;
    ask_again(session_.now_ns);
  }
  return true;
}

bool Subscription::on_sub_ack(const native::SubAck& ack) {
  if (phase_ != Phase::subscribing || request_.state != Request::State::pending ||
      request_.id != ack.request_id)
    return false;
  session_.withdraw(request_);
  session_.want_requests();
  if (ack.status == native::Status::not_ready) {
    status_ = MR_NOT_READY;
    ask_again(session_.now_ns + Request::not_ready_ns);
  } else if (ack.status != native::Status::ok || ack.subscription == 0) {
    stop(ack.status == native::Status::ok ? MR_INVALID : to_status(ack.status));
  } else {
    handle_ = ack.subscription;
    session_.subscriptions.insert(handle_, this);
    // With a time, the batch that holds the first such record comes from its beginning.
    if (next_offset_ < 0) next_offset_ = ack.next_offset;
    log_end_ = std::max(log_end_, ack.log_end);
    phase_ = Phase::active;
    status_ = MR_OK;
  }
  return true;
}

void Subscription::on_beat(const native::Beat& beat) {
  log_end_ = std::max(log_end_, beat.log_end);
}

void Subscription::on_refused(native::Status status) {
  if (phase_ == Phase::stopped) return;
  if (status == native::Status::unknown_stream || status == native::Status::unknown_subscription ||
      status == native::Status::not_ready) {
    if (handle_ != 0) session_.subscriptions.erase(handle_);
    session_.close_handle(native::PacketType::close, stream_);
    on_session_lost();
    return ask_again(session_.now_ns + Request::retry_min_ns);
  }
  stop(to_status(status));
}

void Subscription::stop(int status) {
  session_.withdraw(request_);
  phase_ = Phase::stopped;
  status_ = status;
  reader_.reset();
  rest_ = {};
  assembly_offset_ = -1;
}

void Subscription::on_session_lost() {
  stream_ = handle_ = 0;
  reader_.reset();
  rest_ = {};
  assembly_offset_ = -1;
  if (phase_ == Phase::stopped) return;
  phase_ = Phase::opening;
  status_ = MR_NOT_CONNECTED;
  ask_again(session_.now_ns);
}

}  // namespace millrace::client

#include "dataplane/client/producer.h"

#include <algorithm>
#include <utility>

#include "dataplane/base/check.h"
#include "dataplane/client/status.h"

namespace millrace::client {

namespace {

constexpr std::uint32_t batch_bytes_min = 256;
// Most that a record takes beside key and value: seven varints of at most 10 bytes, and the
// attributes.
constexpr std::uint32_t record_overhead_bytes_max = 64;
constexpr std::uint64_t sequence_period = 1ULL << 31;  // Kafka's sequences wrap here
// So many batches there are at least, so that some can be in flight while others are built.
constexpr std::uint64_t spare_batches = 8;
constexpr std::uint64_t batch_count_max = 1 << 20;

}  // namespace

Producer::Producer(Session& session, const ProducerOptions& options)
    : session_(session), options_(options) {
  add_lane(options.partition == MR_ALL_PARTITIONS ? std::uint16_t{0}
                                                  : static_cast<std::uint16_t>(options.partition));
}

Producer::~Producer() {
  for (const auto& lane : lanes_) {
    session_.withdraw(lane->request);
    session_.queue.remove(lane.get());
    for (PendingBatch* batch = lane->oldest; batch != nullptr; batch = batch->next_in_lane) {
      session_.queue.forget(batch);
      --session_.pending_batches;
    }
    if (lane->stream == 0) continue;
    session_.streams.erase(lane->stream);
    session_.close_handle(native::PacketType::close, lane->stream);
  }
}

Lane& Producer::add_lane(std::uint16_t partition_index) {
  lanes_.push_back(std::make_unique<Lane>());
  Lane& lane = *lanes_.back();
  lane.producer = this;
  lane.partition_index = partition_index;
  lane.wants_durable = options_.ack == Level::durable;
  lane.request.want(session_.now_ns);
  session_.want_requests();
  return lane;
}

std::int64_t Producer::why_not() const {
  if (status_ != MR_OK) return status_;
  if (ready_) return MR_INVALID;  // a claim is open
  return session_.connection.established() ? waiting_status_ : session_.connection.status();
}

// A record for which no open batch has room.
std::int64_t Producer::offer_first(Lane& lane, const Bytes& key, const Bytes& value) {
  const int status = start_batch(
      lane, std::uint64_t{key ? key->size() : 0} + std::uint64_t{value ? value->size() : 0});
  if (status != MR_OK) return status;
  if (lane.builder.add(key, value, lane.timestamp_ms)) return took(lane);
  discard(*std::exchange(lane.open_batch, nullptr));
  return MR_TOO_LARGE;
}

std::int64_t Producer::claim(Bytes key, std::uint32_t value_bytes, void** value) {
  *value = nullptr;
  if (!usable()) return why_not();
  Lane& lane = lane_for(key);
  std::span<std::byte> room;
  if (lane.open_batch != nullptr) room = lane.builder.claim(key, value_bytes, lane.timestamp_ms);
  if (room.data() == nullptr) {
    const int status = start_batch(lane, std::uint64_t{key ? key->size() : 0} + value_bytes);
    if (status != MR_OK) return status;
    room = lane.builder.claim(key, value_bytes, lane.timestamp_ms);
    if (room.data() == nullptr) {
      discard(*std::exchange(lane.open_batch, nullptr));
      return MR_TOO_LARGE;
    }
  }
  claimed_ = &lane;
  *value = room.data();
  return first_record_now(lane);
}

int Producer::commit() {
  if (claimed_ == nullptr) return MR_INVALID;
  Lane& lane = *claimed_;
  claimed_ = nullptr;
  lane.builder.commit();
  took(lane);
  return MR_OK;
}

int Producer::abort() {
  if (claimed_ == nullptr) return MR_INVALID;
  Lane& lane = *std::exchange(claimed_, nullptr);
  lane.builder.abort();
  if (lane.builder.empty()) discard(*std::exchange(lane.open_batch, nullptr));
  return MR_OK;
}

// An empty open batch with room for a record whose key and value have record_bytes. The batch that
// is open now leaves.
int Producer::start_batch(Lane& lane, std::uint64_t record_bytes) {
  if (record_bytes + storage::batch_header_bytes > storage::batch_bytes_max) return MR_TOO_LARGE;
  const auto needed_bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(
      storage::batch_header_bytes + record_overhead_bytes_max + record_bytes,
      storage::batch_bytes_max));
  session_.read_clock();
  if (lane.open_batch != nullptr) {
    seal(lane);
    session_.queue.send(session_.now_ns);
  }
  PendingBatch* batch =
      needed_bytes <= pool_->batch_bytes() ? pool_->take() : pool_->take_big(needed_bytes);
  if (batch == nullptr) return lane.open ? MR_BACK_PRESSURED : MR_NOT_CONNECTED;
  batch->lane = &lane;
  batch->first_record = first_record_now(lane);
  batch->older = newest_;
  (newest_ == nullptr ? oldest_ : newest_->newer) = batch;
  newest_ = batch;
  lane.open_batch = batch;
  lane.builder.start({batch->data, batch->capacity});
  lane.timestamp_ms = session_.wall_ms();
  lane.gather_until_ns = session_.now_ns + options_.linger_ns;
  for (std::uint32_t level = 0; level < level_count; ++level)
    if (lane.drained(static_cast<Level>(level))) lane.floor[level] = batch->first_record;
  if (!lane.gathering) {
    lane.gathering = true;
    gathering_.push_back(&lane);
  }
  return MR_OK;
}

void Producer::discard(PendingBatch& batch) {
  (batch.older == nullptr ? oldest_ : batch.older->newer) = batch.newer;
  (batch.newer == nullptr ? newest_ : batch.newer->older) = batch.older;
  pool_->give_back(&batch);
}

void Producer::seal(Lane& lane) {
  PendingBatch& batch = *lane.open_batch;
  lane.open_batch = nullptr;
  if (lane.calm()) ++busy_lanes_;
  batch.record_count = lane.builder.record_count();
  batch.end_sequence = lane.next_sequence;
  const auto base_sequence =
      static_cast<std::int32_t>(lane.sealed_sequence & (sequence_period - 1));
  batch.bytes = static_cast<std::uint32_t>(
      lane.builder.finish(options_.producer_id, options_.producer_epoch, base_sequence).size());
  lane.sealed_sequence = batch.end_sequence;
  lane.last_sealed = {lane.sealed_sequence, first_record_now(lane)};
  if (lane.newest == nullptr) {
    lane.oldest = &batch;
    lane.waited_ns = 0;
  } else {
    lane.newest->next_in_lane = &batch;
  }
  lane.newest = &batch;
  ++session_.pending_batches;
  if (lane.open) session_.queue.push(&batch);
  if (lanes_.size() > 1 && &lane == lanes_[keyless_lane_].get())
    keyless_lane_ = (keyless_lane_ + 1) % static_cast<std::uint32_t>(lanes_.size());
}

void Producer::poll() {
  const bool was_calm = calm();
  for (std::size_t i = 0; i < gathering_.size();) {
    Lane& lane = *gathering_[i];
    const bool due = was_calm || session_.now_ns >= lane.gather_until_ns;
    if (lane.open_batch != nullptr && lane.open && due && claimed_ != &lane) seal(lane);
    if (lane.open_batch != nullptr) {
      ++i;
      continue;
    }
    lane.gathering = false;
    gathering_[i] = gathering_.back();
    gathering_.pop_back();
  }
}

std::uint64_t Producer::linger_deadline_ns() const {
  std::uint64_t deadline_ns = ~0ULL;
  for (const Lane* lane : gathering_)
    if (lane->open_batch != nullptr && lane->open && claimed_ != lane)
      deadline_ns = std::min(deadline_ns, calm() ? 0 : lane->gather_until_ns);
  return deadline_ns;
}

int Producer::flush() {
  if (status_ != MR_OK) return status_;
  if (claimed_ != nullptr) return MR_INVALID;
  for (Lane* lane : gathering_) {
    if (lane->open_batch != nullptr) seal(*lane);
  }
  session_.queue.send(session_.read_clock());
  session_.connection.channel().flush();
  return MR_OK;
}

void Producer::on_ack(Lane& lane, const native::AckEntry& entry) {
  const std::array<std::uint64_t, level_count> counts = {entry.memory, entry.replicated,
                                                         entry.durable};
  bool moved = false;
  const bool was_calm = lane.calm();
  for (std::uint32_t level = 0; level < level_count; ++level) {
    const std::uint64_t sequence = lane.sequence_base + counts[level];
    // What was never sent cannot have been accepted; such a claim is not believed.
    if (sequence <= lane.acked[level] || sequence > lane.sealed_sequence) continue;
    lane.acked[level] = sequence;
    moved = true;
    if (sequence < lane.marks[level].sequence) continue;
    const bool all = sequence >= lane.last_sealed.sequence;
    const std::int64_t reached = all ? lane.last_sealed.record : lane.marks[level].record;
    lane.floor[level] = std::max(lane.floor[level], reached);
    lane.marks[level] = lane.last_sealed;
  }
  if (!was_calm && lane.calm()) --busy_lanes_;
  if (moved) release(lane);
}

// Gives back what is acknowledged at the level chosen. A batch whose packets are not all
// acknowledged may still be asked for, and stays.
void Producer::release(Lane& lane) {
  acks_moved_ = true;
  const std::uint64_t acked = lane.acked[static_cast<std::uint32_t>(options_.ack)];
  const std::uint64_t acked_pkt_seq = session_.connection.send_window().acked_upto();
  while (lane.oldest != nullptr && acked >= lane.oldest->end_sequence) {
    PendingBatch* batch = lane.oldest;
    if (batch->queued || batch->last_pkt_seq > acked_pkt_seq) return;
    lane.oldest = batch->next_in_lane;
    if (lane.oldest == nullptr) lane.newest = nullptr;
    lane.waited_ns = 0;
    --session_.pending_batches;
    discard(*batch);
  }
}

void Producer::keep_house(std::uint64_t elapsed_ns) {
  if (status_ != MR_OK) return;
  for (const auto& lane : lanes_) {
    release(*lane);
    if (lane->oldest == nullptr) continue;
    lane->waited_ns += elapsed_ns;
    if (lane->waited_ns >= options_.delivery_timeout_ns) return stop(MR_TIMED_OUT);
  }
}

// Nothing more is sent; what was not acknowledged stays for retry().
void Producer::stop(int status) {
  status_ = status;
  for (const auto& lane : lanes_) {
    lane->open = false;
    session_.withdraw(lane->request);
    session_.queue.remove(lane.get());
  }
}

int Producer::retry() {
  if (status_ == MR_OK) return MR_OK;
  status_ = MR_OK;
  for (const auto& lane : lanes_) {
    lane->waited_ns = 0;
    lane->request.want(session_.now_ns);
  }
  session_.want_requests();
  return MR_OK;
}

void Producer::on_refused(Lane& lane, native::Status status) {
  if (status_ != MR_OK) return;
  // The node lost the stream, not the log: open it again.
  if (status == native::Status::unknown_stream || status == native::Status::not_ready) {
    lane.open = false;
    session_.queue.remove(&lane);
    if (lane.request.state == Request::State::idle)
      lane.request.want(session_.now_ns + Request::retry_min_ns);
    return session_.want_requests();
  }
  stop(to_status(status));
}

void Producer::on_session_lost() {
  for (const auto& lane : lanes_) {
    lane->open = false;
    lane->stream = 0;
    for (PendingBatch* batch = lane->oldest; batch != nullptr; batch = batch->next_in_lane)
      batch->last_pkt_seq = 0;
    if (status_ == MR_OK) lane->request.want(session_.now_ns);
  }
}

std::uint64_t Producer::poll_requests() {
  std::uint64_t due_ns = ~0ULL;
  for (const auto& lane : lanes_) {
    Request& request = lane->request;
    if (request.state == Request::State::idle) continue;
    if (request.state == Request::State::wanted && !session_.may_ask()) continue;
    if (request.due(session_.now_ns)) {
      session_.ask(request);
      native::Open open;
      open.request_id = request.id;
      open.replaces = lane->stream;
      open.producer_id = options_.producer_id;
      open.producer_epoch = options_.producer_epoch;
      open.partition_index = lane->partition_index;
      open.topic = options_.topic;
      session_.connection.send(native::PacketType::open, open);
    }
    due_ns = std::min(due_ns, request.at_ns);
  }
  return due_ns;
}

bool Producer::on_open_ack(const native::OpenAck& ack) {
  const auto asker = std::find_if(lanes_.begin(), lanes_.end(), [&ack](const auto& lane) {
    return lane->request.state == Request::State::pending && lane->request.id == ack.request_id;
  });
  if (asker == lanes_.end()) return false;
  Lane& lane = **asker;
  session_.withdraw(lane.request);
  session_.want_requests();
  if (ack.status == native::Status::not_ready) {
    waiting_status_ = MR_NOT_READY;
    lane.request.want(session_.now_ns + Request::not_ready_ns);
    return true;
  }
  if (ack.status != native::Status::ok || ack.stream == 0) {
    stop(ack.status == native::Status::ok ? MR_INVALID : to_status(ack.status));
    return true;
  }
  if (lane.stream != 0) session_.streams.erase(lane.stream);
  lane.stream = ack.stream;
  session_.streams.insert(lane.stream, &lane);
  if (!resume(lane, ack.accepted)) {
    stop(MR_OUT_OF_ORDER);
    return true;
  }
  lane.open = true;
  if (!ready_ && options_.partition == MR_ALL_PARTITIONS && lanes_.size() == 1)
    for (std::uint16_t i = 1; i < ack.partition_count; ++i) add_lane(i);
  become_ready();
  for (PendingBatch* batch = lane.oldest; batch != nullptr; batch = batch->next_in_lane)
    session_.queue.push(batch);
  return true;
}

// Joins our numbering to the node's, which knows `accepted` records of us. False when the two do
// not meet: it misses what it has acknowledged, or has what we never sent.
bool Producer::resume(Lane& lane, std::uint64_t accepted) {
  if (!lane.opened_once) {
    lane.opened_once = true;
    ++opened_lanes_;
    lane.next_sequence = lane.sealed_sequence = accepted;
    lane.acked[0] = accepted;
    acks_moved_ = true;
    lane.last_sealed.sequence = accepted;
    return true;
  }
  const std::uint64_t released = lane.oldest == nullptr
                                     ? lane.sealed_sequence
                                     : lane.oldest->end_sequence - lane.oldest->record_count;
  const std::uint64_t ahead =
      accepted <= lane.sealed_sequence ? lane.sealed_sequence - accepted : 0;
  lane.sequence_base = ahead / sequence_period * sequence_period;
  const std::uint64_t sequence = lane.sequence_base + accepted;
  if (sequence < released || sequence > lane.sealed_sequence) return false;
  if (!lane.calm() && sequence >= lane.sealed_sequence) --busy_lanes_;
  lane.acked[0] = std::max(lane.acked[0], sequence);
  acks_moved_ = true;
  if (options_.ack == Level::memory) release(lane);
  return true;
}

void Producer::become_ready() {
  if (ready_ || opened_lanes_ < lanes_.size()) return;
  const std::uint32_t packet_bytes =
      session_.connection.payload_bytes() - native::data_overhead_bytes;
  const std::uint32_t batch_bytes =
      std::clamp(options_.batch_bytes == 0 ? packet_bytes : options_.batch_bytes, batch_bytes_min,
                 storage::batch_bytes_max);
  const std::uint64_t batch_count =
      std::clamp<std::uint64_t>(options_.buffer_bytes / batch_bytes, lanes_.size() + spare_batches,
                                std::max(batch_count_max, lanes_.size() + spare_batches));
  pool_ = std::make_unique<BatchPool>(batch_bytes, static_cast<std::uint32_t>(batch_count));
  gathering_.reserve(lanes_.size());
  ready_ = true;
}

std::int64_t Producer::next_record() const {
  if (!ready_) return MR_NOT_CONNECTED;
  return first_record_now(*lanes_[0]);
}

bool Producer::drained() const { return oldest_ == nullptr; }

// All records with a number below it have been acknowledged.
std::int64_t Producer::acked_record(Level level) const {
  const auto index = static_cast<std::uint32_t>(level);
  if (lanes_.size() == 1) return static_cast<std::int64_t>(lanes_[0]->acked[index]);
  if (level == options_.ack) return oldest_ != nullptr ? oldest_->first_record : next_record_;
  std::int64_t least = next_record_;
  for (const auto& lane : lanes_)
    if (!lane->drained(level)) least = std::min(least, lane->floor[index]);
  return least;
}

int Producer::poll_acks(mr_acks& acks) {
  constexpr std::uint64_t walk_ns_per_lane = 2000;
  if (!acks_moved_ && status_ == MR_OK) {
    acks = acks_;
    return 0;
  }
  mr_acks now = acks_;
  // With nothing pending the program may be about to sleep, and there is no other work to spare.
  const bool look =
      lanes_.size() == 1 || status_ != MR_OK || drained() || session_.now_ns >= others_walked_ns_;
  const auto read = [&](Level level, std::int64_t& into) {
    if (look || level == options_.ack) into = std::max(into, acked_record(level));
  };
  read(Level::memory, now.memory);
  read(Level::replicated, now.replicated);
  read(Level::durable, now.durable);
  if (look) {
    acks_moved_ = false;
    others_walked_ns_ = session_.now_ns + lanes_.size() * walk_ns_per_lane;
  }
  // Both stronger levels contain it, and over several lanes may be known more exactly.
  now.memory = std::max({now.memory, now.replicated, now.durable});
  const bool moved = now.memory != acks_.memory || now.replicated != acks_.replicated ||
                     now.durable != acks_.durable;
  acks = acks_ = now;
  if (status_ != MR_OK) return status_;
  return moved ? 1 : 0;
}

}  // namespace millrace::client

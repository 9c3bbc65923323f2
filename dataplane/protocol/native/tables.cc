#include "dataplane/protocol/native/tables.h"

#include <bit>

namespace millrace::native {

namespace {

enum class Table : std::uint64_t { sessions, streams, subscriptions };

// Ids are seen by all, so what they come from must not be the secret itself.
std::uint64_t seed_of(Table table, const SessionsOptions& options) {
  const std::array<std::uint64_t, 1> words{static_cast<std::uint64_t>(table)};
  return siphash(options.secret, words);
}

std::uint32_t bucket_count(std::uint32_t sessions_max) { return std::bit_ceil(sessions_max * 2); }

}  // namespace

Tables::Tables(const SessionsOptions& given, base::Arena& arena)
    : options(given),
      sessions(arena, given.sessions_max, seed_of(Table::sessions, given)),
      streams(arena, given.streams_max, seed_of(Table::streams, given)),
      subscriptions(arena, given.subscriptions_max, seed_of(Table::subscriptions, given)),
      pending_acks(arena, given.shard_count, given.pending_acks_max),
      reassembly(arena, given.reassembly_buffers),
      session_deadlines(arena, given.sessions_max),
      beats(arena, given.subscriptions_max),
      worklist(arena.allocate<std::uint32_t>(given.sessions_max)),
      stalled(arena.allocate<std::uint32_t>(given.sessions_max)),
      buckets_(arena.allocate<std::uint32_t>(bucket_count(given.sessions_max))) {
  for (std::uint32_t& bucket : buckets_) bucket = no_slot;
  for (std::uint32_t i = 0; i < protocol::ports_max; ++i) credits_left[i] = given.ports[i].credits;
}

std::uint64_t Tables::arena_bytes(const SessionsOptions& options) {
  return SlotTable<Session>::arena_bytes(options.sessions_max) +
         SlotTable<Stream>::arena_bytes(options.streams_max) +
         SlotTable<Subscription>::arena_bytes(options.subscriptions_max) +
         PendingAcks::arena_bytes(options.shard_count, options.pending_acks_max) +
         Reassembly::arena_bytes(options.reassembly_buffers) +
         DeadlineHeap::arena_bytes(options.sessions_max) +
         DeadlineHeap::arena_bytes(options.subscriptions_max) +
         sizeof(std::uint32_t) *
             (2ULL * options.sessions_max + bucket_count(options.sessions_max)) +
         1024;
}

std::uint32_t& Tables::bucket_of(const base::Endpoint& peer, const Nonce& nonce) {
  const std::array<std::uint64_t, 4> words{
      std::uint64_t{peer.ipv4} << 32 | std::uint64_t{peer.udp_port} << 16 | peer.port_index,
      nonce[0], nonce[1], 0};
  return buckets_[siphash(options.secret, words) & (buckets_.size() - 1)];
}

Session* Tables::find_session(const base::Endpoint& peer, const Nonce& nonce) {
  for (std::uint32_t slot = bucket_of(peer, nonce); slot != no_slot;) {
    Session& session = sessions.at(slot);
    if (session.peer == peer && session.nonce == nonce) return &session;
    slot = session.next_same_hash;
  }
  return nullptr;
}

void Tables::enter_session(Session& session) {
  std::uint32_t& bucket = bucket_of(session.peer, session.nonce);
  session.next_same_hash = bucket;
  bucket = sessions.index_of(session);
}

void Tables::remove_session(Session& session) {
  const std::uint32_t slot = sessions.index_of(session);
  std::uint32_t* link = &bucket_of(session.peer, session.nonce);
  while (*link != slot) link = &sessions.at(*link).next_same_hash;
  *link = session.next_same_hash;
  session_deadlines.erase(slot);
  sessions.give_back(session);
}

Stream* Tables::take_stream(Session& session) {
  Stream* stream = streams.take();
  if (stream == nullptr) return nullptr;
  const std::uint32_t slot = streams.index_of(*stream);
  stream->session = sessions.index_of(session);
  stream->next = session.first_stream;
  if (session.first_stream != no_slot) streams.at(session.first_stream).previous = slot;
  session.first_stream = slot;
  return stream;
}

Stream* Tables::find_stream(const Session& session, std::uint32_t handle) {
  Stream* stream = streams.find(handle);
  if (stream == nullptr || stream->session != sessions.index_of(session)) return nullptr;
  return stream;
}

void Tables::close_stream(Stream& stream) {
  Session& session = session_of(stream);
  unlink_marks(stream);
  if (session.report_next == streams.index_of(stream)) session.report_next = stream.next;
  if (stream.next != no_slot) streams.at(stream.next).previous = stream.previous;
  if (stream.previous != no_slot) {
    streams.at(stream.previous).next = stream.next;
  } else {
    session.first_stream = stream.next;
  }
  session.appends_in_flight -= stream.appends_sent - stream.appends_answered;
  stream.session = no_slot;
  stream.state = StreamState::closing;
  if (stream.appends_sent == stream.appends_answered) streams.give_back(stream);
}

void Tables::unlink_marks(Stream& stream) {
  const std::uint32_t slot = streams.index_of(stream);
  Session& session = session_of(stream);
  if (stream.dirty) {
    std::uint32_t* link = &session.first_dirty;
    while (*link != slot) link = &streams.at(*link).next_dirty;
    *link = stream.next_dirty;
    stream.dirty = false;
  }
  if (stream.error_due) {
    std::uint32_t* link = &session.first_error;
    while (*link != slot) link = &streams.at(*link).next_error;
    *link = stream.next_error;
    stream.error_due = false;
  }
}

void Tables::mark_dirty(Stream& stream) {
  Session& session = session_of(stream);
  want_service(session);
  link_dirty(session, stream);
}

void Tables::mark_dirty_late(Stream& stream, std::uint64_t now_ns) {
  Session& session = session_of(stream);
  session_deadlines.set(sessions.index_of(session), now_ns + late_ns);
  link_dirty(session, stream);
}

void Tables::link_dirty(Session& session, Stream& stream) {
  if (stream.dirty) return;
  stream.dirty = true;
  stream.next_dirty = session.first_dirty;
  session.first_dirty = streams.index_of(stream);
}

void Tables::mark_error(Stream& stream) {
  Session& session = session_of(stream);
  want_service(session);
  if (stream.error_due) return;
  stream.error_due = true;
  stream.next_error = session.first_error;
  session.first_error = streams.index_of(stream);
}

void Tables::mark_wanting(Subscription& subscription) {
  Session& session = session_of(subscription);
  want_service(session);
  if (subscription.wanting) return;
  const std::uint32_t slot = subscriptions.index_of(subscription);
  subscription.wanting = true;
  subscription.next_wanting = no_slot;
  if (session.first_wanting == no_slot) {
    session.first_wanting = slot;
  } else {
    subscriptions.at(session.last_wanting).next_wanting = slot;
  }
  session.last_wanting = slot;
}

Subscription* Tables::take_wanting(Session& session) {
  if (session.first_wanting == no_slot) return nullptr;
  Subscription& subscription = subscriptions.at(session.first_wanting);
  session.first_wanting = subscription.next_wanting;
  subscription.wanting = false;
  return &subscription;
}

void Tables::unlink_wanting(Subscription& subscription) {
  if (!subscription.wanting) return;
  Session& session = session_of(subscription);
  const std::uint32_t slot = subscriptions.index_of(subscription);
  std::uint32_t before = no_slot;
  std::uint32_t at = session.first_wanting;
  while (at != slot) {
    before = at;
    at = subscriptions.at(at).next_wanting;
  }
  if (before == no_slot) {
    session.first_wanting = subscription.next_wanting;
  } else {
    subscriptions.at(before).next_wanting = subscription.next_wanting;
  }
  if (session.last_wanting == slot) session.last_wanting = before;
  subscription.wanting = false;
}

Subscription* Tables::take_subscription(Session& session) {
  Subscription* subscription = subscriptions.take();
  if (subscription == nullptr) return nullptr;
  const std::uint32_t slot = subscriptions.index_of(*subscription);
  subscription->session = sessions.index_of(session);
  subscription->next = session.first_subscription;
  if (session.first_subscription != no_slot) {
    subscriptions.at(session.first_subscription).previous = slot;
  }
  session.first_subscription = slot;
  return subscription;
}

Subscription* Tables::find_subscription(const Session& session, std::uint32_t handle) {
  Subscription* subscription = subscriptions.find(handle);
  if (subscription == nullptr || subscription->session != sessions.index_of(session)) {
    return nullptr;
  }
  return subscription;
}

void Tables::remove_subscription(Subscription& subscription) {
  Session& session = session_of(subscription);
  const std::uint32_t slot = subscriptions.index_of(subscription);
  unlink_wanting(subscription);
  if (subscription.next != no_slot) {
    subscriptions.at(subscription.next).previous = subscription.previous;
  }
  if (subscription.previous != no_slot) {
    subscriptions.at(subscription.previous).next = subscription.next;
  } else {
    session.first_subscription = subscription.next;
  }
  beats.erase(slot);
  subscriptions.give_back(subscription);
}

void Tables::set_stalled(Session& session) {
  if (session.stalled) return;
  session.stalled = true;
  stalled[stalled_count++] = sessions.index_of(session);
}

void Tables::clear_stalled(Session& session) {
  if (!session.stalled) return;
  session.stalled = false;
  const std::uint32_t slot = sessions.index_of(session);
  std::uint32_t at = 0;
  while (stalled[at] != slot) ++at;
  --stalled_count;
  for (; at < stalled_count; ++at) stalled[at] = stalled[at + 1];  // in turn
}

}  // namespace millrace::native

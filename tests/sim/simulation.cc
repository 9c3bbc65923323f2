#include "tests/sim/simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "dataplane/base/units.h"
#include "storage/segment_writer.h"
#include "storage/superblock.h"

namespace millrace::sim {
namespace {

using base::ms_ns;
using base::us_ns;
using client::Level;

constexpr std::uint32_t partition_count = 6;
constexpr std::uint32_t first_compacted = 4;               // and those after it
constexpr std::uint64_t keys_max = 12;                     // of a partition, at a time
constexpr std::uint64_t trouble_ns = 2 * base::second_ns;  // at the fastest pace
constexpr std::uint64_t peace_ns = 500 * ms_ns;
constexpr std::uint64_t settle_ns = 120 * base::second_ns;
constexpr std::uint64_t step_min_ns = 20 * us_ns;
constexpr std::uint64_t step_max_ns = 20 * ms_ns;
constexpr std::uint64_t records_max = 4000;  // of a writer
constexpr const char* topic = "t";
constexpr const char* compacted_topic = "k";
constexpr std::uint64_t idle_ns = 2 * base::second_ns;  // of a reader that has met all there is
constexpr std::uint64_t calm_ns = 200 * ms_ns;  // of housekeeping that has nothing left to do

const char* topic_of(std::uint32_t partition) {
  return partition < first_compacted ? topic : compacted_topic;
}

std::uint16_t index_in_topic(std::uint32_t partition) {
  return static_cast<std::uint16_t>(partition < first_compacted ? partition
                                                                : partition - first_compacted);
}

NetOptions draw_weather(Random& random) {
  NetOptions net;
  net.delay_ns = random.between(20, 1000) * us_ns;
  net.jitter_ns = random.between(0, 500) * us_ns;
  const auto share = [&random](std::uint64_t bound) {
    return random.permille(700) ? static_cast<std::uint32_t>(random.below(bound)) : 0;
  };
  net.weather.seed = random.next();
  net.weather.drop_permille = share(150);
  net.weather.duplicate_permille = share(100);
  net.weather.hold_permille = share(100);
  return net;
}

// Timeouts are met only where little happens, races only where much does.
std::uint64_t draw_pace(Random& random) {
  constexpr std::array<std::uint64_t, 3> paces = {1, 3, 10};
  return paces[random.below(paces.size())];
}

}  // namespace

Simulation::Simulation(std::uint64_t seed, core::NodeMemory& memory, bool reuses_session_ids)
    : seed_(seed),
      reuses_session_ids_(reuses_session_ids),
      random_(seed),
      segment_harm_(random_, faults_, checker_),
      net_(random_, faults_),
      may_harm_(random_.permille(350)),
      may_harm_segments_(!may_harm_ && random_.permille(500)),
      pace_(draw_pace(random_)) {
  node_ = std::make_unique<core::TestNode>(node_options(memory));
  const std::size_t cores = node_->options.core_count;
  for (auto& disk : node_->disks)
    disks_.push_back({.disk = static_cast<testing::FaultyDisk*>(disk.get())});
  up_ = true;
  for (DiskState& state : disks_) state.disk->hold(true);
  for (DiskState& state : disks_) check_generation(state);
  constexpr std::array<std::int64_t, 3> tombstones_ms = {0, 200, 3'600'000};
  tombstones_ms_ = tombstones_ms[random_.below(tombstones_ms.size())];
  for (std::uint32_t partition = first_compacted; partition < partition_count; ++partition)
    checker_.compacted(partition, tombstones_ms_);
  began_ms_ = wall_ms();
  make_topics();
  for (std::size_t i = 0; i < random_.between(1, 3); ++i) add_guest(i % cores);
  for (const Fault kind :
       {Fault::link_cut, Fault::disk_stalled, Fault::disk_slow, Fault::killed, Fault::power_cut,
        Fault::restarted, Fault::client_gone, Fault::write_failed, Fault::flush_failed,
        Fault::disk_full, Fault::records_deleted}) {
    if (random_.permille(500)) kinds_.push_back(kind);
  }
  if (kinds_.empty()) kinds_.push_back(Fault::power_cut);
  net_.set_options(draw_weather(random_));
}

Simulation::~Simulation() {
  for (DiskState& state : disks_) state.disk->forget_operations();
}

core::TestNodeOptions Simulation::node_options(core::NodeMemory& memory) {
  core::TestNodeOptions options;
  options.core_count = static_cast<std::uint16_t>(random_.between(1, 3));
  options.memory = &memory;
  options.secret = seed_;
  options.port.rx_frames = 512;
  options.file_bytes = 2 * base::mib;
  constexpr std::array<std::uint64_t, 4> sort_at_bytes = {0, 1, 32 * base::kib, 256 * base::kib};
  options.sort_at_bytes = sort_at_bytes[random_.below(sort_at_bytes.size())];
  options.files_max = options.sort_at_bytes != 0 ? 4 : 16;
  options.files_ahead = 1;
  options.compactor.merge.files_per_merge = random_.permille(500) ? 2 : 4;
  options.compactor.interval_ns = random_.between(1, 50) * ms_ns;
  if (random_.permille(300)) options.compactor.compacted_bytes_max = 16 * base::kib;
  if (random_.permille(300)) options.compactor.keys_max = keys_max / 2;
  options.prepare_journal = false;
  options.make_disk = [this](std::uint16_t core) {
    const auto durability =
        random_.permille(500) ? storage::Durability::flush : storage::Durability::fua;
    return std::make_unique<testing::FaultyDisk>(seed_ * 64 + core, durability);
  };
  return options;
}

// --- clients ---

void Simulation::add_guest(std::size_t core) {
  Guest& guest = *guests_.emplace_back(std::make_unique<Guest>());
  guest.cable = net_.add_cable([&guest]() { return guest.port.get(); },
                               [this, core]() { return up_ ? &node_->port(core) : nullptr; });
  connect(guest);
  const std::uint64_t writers = random_.between(1, 3);
  for (std::uint64_t i = 0; i < writers; ++i) {
    const auto partition = static_cast<std::uint32_t>(random_.below(partition_count));
    add_writer(guest, partition, random_.permille(750) ? Level::durable : Level::memory);
  }
  add_reader(guest, static_cast<std::uint32_t>(random_.below(partition_count)));
}

void Simulation::connect(Guest& guest) {
  guest.readers.clear();
  guest.writers.clear();
  guest.client.reset();
  test::FakePortOptions port;
  port.rx_frames = 512;
  port.ipv4 = 0x0a00'0100 + static_cast<std::uint32_t>(guest.cable);
  port.udp_port = 40000;
  guest.port = std::make_unique<test::FakePort>(port);
  client::ClientOptions options;
  options.server = {.ipv4 = node_->options.port.ipv4, .udp_port = 7070};
  options.local_port = 40000;
  options.delivery_timeout_ns = 5 * base::second_ns;
  options.connection.seed = random_.next();
  guest.sessions_before = 0;
  guest.client = std::make_unique<client::Client>(*guest.port, node_->clock, options);
}

void Simulation::add_writer(Guest& guest, std::uint32_t partition, Level ack) {
  Writer writer;
  writer.id = ++writer_ids_;
  writer.partition = partition;
  writer.ack = ack;
  client::ProducerOptions options;
  options.topic = topic_of(partition);
  options.partition = index_in_topic(partition);
  options.producer_id = static_cast<base::ProducerId>(1000 + writer.id);
  options.ack = ack;
  if (random_.permille(300)) options.batch_bytes = 32 * 1024;
  writer.producer = guest.client->open_producer(options);
  guest.writers.push_back(writer);
}

Simulation::Reader& Simulation::add_reader(Guest& guest, std::uint32_t partition,
                                           std::optional<std::int64_t> from) {
  Reader& reader =
      add_reader(guest, partition, from ? native::StartAt::offset : native::StartAt::earliest,
                 from.value_or(0));
  if (from) reader.last_offset = *from - 1;
  return reader;
}

Simulation::Reader& Simulation::add_reader_from_time(Guest& guest, std::uint32_t partition,
                                                     std::int64_t from_ms) {
  Reader& reader = add_reader(guest, partition, native::StartAt::time, from_ms);
  reader.from_ms = from_ms;
  return reader;
}

Simulation::Reader& Simulation::add_reader(Guest& guest, std::uint32_t partition,
                                           native::StartAt start_at, std::int64_t value) {
  Reader& reader = *guest.readers.emplace_back(std::make_unique<Reader>());
  reader.guest = &guest;
  reader.partition = partition;
  client::SubscriptionOptions options;
  options.topic = topic_of(partition);
  options.partition_index = index_in_topic(partition);
  options.start_at = start_at;
  options.start_value = value;
  options.context = &reader;
  reader.subscription = guest.client->subscribe(options);
  return reader;
}

void Simulation::offer(Writer& writer) {
  const std::uint64_t burst = random_.between(1, 12);
  for (std::uint64_t i = 0; i < burst && writer.offered < records_max; ++i) {
    const std::size_t filling_bytes =
        random_.permille(50) ? random_.between(2'000, 20'000) : random_.between(0, 400);
    const std::string value = Checker::value_of(writer.id, writer.offered, filling_bytes);
    if (!offer_one(writer, value)) break;
    ++writer.offered;
  }
  writer.offer_at_ns = now() + pace_ * random_.between(100, 20'000) * us_ns;
}

// What is taken may be in the log from then on, so the checker is told before.
bool Simulation::offer_one(Writer& writer, const std::string& value) {
  if (checker_.is_compacted(writer.partition) && !random_.permille(50))
    return offer_keyed(writer, value);
  checker_.offered(writer.id, writer.partition, writer.offered, Checker::Keyed{});
  return writer.producer->offer(std::nullopt, value) >= 0;
}

bool Simulation::offer_keyed(Writer& writer, const std::string& value) {
  const std::uint64_t number = random_.below(keys_max);
  Key& key = keys_[{writer.partition, number}];
  const std::string name = fmt::format("{}k{}g{}", writer.partition, number, key.generation);
  const bool is_tombstone = !key.had_tombstone && random_.permille(50);
  checker_.offered(writer.id, writer.partition, writer.offered,
                   Checker::Keyed{name, is_tombstone, wall_ms()});
  const auto taken =
      writer.producer->offer(name, is_tombstone ? std::nullopt : std::optional(value));
  if (taken < 0) return false;
  if (!is_tombstone) return true;
  // Either it is used again, or another one in its place.
  key.had_tombstone = random_.permille(500);
  if (!key.had_tombstone) ++key.generation;
  return true;
}

void Simulation::look_after(Guest& guest, Writer& writer) {
  mr_acks acks{};
  const int status = writer.producer->poll_acks(acks);
  checker_.acknowledged(writer.id,
                        static_cast<std::uint64_t>(std::max<std::int64_t>(acks.durable, 0)));
  if (status >= 0) {
    if (offering_ && writer.producer->ready() && now() >= writer.offer_at_ns) offer(writer);
    return;
  }
  switch (status) {
    case MR_TIMED_OUT:
    case MR_STORAGE_FAILED:
    case MR_REFUSED_FULL:
    case MR_DISK_FULL:
      writer.producer->retry();
      return;
    case MR_DAMAGED:
      if (!harmed_)
        checker_.report(Anomaly::unreadable,
                        fmt::format("producer {}: partition {} is called damaged", writer.id,
                                    writer.partition));
      break;
    case MR_OUT_OF_ORDER:
      // What was only in memory may have gone with the power.
      if (writer.ack == Level::durable && !harmed_)
        checker_.report(Anomaly::lost,
                        fmt::format("the node misses records of producer {}", writer.id));
      break;
    default:
      checker_.report(Anomaly::broken_rule,
                      fmt::format("producer {} stopped: {}", writer.id, mr_status_text(status)));
  }
  guest.client->close_producer(writer.producer);
  writer.producer = nullptr;
}

void Simulation::look_after(Guest& guest, Reader& reader) {
  mr_position position{};
  const int status = reader.subscription->position(position);
  if (status >= 0 || status == MR_NOT_CONNECTED || status == MR_NOT_READY) return;
  guest.client->unsubscribe(reader.subscription);
  reader.subscription = nullptr;
  reader.finished = true;
  // The reader may have been ahead of what the power left.
  if (status == MR_OUT_OF_RANGE && reader.into == nullptr) return;
  if (status != MR_DAMAGED)
    return checker_.report(Anomaly::unreadable, fmt::format("partition {}: {}", reader.partition,
                                                            mr_status_text(status)));
  if (harmed_) return;
  // What was harmed may lie on the way to the time that was asked for.
  if (reader.from_ms && checker_.is_harmed_from(reader.partition, position.next_offset)) return;
  if (const auto end = checker_.refused(reader.partition, position.next_offset))
    reader.resume_at = *end;
}

void Simulation::deliver(Reader& reader, const mr_record& record) {
  const auto bytes = [](const void* at, std::size_t count) {
    return at == nullptr ? Checker::Bytes() : std::string_view(static_cast<const char*>(at), count);
  };
  const std::string text = Checker::text_of(bytes(record.key, record.key_bytes),
                                            bytes(record.value, record.value_bytes));
  if (record.offset <= reader.last_offset)
    checker_.report(Anomaly::reordered,
                    fmt::format("partition {}: offset {} was delivered after {}", reader.partition,
                                record.offset, reader.last_offset));
  if (reader.last_offset >= 0 && record.offset > reader.last_offset + 1)
    led_on(reader, record.offset);
  if (record.timestamp_ms < std::exchange(reader.from_ms, {}).value_or(record.timestamp_ms))
    checker_.report(Anomaly::broken_rule, fmt::format("partition {}: offset {} is older than the "
                                                      "time that was asked for",
                                                      reader.partition, record.offset));
  reader.last_offset = record.offset;
  reader.met_at_ns = now();
  if (reader.into != nullptr)
    return reader.into->push_back({record.offset, text, record.timestamp_ms});
  // A packet of an earlier life of the node may still be under way.
  const Guest& guest = *reader.guest;
  const bool is_current = guest.client->stats().sessions > guest.sessions_before;
  checker_.read(reader.partition, record.offset, text, is_current);
}

void Simulation::led_on(const Reader& reader, std::int64_t to) {
  if (checker_.is_compacted(reader.partition))
    return checker_.skipped(reader.partition, reader.last_offset + 1, to);
  checker_.report(Anomaly::lost, fmt::format("partition {}: a reader was led from offset {} to {}",
                                             reader.partition, reader.last_offset, to));
}

void Simulation::use(Guest& guest) {
  guest.client->poll(
      [](void* context, const mr_record* record) {
        auto* subscription = reinterpret_cast<client::Subscription*>(record->subscription);
        static_cast<Simulation*>(context)->deliver(*static_cast<Reader*>(subscription->context()),
                                                   *record);
      },
      this, 1'000'000);
  for (Writer& writer : guest.writers)
    if (writer.producer != nullptr) look_after(guest, writer);
  for (auto& reader : guest.readers)
    if (reader->subscription != nullptr) look_after(guest, *reader);
  std::erase_if(guest.writers, [](const Writer& writer) { return writer.producer == nullptr; });
  if (!offering_) return;
  // Whoever had to stop is followed by another.
  if (guest.writers.empty() && !harmed_)
    add_writer(guest, static_cast<std::uint32_t>(random_.below(partition_count)), Level::durable);
  std::erase_if(guest.readers, [](const auto& reader) { return reader->finished; });
  if (guest.readers.empty() && !harmed_) replace_reader(guest);
}

void Simulation::replace_reader(Guest& guest) {
  const auto partition = static_cast<std::uint32_t>(random_.below(partition_count));
  const std::int64_t end = log_end(partition);
  const std::uint64_t place = random_.below(10);
  if (end == 0 || place < 3) {
    add_reader(guest, partition);
  } else if (place < 6) {
    const auto age_ms = static_cast<std::uint64_t>(wall_ms() - began_ms_);
    add_reader_from_time(guest, partition,
                         began_ms_ + static_cast<std::int64_t>(random_.below(age_ms + 1)));
  } else {
    add_reader(guest, partition,
               static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(end))));
  }
}

void Simulation::replace_client(Guest& guest) {
  add(faults_, Fault::client_gone);
  const std::size_t writers = guest.writers.size();
  connect(guest);
  for (std::size_t i = 0; i < writers; ++i)
    add_writer(guest, static_cast<std::uint32_t>(random_.below(partition_count)), Level::durable);
}

// --- time ---

std::uint64_t Simulation::next_ns() {
  std::uint64_t next = std::min(now() + step_max_ns, net_.next_ns());
  for (const DiskState& state : disks_)
    if (state.next_ns != 0) next = std::min(next, state.next_ns);
  for (const Later& one : later_) next = std::min(next, one.at_ns);
  for (const auto& guest : guests_) {
    next = std::min(next, guest->client->deadline_ns());
    if (!offering_) continue;
    // Whoever could not offer when its time came waits for something else to happen.
    for (const Writer& writer : guest->writers)
      if (writer.offer_at_ns > now()) next = std::min(next, writer.offer_at_ns);
  }
  if (up_) {
    for (auto& core : node_->cores)
      next = std::min(next, now() + std::max(core->core.sleep_ns_max(), 10 * step_min_ns));
  }
  return std::max(next, now() + step_min_ns);
}

void Simulation::step() {
  node_->clock.advance(next_ns() - now());
  for (std::size_t i = 0; i < later_.size();) {
    if (later_[i].at_ns > now()) {
      ++i;
      continue;
    }
    const auto act = std::move(later_[i].act);
    later_.erase(later_.begin() + static_cast<std::ptrdiff_t>(i));
    act();
  }
  net_.deliver(now());
  for (DiskState& state : disks_) move_disk(state);
  if (up_) turn_node();
  net_.collect(now());
  for (auto& guest : guests_) use(*guest);
  net_.collect(now());
}

void Simulation::run_until_ns(std::uint64_t end_ns) {
  while (now() < end_ns) {
    step();
    if (now() >= fault_at_ns_ && offering_) fault();
  }
}

// A turn hands work to other cores and to itself; it goes on until all rest.
void Simulation::turn_node() {
  for (int round = 0; round < 8; ++round) {
    bool worked = false;
    for (auto& core : node_->cores) worked |= core->core.run_turn();
    if (!worked) break;
  }
  keep_house();
  for (std::size_t i = 0; i < disks_.size(); ++i) {
    const base::Position durable = node_->cores[i]->journal->durable_position();
    if (durable == disks_[i].durable) continue;
    disks_[i].proven = disks_[i].durable;
    disks_[i].durable = durable;
  }
}

// Some of it, so that trouble comes between its steps. What fails is tried again later.
void Simulation::keep_house() {
  for (std::size_t i = 0; i < disks_.size(); ++i) {
    storage::Log& log = *node_->cores[i]->log;
    for (std::uint64_t steps = random_.below(4); steps > 0; --steps) {
      const auto worked = log.keep_house(now(), wall_ms());
      log.take_messages();
      if (!worked || !*worked) break;
      house_kept_ns_ = now();
    }
    if (node_->options.sort_at_bytes != 0) count_rewritten(disks_[i], log.store());
  }
}

// A file that was sorted goes further than all before it.
void Simulation::count_rewritten(DiskState& state, const storage::SegmentStore& store) {
  if (store.next_number() == state.file_number + 1) return;
  for (const storage::SegmentFile& file : store.files()) {
    const storage::SegmentFileHeader& header = file.header;
    if (header.number <= state.file_number) continue;
    if (header.from == header.to) {
      add(faults_, Fault::partitions_compacted);
    } else if (header.to <= state.sorted_to) {
      add(faults_, Fault::files_merged);
    }
    state.sorted_to = std::max(state.sorted_to, header.to);
    state.file_number = header.number;
  }
}

void Simulation::move_disk(DiskState& state) {
  if (state.disk->in_flight() == 0) {
    state.next_ns = 0;
  } else if (state.next_ns == 0) {
    const std::uint64_t slowness = now() < state.slow_until_ns ? 30 : 1;
    state.next_ns =
        std::max(now() + slowness * random_.between(30, 2'000) * us_ns, state.stalled_until_ns);
  } else if (now() >= state.next_ns) {
    state.next_ns = 0;
    state.disk->deliver_one();
  }
}

void Simulation::later(std::uint64_t after_ns, std::function<void()> act) {
  later_.push_back({now() + after_ns, std::move(act)});
}

// --- the node ---

void Simulation::start_node() {
  if (up_) return;
  ++starts_;
  for (DiskState& state : disks_) {
    state.disk->fail_writes(0);
    state.disk->fail_flushes(0);
  }
  node_->options.secret = seed_ + (reuses_session_ids_ ? 0 : starts_ << 32);
  for (auto& guest : guests_) guest->sessions_before = guest->client->stats().sessions;
  node_->start();
  up_ = true;
  for (DiskState& state : disks_) check_generation(state);
  for (std::size_t i = 0; i < disks_.size(); ++i) {
    const base::Position end = node_->cores[i]->journal->durable_position();
    if (end < disks_[i].proven && !harmed_)
      checker_.report(Anomaly::lost, fmt::format("journal {} ends at {}, {} was durable", i, end,
                                                 disks_[i].proven));
    disks_[i].durable = disks_[i].proven = end;
  }
  make_topics();
}

void Simulation::make_topics() {
  using link::MailboxKind;
  node_->mail(core::TestNode::message(MailboxKind::create_topic, topic, 1, 0, first_compacted));
  auto compacted = core::TestNode::message(MailboxKind::create_topic, compacted_topic, 2,
                                           first_compacted, partition_count - first_compacted);
  compacted.tombstones_ms = tombstones_ms_;
  node_->mail(compacted);
  node_->mail(core::TestNode::message(MailboxKind::catalog_complete));
  node_->turns(2);
}

// Nobody is told anything.
void Simulation::stop_node() {
  node_->stop();
  up_ = false;
  for (DiskState& state : disks_) state.next_ns = 0;
}

void Simulation::kill_node(bool power_cut) {
  if (!up_) return;
  add(faults_, power_cut ? Fault::power_cut : Fault::killed);
  for (DiskState& state : disks_) {
    if (state.disk->exists(storage::unfinished_segment_name)) add(faults_, Fault::sorting_cut);
    if (state.disk->exists(storage::unfinished_rewrite_name)) add(faults_, Fault::rewriting_cut);
    if (power_cut) {
      const auto crash = state.disk->crash();
      if (crash.kept != 0 && crash.lost != 0) add(faults_, Fault::torn_write);
    } else {
      state.disk->forget_operations();
    }
  }
  stop_node();
  if (may_harm_ && offering_ && random_.permille(300)) harm(disks_[random_.below(disks_.size())]);
  later(random_.between(1, 300) * ms_ns, [this] { start_node(); });
}

void Simulation::check_generation(DiskState& state) {
  const auto file = state.disk->open(storage::superblock_file_name);
  const auto superblock =
      file ? storage::load_superblock(*state.disk, *file) : std::optional<storage::Superblock>();
  if (!superblock || superblock->generation <= state.generation)
    return checker_.report(Anomaly::broken_rule,
                           fmt::format("a start did not raise generation {}", state.generation));
  state.generation = superblock->generation;
}

// Something durable goes bad. Only what later frames prove to have been durable: the very last one
// cannot be told from a torn write without a replica.
void Simulation::harm(DiskState& state) {
  const std::uint64_t blocks = state.proven / storage::block_bytes;
  if (blocks < 2) return;
  harmed_ = true;
  const auto place = [&](std::uint64_t block) {
    const std::uint64_t position = block * storage::block_bytes;
    const std::uint64_t file_bytes = node_->options.file_bytes;
    return std::pair(fmt::format("journal-{:04}", position / file_bytes), position % file_bytes);
  };
  const auto [name, at] = place(random_.below(blocks));
  switch (random_.below(4)) {
    case 0: {
      add(faults_, Fault::bit_rot);
      const std::uint64_t byte = random_.below(storage::block_bytes);
      return state.disk->flip_bit(name, at + byte, static_cast<std::uint32_t>(random_.below(8)));
    }
    case 1: {
      add(faults_, Fault::write_lost);
      const std::vector<std::byte> zeros(storage::block_bytes);
      return state.disk->overwrite(name, at, zeros);
    }
    case 2: {
      add(faults_, Fault::write_misplaced);
      const auto [other, other_at] = place(random_.below(blocks));
      const auto bytes = state.disk->contents(other);
      return state.disk->overwrite(name, at,
                                   std::span(bytes).subspan(other_at, storage::block_bytes));
    }
    default:
      add(faults_, Fault::unreadable);
      return state.disk->make_unreadable(name, at);
  }
}

void Simulation::harm_segments() {
  const std::size_t disk = random_.below(disks_.size());
  segment_harm_.harm(*disks_[disk].disk, core::TestNode::cluster_id,
                     base::ShardId{static_cast<std::uint16_t>(disk)});
}

void Simulation::delete_records() {
  if (!up_) return;
  const auto partition = static_cast<std::uint32_t>(random_.below(partition_count));
  const std::int64_t end = log_end(partition);
  if (end < 2) return;
  add(faults_, Fault::records_deleted);
  const auto before = static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(end)));
  checker_.trimmed(partition, before);
  auto message = core::TestNode::message(link::MailboxKind::delete_records, "", 1, partition);
  message.offset = before;
  node_->mail(message);
}

void Simulation::empty(DiskState& state) {
  state.disk->set_capacity(~0ULL);
  state.disk->fail_creates(false);
}

// --- trouble ---

void Simulation::fault() {
  fault_at_ns_ = now() + pace_ * random_.between(20, 400) * ms_ns;
  if (may_harm_segments_ && random_.permille(400)) harm_segments();
  const Fault kind = kinds_[random_.below(kinds_.size())];
  DiskState& state = disks_[random_.below(disks_.size())];
  Guest& guest = *guests_[random_.below(guests_.size())];
  switch (kind) {
    case Fault::link_cut: {
      add(faults_, kind);
      const std::size_t direction = random_.below(2);
      net_.set_cut(guest.cable, direction, true);
      return later(random_.between(5, 500) * ms_ns, [this, cable = guest.cable, direction] {
        net_.set_cut(cable, direction, false);
      });
    }
    case Fault::disk_stalled:
      add(faults_, kind);
      state.stalled_until_ns = now() + random_.between(5, 300) * ms_ns;
      return;
    case Fault::disk_slow:
      add(faults_, kind);
      state.slow_until_ns = now() + random_.between(50, 1'000) * ms_ns;
      return;
    case Fault::killed:
    case Fault::power_cut:
      return kill_node(kind == Fault::power_cut);
    case Fault::restarted:
      if (!up_) return;
      add(faults_, kind);
      for (auto& core : node_->cores) static_cast<void>(core->core.drain());
      net_.collect(now());
      stop_node();
      return later(random_.between(1, 100) * ms_ns, [this] { start_node(); });
    case Fault::client_gone:
      return replace_client(guest);
    case Fault::write_failed:
    case Fault::flush_failed:
      if (!up_) return;
      add(faults_, kind);
      if (kind == Fault::write_failed) {
        state.disk->fail_writes(-EIO);
      } else {
        state.disk->fail_flushes(-EIO);
      }
      // The operator changes the cable and starts the node again.
      return later(random_.between(10, 200) * ms_ns, [this] { kill_node(random_.permille(500)); });
    case Fault::records_deleted:
      return delete_records();
    case Fault::disk_full:
      add(faults_, kind);
      if (random_.permille(500)) {
        state.disk->set_capacity(0);
      } else {
        state.disk->fail_creates(true);
      }
      return later(random_.between(10, 2000) * ms_ns, [&state] { empty(state); });
    default:
      return;
  }
}

// --- the end ---

void Simulation::heal() {
  fault_at_ns_ = ~0ULL;
  net_.set_options({});
  net_.mend_all();
  for (DiskState& state : disks_) {
    state.stalled_until_ns = state.slow_until_ns = 0;
    empty(state);
  }
}

bool Simulation::settled() const {
  if (!up_ || !later_.empty()) return false;
  return std::all_of(guests_.begin(), guests_.end(), [](const auto& guest) {
    return std::all_of(guest->writers.begin(), guest->writers.end(), [](const Writer& writer) {
      return writer.producer->status() == MR_OK && writer.producer->drained();
    });
  });
}

const link::PartitionBlock* Simulation::block_of(std::uint32_t partition) const {
  for (const link::PartitionBlock& block : node_->region->partitions)
    if (block.id_plus_one.get() == partition + 1) return &block;
  return nullptr;
}

bool Simulation::is_damaged(std::uint32_t partition) const {
  const link::PartitionBlock* block = block_of(partition);
  return block != nullptr && block->damaged.get() != 0;
}

std::int64_t Simulation::log_end(std::uint32_t partition) const {
  const link::PartitionBlock* block = block_of(partition);
  return block == nullptr ? 0 : static_cast<std::int64_t>(block->log_end.get());
}

// Where the last records of a compacted partition were tombstones, nothing tells that it is read.
bool Simulation::is_read(Reader*& reader) {
  const std::int64_t end = log_end(reader->partition);
  if (reader->resume_at >= 0 && reader->resume_at < end) {
    auto* into = reader->into;
    reader = &add_reader(*guests_.front(), reader->partition, reader->resume_at);
    reader->into = into;
    reader->met_at_ns = now();
  }
  return reader->finished || reader->last_offset + 1 >= end ||
         (checker_.is_compacted(reader->partition) && now() > reader->met_at_ns + idle_ns);
}

void Simulation::read_to_end(std::vector<Reader*>& readers) {
  const std::uint64_t end_ns = now() + settle_ns;
  const auto is_done = [this](Reader*& reader) { return is_read(reader); };
  for (Reader* reader : readers) reader->met_at_ns = now();
  while (now() < end_ns && !std::ranges::all_of(readers, is_done)) step();
  for (Reader*& reader : readers) {
    if (!is_read(reader))
      checker_.report(Anomaly::stuck,
                      fmt::format("partition {} is read up to {} of {}", reader->partition,
                                  reader->last_offset + 1, log_end(reader->partition)));
  }
}

void Simulation::read_all() {
  std::vector<std::vector<Checker::Entry>> whole(partition_count);
  std::vector<std::vector<Checker::Entry>> later(partition_count);  // from a time on
  std::vector<std::int64_t> later_from(partition_count);
  Guest& guest = *guests_.front();
  connect(guest);
  run_until_ns(now() + 100 * ms_ns);  // the node has shown its partitions
  std::vector<Reader*> readers;
  for (std::uint32_t partition = 0; partition < partition_count; ++partition) {
    readers.push_back(&add_reader(guest, partition));
    readers.back()->into = &whole[partition];
  }
  read_to_end(readers);
  for (std::uint32_t partition = 0; partition < partition_count; ++partition)
    checker_.verify(partition, whole[partition], is_damaged(partition), wall_ms());
  add(faults_, Fault::tombstone_gone, checker_.tombstones_gone());
  if (may_harm_ || may_harm_segments_) return;

  readers.clear();
  for (std::uint32_t partition = 0; partition < partition_count; ++partition) {
    if (whole[partition].empty()) continue;
    const std::size_t first = random_.below(whole[partition].size());
    readers.push_back(
        &add_reader_from_time(guest, partition, whole[partition][first].timestamp_ms));
    readers.back()->into = &later[partition];
    later_from[partition] = whole[partition][first].timestamp_ms;
  }
  read_to_end(readers);
  for (const Reader* reader : readers)
    checker_.verify_from_time(reader->partition, whole[reader->partition],
                              later_from[reader->partition], later[reader->partition]);
}

Report Simulation::run() {
  fault_at_ns_ = now() + pace_ * random_.between(10, 200) * ms_ns;
  run_until_ns(now() + pace_ * trouble_ns);
  heal();
  // Whoever trouble has kept from it writes something now.
  run_until_ns(now() + peace_ns);
  offering_ = false;
  const std::uint64_t end_ns = now() + settle_ns;
  while (now() < end_ns && !settled()) step();
  if (!settled()) checker_.report(Anomaly::stuck, "not everything is acknowledged in two minutes");
  kill_node(true);
  if (may_harm_segments_) harm_segments();
  while (!up_) step();
  // A reader that compaction overtakes meets old records of a key and no longer its tombstone.
  const std::uint64_t rest_until_ns = now() + settle_ns;
  while (now() < std::min(house_kept_ns_ + calm_ns, rest_until_ns)) step();
  read_all();
  return {.seed = seed_,
          .hash = net_.hash(),
          .virtual_ns = now(),
          .acknowledged = checker_.acknowledged_count(),
          .read = checker_.read_count(),
          .faults = faults_,
          .findings = checker_.findings()};
}

}  // namespace millrace::sim

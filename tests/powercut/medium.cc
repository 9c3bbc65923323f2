#include "tests/powercut/medium.h"

#include <algorithm>
#include <cstring>

#include "storage/superblock.h"

namespace millrace::powercut {
namespace {

using storage::Durability;
using storage::RecordedKind;

constexpr std::byte anything{0xa5};
constexpr std::string_view segment_prefix = "segment-";
constexpr std::string_view journal_prefix = "journal-";
// So much of a journal file that is used again counts as its beginning.
constexpr std::uint64_t reuse_bytes = 64 * 1024;

bool is_write(const testing::Event& event) {
  return event.kind == RecordedKind::write || event.kind == RecordedKind::write_durable;
}

std::span<const std::byte> sector_of(const testing::Event& write, std::uint64_t sector) {
  return write.bytes.subspan(sector * Medium::sector_bytes - write.at, Medium::sector_bytes);
}

}  // namespace

// Which sectors of each write that is not settled are left. Drawn once a write, since what one
// write leaves has a shape.
class Medium::Chance {
 public:
  explicit Chance(sim::Random& random) : random_(random), mood_(random.below(6)) {}

  bool toss() { return random_.permille(500); }
  bool permille(std::uint64_t share) { return random_.permille(share); }

  bool keeps(const Event& write, std::uint64_t sector) {
    const std::uint64_t count = write.count / sector_bytes;
    const std::uint64_t index = sector - write.at / sector_bytes;
    auto [known, is_new] = shapes_.try_emplace(write.operation);
    if (is_new) known->second = draw(count);
    const Shape& shape = known->second;
    switch (shape.kind) {
      case Shape::Kind::none:
        return false;
      case Shape::Kind::all:
        return true;
      case Shape::Kind::first:
        return index < shape.at;
      case Shape::Kind::last:
        return index >= shape.at;
      case Shape::Kind::one:
        return index == shape.at;
      case Shape::Kind::all_but_one:
        return index != shape.at;
      case Shape::Kind::some:
        return random_.permille(shape.at);
    }
    return false;
  }

 private:
  struct Shape {
    enum class Kind : std::uint8_t { none, all, first, last, one, all_but_one, some };
    Kind kind = Kind::none;
    std::uint64_t at = 0;  // a sector; of some, how many in a thousand
  };

  // In some cuts all goes or all stays; in most each write has its own fate.
  Shape draw(std::uint64_t count) {
    if (mood_ == 0) return {.kind = Shape::Kind::none};
    if (mood_ == 1) return {.kind = Shape::Kind::all};
    Shape shape{.kind = static_cast<Shape::Kind>(random_.below(7))};
    shape.at = shape.kind == Shape::Kind::some ? random_.below(1001) : random_.below(count);
    return shape;
  }

  sim::Random& random_;
  std::uint64_t mood_;
  std::unordered_map<std::uint64_t, Shape> shapes_;  // by operation
};

// --- what is asked ---

bool Medium::take(const Event& event) {
  ++number_;
  if (event.kind == RecordedKind::close) return open_.erase(event.file) == 1;
  if (event.kind != RecordedKind::end) return begin(event);
  const auto began = pending_.find(event.operation);
  if (began == pending_.end() || event.failed) return false;
  const Pending pending = began->second;
  pending_.erase(began);
  return finish(event, pending);
}

bool Medium::begin(const Event& event) {
  Pending pending{.event = &event, .began = number_};
  if (event.kind == RecordedKind::open) {
    // Only a log that starts opens files; what an earlier life asked for must have ended.
    if (!pending_.empty()) return false;
    starting_ = true;
  }
  if (is_write(event) && !begin_write(event, pending)) return false;
  return pending_.emplace(event.operation, pending).second;
}

bool Medium::begin_write(const Event& event, Pending& pending) {
  File* file = file_of(event);
  if (file == nullptr || event.at % storage::block_bytes != 0 ||
      event.at + event.count > file->bytes) {
    return false;
  }
  for (std::uint64_t at = event.at; at < event.at + event.count; at += sector_bytes) {
    file->cache[at / sector_bytes].push_back(&event);
  }
  if (event.kind == RecordedKind::write_durable) starting_ = false;
  if (is_superblock(event)) {
    if (event.at != 0) between_halves_ = false;
    if (event.kind == RecordedKind::write_durable) untrimmed_ = false;
  }
  pending.is_reuse = file->name.starts_with(journal_prefix) && event.at < reuse_bytes &&
                     file->written_to > event.at;
  file->written_to = std::max(file->written_to, event.at + event.count);
  return true;
}

bool Medium::finish(const Event& end, const Pending& pending) {
  const Event& event = *pending.event;
  File* file = file_of(event);
  switch (event.kind) {
    case RecordedKind::create:
    case RecordedKind::reserve:
      add_file(end, event);
      return true;
    case RecordedKind::open:
      file = find(event.name);
      if (file != nullptr) open_[end.file] = static_cast<std::size_t>(file - files_.data());
      return file != nullptr;
    case RecordedKind::remove:
      file = find(event.name);
      if (file != nullptr) file->is_there = false;
      return file != nullptr;
    case RecordedKind::rename: {
      file = find(event.name);
      if (file == nullptr) return false;
      if (File* other = find(event.to); other != nullptr) other->is_there = false;
      file->name = event.to;
      file->is_named = true;
      untrimmed_ |= event.to.starts_with(segment_prefix);
      return true;
    }
    default:
      break;
  }
  if (file == nullptr) return false;
  if (event.kind == RecordedKind::resize) {
    file->bytes = event.count;
    file->cache.erase(file->cache.lower_bound(event.count / sector_bytes), file->cache.end());
  }
  if (event.kind == RecordedKind::flush && !ignores_flushes_) {
    settle_ended_before(*file, pending.began);
    file->settled.resize(file->bytes, anything);
  }
  if (is_write(event)) {
    write_ended_[event.operation] = number_;
    if (is_superblock(event) && event.at == 0) between_halves_ = true;
    if (ignores_flushes_) return true;
    const bool is_durable = event.kind == RecordedKind::write_durable;
    if (is_durable || durability_ == Durability::plp) settle_own(*file, event);
    if (is_durable && durability_ == Durability::flush) settle_ended_before(*file, pending.began);
  }
  return true;
}

void Medium::add_file(const Event& end, const Event& began) {
  const bool is_zero = began.kind == RecordedKind::create;
  files_.push_back(
      {.name = std::string(began.name),
       .is_named = is_zero,
       .bytes = began.count,
       .settled = std::vector<std::byte>(began.count, is_zero ? std::byte{} : anything),
       .cache = {}});
  open_[end.file] = files_.size() - 1;
}

Medium::File* Medium::find(std::string_view name) {
  for (File& file : files_) {
    if (file.is_there && file.name == name) return &file;
  }
  return nullptr;
}

Medium::File* Medium::file_of(const Event& event) {
  const auto id = open_.find(event.file);
  return id == open_.end() ? nullptr : &files_[id->second];
}

// --- what is settled ---

void Medium::settle_own(File& file, const Event& write) {
  for (std::uint64_t at = write.at; at < write.at + write.count; at += sector_bytes) {
    const auto cached = file.cache.find(at / sector_bytes);
    if (cached == file.cache.end()) continue;  // a later one is settled
    auto& writes = cached->second;
    const auto own = std::ranges::find(writes, &write);
    if (own == writes.end()) continue;
    settle(file, cached->first, writes, static_cast<std::size_t>(own - writes.begin()) + 1);
    if (writes.empty()) file.cache.erase(cached);
  }
}

void Medium::settle_ended_before(File& file, std::uint64_t number) {
  for (auto cached = file.cache.begin(); cached != file.cache.end();) {
    auto& writes = cached->second;
    std::size_t count = 0;
    for (std::size_t i = 0; i < writes.size(); ++i) {
      const auto ended = write_ended_.find(writes[i]->operation);
      if (ended != write_ended_.end() && ended->second < number) count = i + 1;
    }
    settle(file, cached->first, writes, count);
    cached = writes.empty() ? file.cache.erase(cached) : std::next(cached);
  }
}

// The first `count` writes of a sector; of them the last one counts.
void Medium::settle(File& file, std::uint64_t sector, std::vector<const Event*>& writes,
                    std::size_t count) {
  if (count == 0) return;
  const std::uint64_t end = (sector + 1) * sector_bytes;
  if (file.settled.size() < end) file.settled.resize(end, anything);
  const auto bytes = sector_of(*writes[count - 1], sector);
  std::memcpy(file.settled.data() + sector * sector_bytes, bytes.data(), bytes.size());
  writes.erase(writes.begin(), writes.begin() + static_cast<std::ptrdiff_t>(count));
}

// --- the cut ---

bool Medium::is_superblock(const Event& write) const {
  const auto id = open_.find(write.file);
  return id != open_.end() && files_[id->second].name == storage::superblock_file_name;
}

CutKinds Medium::kinds() const {
  CutKinds kinds;
  const auto set = [&](CutKind kind, bool met) {
    if (met) kinds.set(static_cast<std::size_t>(kind));
  };
  set(CutKind::at_rest, pending_.empty());
  for (const auto& [operation, pending] : pending_) {
    const Event& event = *pending.event;
    const RecordedKind kind = event.kind;
    if (is_write(event) && is_superblock(event)) {
      set(event.at == 0 ? CutKind::superblock_first : CutKind::superblock_second, true);
    } else {
      set(CutKind::mid_write, kind == RecordedKind::write_durable);
    }
    set(CutKind::file_reuse, pending.is_reuse);
    set(CutKind::mid_flush, kind == RecordedKind::flush);
    set(CutKind::mid_resize, kind == RecordedKind::resize);
    set(CutKind::mid_rename, kind == RecordedKind::rename);
    set(CutKind::mid_create, kind == RecordedKind::create);
    set(CutKind::mid_remove, kind == RecordedKind::remove);
  }
  set(CutKind::mid_sort, std::ranges::any_of(files_, [](const File& file) {
        return file.is_there && !file.is_named;
      }));
  set(CutKind::superblock_between, between_halves_);
  set(CutKind::sorted_untrimmed, untrimmed_);
  set(CutKind::starting, starting_);
  return kinds;
}

const Medium::Pending* Medium::pending_name(RecordedKind kind, const File& file) const {
  for (const auto& [operation, pending] : pending_) {
    if (pending.event->kind == kind && pending.event->name == file.name) return &pending;
  }
  return nullptr;
}

CutSectors Medium::cut(sim::Random& random, testing::FaultyDisk& disk) const {
  CutSectors sectors;
  Chance chance(random);
  for (const File& file : files_) {
    if (!file.is_there) continue;
    const Pending* removed = pending_name(RecordedKind::remove, file);
    const Pending* renamed = pending_name(RecordedKind::rename, file);
    if (removed != nullptr && chance.toss()) continue;
    if (renamed != nullptr && chance.toss()) {
      put(file, std::string(renamed->event->to), chance, disk, sectors);
    } else if (file.is_named || chance.permille(750)) {
      put(file, file.name, chance, disk, sectors);
    }
  }
  for (const auto& [operation, pending] : pending_) {
    const Event& event = *pending.event;
    if (event.kind != RecordedKind::create && event.kind != RecordedKind::reserve) continue;
    if (!chance.toss()) continue;
    const std::string name(event.name);
    static_cast<void>(event.kind == RecordedKind::create ? disk.create(name, event.count).value()
                                                         : disk.reserve(name, event.count).value());
  }
  return sectors;
}

std::uint64_t Medium::choose_bytes(const File& file, Chance& chance) const {
  std::uint64_t bytes = chance.toss() ? file.bytes : file.settled.size();
  for (const auto& [operation, pending] : pending_) {
    const auto id = open_.find(pending.event->file);
    if (pending.event->kind == RecordedKind::resize && id != open_.end() &&
        &files_[id->second] == &file && chance.toss()) {
      bytes = pending.event->count;
    }
  }
  return bytes;
}

void Medium::put(const File& file, const std::string& name, Chance& chance,
                 testing::FaultyDisk& disk, CutSectors& sectors) const {
  const std::uint64_t bytes = choose_bytes(file, chance);
  static_cast<void>(disk.reserve(name, bytes).value());
  disk.overwrite(
      name, 0, std::span(file.settled).first(std::min<std::uint64_t>(bytes, file.settled.size())));
  for (const auto& [sector, writes] : file.cache) {
    const bool is_within = (sector + 1) * sector_bytes <= bytes;
    std::size_t left = writes.size();
    while (left != 0 && !(is_within && chance.keeps(*writes[left - 1], sector))) --left;
    ++(left == writes.size() ? sectors.kept : sectors.lost);
    if (left != 0)
      disk.overwrite(name, sector * sector_bytes, sector_of(*writes[left - 1], sector));
  }
}

}  // namespace millrace::powercut

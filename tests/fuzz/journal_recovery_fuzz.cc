// Any change to a journal's bytes: recovery ends, stays inside its memory, and hands out only
// batches that were written, each at its place.
//
// Input: commands of 6 bytes that change the image of a small sound journal: u8 what | u24 where |
// u16 value. Some of them put CRCs right afterwards, so that the fuzzer gets past those.
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "dataplane/base/arena.h"
#include "storage/crc32c.h"
#include "storage/frame.h"
#include "storage/journal.h"
#include "storage/memory_disk.h"

namespace {

using namespace millrace;           // NOLINT
using namespace millrace::storage;  // NOLINT

const JournalOptions options{.cluster_id = 5,
                             .file_bytes = 2ULL << 20,
                             .files_max = 2,
                             .tail_bytes = 8ULL << 20,
                             .frame_bytes_max = 2U << 20,
                             .gather_ns = 0,
                             .files_ahead = 1};

class Check final : public RecoveryVisitor {
 public:
  void on_batch(base::PartitionId, base::Position position, const BatchView& batch) override {
    const std::vector<std::byte> bytes(batch.data(), batch.data() + batch.bytes());
    if (!forged && (written == nullptr || written->at(position) != bytes)) std::abort();
    if (position < last) std::abort();
    last = position;
    ++batches;
  }
  void on_damage(const base::PartitionId*, base::Position first, base::Position end) override {
    if (first >= end) std::abort();
    damaged = true;
  }
  void on_progress(std::uint64_t, std::uint64_t) override {}

  const std::map<base::Position, std::vector<std::byte>>* written = nullptr;
  bool forged = false;
  bool damaged = false;
  base::Position last = 0;
  std::size_t batches = 0;
};

struct Sound {
  std::vector<std::byte> journal, superblock;
  std::map<base::Position, std::vector<std::byte>> written;
};

base::Arena make_arena() {
  return std::move(
      base::Arena::create({.bytes = Journal::arena_bytes(options), .huge_pages = false}).value());
}

Sound make_sound() {
  Sound sound;
  MemoryDisk disk;
  base::Arena arena = make_arena();
  Check check;
  auto journal = std::move(Journal::open(options, disk, arena, check).value());
  std::vector<std::byte> buffer(20'000);
  for (int i = 0; i < 12; ++i) {
    BatchBuilder builder(buffer);
    const std::string value(static_cast<std::size_t>(i % 4 == 3 ? 9000 : 100 * i), 'v');
    builder.add("k", value, i);
    auto batch = builder.finish(1, 0, i);
    const auto at = journal->append_batch(base::PartitionId{1}, batch, i, 0, i % 3 == 0);
    stamp_batch(batch.data(), i, 0);
    sound.written[at.position].assign(batch.begin(), batch.end());
    journal->submit_writes(static_cast<std::uint64_t>(i) + 1);
    journal->reap_writes(static_cast<std::uint64_t>(i) + 1);
  }
  for (int i = 0; i < 3; ++i) {
    journal->submit_writes(100 + static_cast<std::uint64_t>(i));
    journal->reap_writes(100);
  }
  journal.reset();
  sound.journal.resize(64 * 1024);  // the rest is zeros
  sound.superblock.resize(2 * superblock_half_bytes);
  if (!disk.read_now(*disk.open("journal-0000"), 0, sound.journal)) std::abort();
  if (!disk.read_now(*disk.open(superblock_file_name), 0, sound.superblock)) std::abort();
  return sound;
}

// Puts the CRCs of the frame at `at` right.
void forge(std::vector<std::byte>& image, std::size_t at) {
  FrameHeader header;
  std::memcpy(&header, image.data() + at, sizeof header);
  const std::uint32_t seed = journal_seed(options.cluster_id, options.shard);
  const std::size_t room = image.size() - at - frame_header_bytes;
  const std::size_t body = std::min<std::size_t>(header.body_bytes, room);
  header.body_crc = crc32c(std::span<const std::byte>(image).subspan(at + frame_header_bytes, body),
                           frame_seed(seed, header.lsn, header.generation));
  header.header_crc = header_crc(header, seed);
  std::memcpy(image.data() + at, &header, sizeof header);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  static const Sound sound = make_sound();
  std::vector<std::byte> journal_image = sound.journal;
  std::vector<std::byte> superblock_image = sound.superblock;
  Check check;
  check.written = &sound.written;
  for (; bytes >= 6 && bytes < 6 * 64; data += 6, bytes -= 6) {
    const std::size_t where = data[1] | data[2] << 8 | data[3] << 16;
    auto& image = (data[0] & 1) != 0 && (data[0] & 64) != 0 ? superblock_image : journal_image;
    const std::size_t at = where % (image.size() - 1);
    image[at] = static_cast<std::byte>(data[4]);
    image[at + 1] = static_cast<std::byte>(data[5]);
    if ((data[0] & 6) == 6) {
      forge(journal_image, base::align_down(where % journal_image.size(), block_bytes));
      check.forged = true;
    }
  }

  auto disk = std::make_unique<MemoryDisk>();
  const FileId superblock = *disk->create(superblock_file_name, 2 * superblock_half_bytes);
  const FileId journal_file = *disk->create("journal-0000", options.file_bytes);
  if (!disk->write_now(superblock, 0, superblock_image)) std::abort();
  if (!disk->write_now(journal_file, 0, journal_image)) std::abort();
  base::Arena arena = make_arena();
  auto journal = Journal::open(options, *disk, arena, check);
  if (!journal) return 0;
  // A batch that is gone was reported, but for those at the very end: nothing proves them.
  if (!check.forged && !check.damaged && check.batches != 0 &&
      check.last != std::next(sound.written.begin(), static_cast<long>(check.batches) - 1)->first) {
    std::abort();
  }
  if ((*journal)->append_position() % block_bytes != 0) std::abort();
  return 0;
}

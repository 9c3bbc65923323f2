#include "storage/superblock.h"

#include <array>
#include <cstring>

#include "dataplane/base/check.h"
#include "storage/crc32c.h"

namespace millrace::storage {
namespace {

constexpr std::uint64_t superblock_magic = 0x5245'5055'5352'4c4dULL;  // "MLRSUPER"
constexpr std::uint32_t superblock_version = 1;

struct Layout {
  std::uint64_t magic;
  std::uint32_t crc;
  std::uint32_t version;
  std::uint64_t sequence;
  std::uint64_t cluster_id;
  std::uint32_t shard;
  std::uint32_t clean;
  std::uint64_t file_bytes;
  std::uint32_t files_max;
  std::uint32_t frame_bytes_max;
  std::uint64_t boundary_bytes;
  std::uint64_t generation;
  std::uint64_t head;
  std::uint64_t end;
};
static_assert(sizeof(Layout) == 88);
static_assert(offsetof(Layout, version) == 12 && offsetof(Layout, shard) == 32);
static_assert(offsetof(Layout, boundary_bytes) == 56 && offsetof(Layout, end) == 80);

struct alignas(block_bytes) Block {
  std::array<std::byte, block_bytes> bytes{};
};

std::uint32_t crc_of(std::span<const std::byte> block) {
  return crc32c(block.subspan(offsetof(Layout, version)));
}

}  // namespace

void write_superblock_copy(const Superblock& superblock, std::span<std::byte> block) {
  CHECK(block.size() == block_bytes);
  const Layout layout{.magic = superblock_magic,
                      .crc = 0,
                      .version = superblock_version,
                      .sequence = superblock.sequence,
                      .cluster_id = superblock.cluster_id,
                      .shard = superblock.shard,
                      .clean = superblock.clean ? 1U : 0U,
                      .file_bytes = superblock.file_bytes,
                      .files_max = superblock.files_max,
                      .frame_bytes_max = superblock.frame_bytes_max,
                      .boundary_bytes = superblock.boundary_bytes,
                      .generation = superblock.generation,
                      .head = superblock.head,
                      .end = superblock.end};
  std::memset(block.data(), 0, block.size());
  std::memcpy(block.data(), &layout, sizeof layout);
  const std::uint32_t crc = crc_of(block);
  std::memcpy(block.data() + offsetof(Layout, crc), &crc, sizeof crc);
}

std::optional<Superblock> read_superblock_copy(std::span<const std::byte> block) {
  CHECK(block.size() == block_bytes);
  Layout layout;
  std::memcpy(&layout, block.data(), sizeof layout);
  if (layout.magic != superblock_magic || layout.crc != crc_of(block)) return std::nullopt;
  if (layout.version != superblock_version || layout.clean > 1) return std::nullopt;
  return Superblock{.sequence = layout.sequence,
                    .cluster_id = layout.cluster_id,
                    .shard = layout.shard,
                    .clean = layout.clean == 1,
                    .file_bytes = layout.file_bytes,
                    .files_max = layout.files_max,
                    .frame_bytes_max = layout.frame_bytes_max,
                    .boundary_bytes = layout.boundary_bytes,
                    .generation = layout.generation,
                    .head = layout.head,
                    .end = layout.end};
}

std::optional<Superblock> load_superblock(Disk& disk, FileId file) {
  std::array<std::optional<Superblock>, superblock_copies> copies;
  for (std::uint32_t i = 0; i < superblock_copies; ++i) {
    Block block;
    if (disk.read_now(file, std::uint64_t{i} * block_bytes, block.bytes)) {
      copies[i] = read_superblock_copy(block.bytes);
    }
  }
  std::optional<Superblock> newest;
  for (const auto& candidate : copies) {
    if (!candidate || (newest && candidate->sequence <= newest->sequence)) continue;
    std::uint32_t equal = 0;
    for (const auto& copy : copies) equal += copy == candidate ? 1 : 0;
    if (equal >= superblock_quorum) newest = candidate;
  }
  return newest;
}

base::Result<void> store_superblock(Disk& disk, FileId file, const Superblock& superblock) {
  std::array<Block, 2> half;
  for (Block& block : half) write_superblock_copy(superblock, block.bytes);
  for (std::uint64_t at = 0; at < 2 * superblock_half_bytes; at += superblock_half_bytes) {
    const auto bytes = std::as_bytes(std::span(half));
    if (auto written = disk.write_now(file, at, bytes); !written) return written;
    if (auto flushed = disk.flush_now(file); !flushed) return flushed;
  }
  return {};
}

}  // namespace millrace::storage

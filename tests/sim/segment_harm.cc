#include "tests/sim/segment_harm.h"

#include <algorithm>
#include <span>

#include "storage/batch.h"
#include "storage/frame.h"

namespace millrace::sim {

using storage::BatchView;
using storage::block_bytes;

namespace {

constexpr std::uint64_t header_bytes = 96;  // before the zeros (storage/segment.h)

bool overlaps(std::uint64_t at, std::uint64_t bytes, std::uint64_t other,
              std::uint64_t other_bytes) {
  return at < other + other_bytes && other < at + bytes;
}

}  // namespace

void SegmentHarm::harm(testing::FaultyDisk& disk, std::uint64_t cluster_id, base::ShardId shard) {
  std::vector<std::string> names = disk.list().value();
  std::erase_if(names, [](const auto& name) { return !storage::segment_file_number(name); });
  if (names.empty()) return;
  const std::string& name = names[random_.below(names.size())];
  const Victim* victim = find(disk, storage::journal_seed(cluster_id, shard), {shard, name});
  if (victim == nullptr) return;
  const Place hit = spoil(disk, name, *victim, choose(*victim));
  if (victim->data) excuse(*victim, hit);
}

SegmentHarm::Victim* SegmentHarm::find(testing::FaultyDisk& disk, std::uint32_t seed,
                                       const FileKey& key) {
  Victim victim;
  victim.bytes = disk.contents(key.second);
  const auto known = victims_.find(key);
  if (known != victims_.end())
    return known->second.bytes.size() == victim.bytes.size() ? &known->second : nullptr;
  const std::span<const std::byte> bytes(victim.bytes);
  const auto header = storage::read_segment_header(bytes.first(block_bytes), seed);
  if (!header || header->data_bytes == 0) return nullptr;
  auto meta = storage::read_segment_meta(*header, seed,
                                         bytes.subspan(header->meta_at(0), header->meta_bytes));
  if (!meta) return nullptr;
  victim.header = *header;
  victim.meta = std::move(*meta);
  victim.data = random_.permille(500);
  victim.bad_header = static_cast<std::uint32_t>(random_.below(2));
  victim.bad_meta = static_cast<std::uint32_t>(random_.below(2));
  return &victims_.emplace(key, std::move(victim)).first->second;
}

SegmentHarm::Place SegmentHarm::choose(const Victim& victim) {
  if (victim.data) return choose_data(victim);
  const storage::SegmentFileHeader& header = victim.header;
  if (random_.permille(300)) {
    add(faults_, Fault::segment_header_harmed);
    return {victim.bad_header == 0 ? 0 : header.file_bytes() - block_bytes, header_bytes};
  }
  if (victim.bad_meta == 0 && !victim.meta.index.empty() && random_.permille(500)) {
    add(faults_, Fault::segment_index_harmed);
    return {storage::index_at(header, victim.meta.segments.front()),
            victim.meta.index.size() * sizeof(storage::IndexEntry)};
  }
  add(faults_, Fault::segment_meta_harmed);
  return {header.meta_at(victim.bad_meta), header.meta_bytes};
}

// A batch's header is a small part of it, and the part of which most depends.
SegmentHarm::Place SegmentHarm::choose_data(const Victim& victim) {
  add(faults_, Fault::segment_data_harmed);
  if (random_.permille(500)) return {storage::segment_data_at, victim.header.data_bytes};
  std::vector<storage::SegmentEntry> segments = victim.meta.segments;
  std::erase_if(segments, [](const storage::SegmentEntry& segment) { return segment.bytes == 0; });
  const storage::SegmentEntry& segment = segments[random_.below(segments.size())];
  const std::uint64_t wanted = segment.position + random_.below(segment.bytes);
  std::uint64_t at = segment.position;
  for (;;) {
    const std::uint64_t next = at + BatchView(victim.bytes.data() + at).bytes();
    if (next > wanted) break;
    at = next;
  }
  return {at, storage::batch_header_bytes};
}

SegmentHarm::Place SegmentHarm::spoil(testing::FaultyDisk& disk, const std::string& name,
                                      const Victim& victim, const Place& place) {
  const std::uint64_t at = place.at + random_.below(place.bytes);
  const Place block{at / block_bytes * block_bytes, block_bytes};
  switch (random_.below(4)) {
    case 0:
      add(faults_, Fault::bit_rot);
      disk.flip_bit(name, at, static_cast<std::uint32_t>(random_.below(8)));
      return {at, 1};
    case 1:
      add(faults_, Fault::write_lost);
      disk.overwrite(name, block.at, std::vector<std::byte>(block_bytes));
      return block;
    case 2: {
      add(faults_, Fault::write_misplaced);
      const std::uint64_t other = random_.below(victim.bytes.size() / block_bytes) * block_bytes;
      disk.overwrite(name, block.at, std::span(victim.bytes).subspan(other, block_bytes));
      return block;
    }
    default:
      add(faults_, Fault::unreadable);
      disk.make_unreadable(name, block.at);
      return block;
  }
}

void SegmentHarm::excuse(const Victim& victim, const Place& place) {
  for (const storage::SegmentEntry& segment : victim.meta.segments)
    if (overlaps(segment.position, segment.bytes, place.at, place.bytes))
      excuse(victim, segment, place);
}

void SegmentHarm::excuse(const Victim& victim, const storage::SegmentEntry& segment,
                         const Place& place) {
  const auto index = std::span(victim.meta.index).subspan(segment.index_first, segment.index_count);
  // Without a batch's header those behind it are found only from the next place of the index on.
  std::uint64_t lost_to = 0;
  base::Offset last_end = segment.first_offset;
  const std::uint64_t end = segment.position + segment.bytes;
  for (std::uint64_t at = segment.position; at < end;) {
    const BatchView batch(victim.bytes.data() + at);
    const bool hit = overlaps(at, batch.bytes(), place.at, place.bytes);
    if (overlaps(at, storage::batch_header_bytes, place.at, place.bytes)) {
      const auto next = std::ranges::find_if(
          index, [at](const storage::IndexEntry& entry) { return entry.position > at; });
      lost_to = next == index.end() ? end : next->position;
      if (segment.is_compacted())
        checker_.harmed(segment.partition, last_end,
                        next == index.end() ? segment.end_offset : next->first_offset);
    }
    last_end = batch.last_offset() + 1;
    if (hit || at < lost_to) {
      checker_.harmed(segment.partition, batch.base_offset(), batch.last_offset() + 1);
      storage::RecordReader records(batch);
      storage::Record record;
      while (records.next(record))
        checker_.harmed(segment.partition, record.offset,
                        Checker::text_of(record.key, record.value));
    }
    at += batch.bytes();
  }
}

}  // namespace millrace::sim

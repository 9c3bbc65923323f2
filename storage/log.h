// Log: the partitions of one shard over its journal: which batch is where, and how it is read back.
// Core:  the shard's; never shared.
// Owns:  the journal, the batch index, and the buffers into which the past is read.
//
// New batches are the journal's; the sorter moves the oldest of them into segments, and says so
// here (take_messages). What lies in the journal's tail is answered from memory. What does not is
// read in the background, from journal or segment, into one of a few buffers, checked against its
// CRC, and answered from there. Slices are lent: each reader (a core) says how far it has consumed
// what it was sent, and until then neither tail memory nor buffer is used again.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "dataplane/base/arena.h"
#include "dataplane/base/ids.h"
#include "dataplane/base/result.h"
#include "storage/batch.h"
#include "storage/batch_index.h"
#include "storage/compactor.h"
#include "storage/disk.h"
#include "storage/journal.h"
#include "storage/scrubber.h"
#include "storage/segment_table.h"
#include "storage/sorter.h"

namespace millrace::storage {

struct LogOptions {
  JournalOptions journal;
  std::uint32_t partitions_max = 32768;
  std::uint32_t index_chunks_max = 0;  // 0: enough for batches of 256 bytes filling the journal
  std::uint32_t read_buffers = 16;
  // Without it the journal is all there is, and full when it is full.
  bool has_sorter = false;
  SorterOptions sorter;
  CompactorOptions compactor;
  ScrubberOptions scrubber;
  std::uint32_t segments_max = 65536;
};

class Log final : private RecoveryVisitor, private DiskHandler {
 public:
  static constexpr std::uint32_t none = 0xffff'ffffU;
  static constexpr std::uint32_t readers_max = 16;
  static constexpr std::uint64_t room_bytes_max =
      batch_bytes_max;  // append_room_bytes says no more
  static constexpr std::uint32_t read_buffers_max = 64;
  // What is read at a place looked for, and at most of what follows, each time twice as much; in
  // operations of a part.
  static constexpr std::uint32_t read_window_bytes = 128 * 1024;
  static constexpr std::uint32_t read_window_bytes_max = batch_bytes_max;
  static constexpr std::uint32_t read_part_bytes = 256 * 1024;

  // How long and how much of a partition is kept. Whole batches and segments go, the oldest first.
  struct Retention {
    std::int64_t ms = -1;     // after the newest record of a batch; -1: for ever
    std::int64_t bytes = -1;  // of batches; -1: all
    // Of each key only the last record is kept, and one without a value only so long; -1: all are.
    std::int64_t tombstones_ms = -1;
  };

  struct Partition {
    base::PartitionId id{};
    bool used = false;
    std::uint32_t next_free = none;
    bool in_catalog = false;
    bool damaged =
        false;  // bytes that were acknowledged are missing in [damage_first, damage_last]
    base::Offset damage_first = 0;
    base::Offset damage_last = 0;
    base::Offset log_start = 0;
    base::Offset journal_start = 0;  // batches before it are in segments
    base::Offset log_end = 0;        // next offset to be given
    base::Offset durable_end = 0;    // see refresh_durable_end
    base::Position last_durable_at = 0;
    std::uint64_t bytes = 0;
    Retention retention;
    base::Offset wanted_start = 0;  // records before it are to be deleted
    BatchIndex::List index;
    SegmentTable::List segments;
    std::uint32_t segments_version = 0;  // changes whenever a segment may have gone
  };

  // observer sees every batch that recovery finds, in order, after the log has taken it in; may be
  // null.
  static base::Result<std::unique_ptr<Log>> open(const LogOptions& options, Disk& disk,
                                                 base::Arena& arena, RecoveryVisitor* observer);
  static std::uint64_t arena_bytes(const LogOptions& options);

  // Housekeeping thread: prepares journal files, sorts, compacts, scrubs. True when there is more
  // to do at once.
  base::Result<bool> keep_house(std::uint64_t now_ns, std::int64_t wall_ms);
  // Once a turn: takes what the sorter says. True when it said something.
  bool take_messages();

  // --- partitions ---
  std::uint32_t slot_of(base::PartitionId id) const;
  // The slot of the partition, made when there is none; none when the table is full.
  std::uint32_t create_partition(base::PartitionId id);
  void remove_partition(std::uint32_t slot);
  // All topics that exist have been named: what is not among them was deleted while we were away.
  void drop_uncatalogued();
  const Partition& partition(std::uint32_t slot) const { return partitions_[slot]; }
  std::uint32_t slots_used() const { return slots_used_; }  // slots from here on were never used
  // Gives the journal back what removed partitions held. One walk over all partitions, and only
  // after a removal.
  void trim_journal();
  void set_in_catalog(std::uint32_t slot) { partitions_[slot].in_catalog = true; }
  void refresh_durable_end(std::uint32_t slot);
  void set_retention(std::uint32_t slot, const Retention& retention);
  // Records before the offset go, or before the log's end if that comes first; at once if the
  // journal has room to say so, else as soon as it has.
  void delete_records(std::uint32_t slot, base::Offset offset);
  // Now and then: deletes what some of the partitions need not keep any more.
  void retain(std::int64_t wall_ms);

  // --- writing ---
  // Bytes of batches that append_batch takes now.
  std::uint64_t append_room_bytes() const { return journal_->room_bytes(); }
  bool has_room(std::uint64_t batch_bytes) const {
    return journal_->room_bytes() >= batch_bytes && index_.has_room();
  }
  // Until something is deleted. What the sorter will make room for is not full.
  bool full() const {
    const bool will_sort = sorter_ != nullptr && link_.stuck.get() == 0 && !is_disk_low();
    return (journal_->full() || !index_.has_room()) && !will_sort;
  }
  bool failed() const { return journal_->failed(); }
  // What the device has left is kept for deleting and starting.
  bool is_disk_low() const { return link_.is_disk_low.get() != 0; }
  const SorterLink& sorter_link() const { return link_; }
  // What the scrubber found and nobody has taken yet, or null.
  const ScrubFinding* scrub_finding() { return link_.findings.peek(); }
  void release_scrub_finding() { link_.findings.release(1); }
  base::Position append_position() const { return journal_->append_position(); }
  base::Position durable_position() const { return journal_->durable_position(); }
  static bool is_intact(std::span<const std::byte> batch) {
    return check_batch(batch) == BatchFault::none;
  }
  static BatchView view(std::span<const std::byte> batch) { return BatchView(batch.data()); }
  struct Appended {
    base::Offset base_offset = 0;
    base::Position durable_at = 0;
  };
  Appended append_batch(std::uint32_t slot, std::span<const std::byte> batch, bool urgent);
  Journal& journal() { return *journal_; }
  const Journal& journal() const { return *journal_; }
  const SegmentStore& store() const { return *store_; }

  // --- reading ---
  struct Cursor {
    base::Offset offset = 0;       // base offset of the batch it stands in, or one within it
    std::uint32_t skip_bytes = 0;  // bytes of that batch already had
    BatchIndex::Place place{};     // invalid: looked up from offset
    // In a segment: where the batch lies, or where looking for it goes on. 0: not looked up.
    std::uint64_t position = 0;
    base::Offset batch_offset = 0;  // that a batch there has, of a compacted segment at least
    FileId file{};
    std::uint32_t version = 0;  // of the partition's segments when it was looked up
    bool found = false;
    bool distrusts_index = false;
    base::Offset gap_from = -1;      // it stands behind offsets without a record; -1: it does not
    std::int64_t from_ms = no_time;  // still to be looked up: the first batch at or past it

    // Its reader has had what lies before.
    base::Offset asked_offset() const { return gap_from < 0 ? offset : gap_from; }
  };
  static constexpr std::int64_t no_time = std::numeric_limits<std::int64_t>::min();
  struct Slice {
    const std::byte* bytes = nullptr;
    std::uint32_t byte_count = 0;
    std::uint32_t skip_bytes = 0;
    std::uint32_t batch_bytes = 0;
    base::Offset asked_offset = 0;  // from here to base_offset there is no record
    base::Offset base_offset = 0;
    base::Offset end_offset = 0;
    base::Position position = 0;  // of the batch, in the journal or the segment's file
    std::uint32_t buffer = none;  // none: tail memory
  };
  enum class ReadStatus : std::uint8_t { ready, at_end, pending, out_of_range, damaged };

  Cursor cursor_at(std::uint32_t slot, base::Offset offset) const;
  // From the time on; at the log's end when nothing is that new.
  Cursor cursor_at_time(std::uint32_t slot, std::int64_t timestamp_ms) const;
  // The rest of the batch at the cursor, at most max_bytes of it. pending: being read; ask again
  // after a completion.
  ReadStatus read(std::uint32_t slot, Cursor& cursor, std::uint32_t max_bytes, Slice& slice);
  // Moves past a slice that read() gave.
  void advance(Cursor& cursor, const Slice& slice) const;
  // Rises whenever a read from disk completed.
  std::uint64_t reads_completed() const { return reads_completed_; }
  bool reading() const { return reads_started_ != reads_completed_; }

  // A slice was handed to a reader and is in use until set_consumed(reader, at least mark).
  void lend(const Slice& slice, std::uint32_t reader, std::uint64_t mark);
  void set_consumed(std::uint32_t reader, std::uint64_t mark);

 private:
  struct ReadBuffer {
    enum class State : std::uint8_t { empty, reading, ready };
    State state = State::empty;
    bool failed = false;
    bool of_journal = false;
    FileId file{};                   // otherwise
    std::uint64_t position = 0;      // there
    std::uint64_t sound_at = ~0ULL;  // of a batch whose CRC was found right
    bool was_read_ahead = false;     // what follows has been asked for
    std::uint32_t parts_in_flight = 0;
    std::uint32_t bytes = 0;
    std::uint64_t last_used = 0;
    std::array<std::uint64_t, readers_max> lent_until{};
    std::span<std::byte> memory;
  };
  // The lowest tail position in use by a reader, kept over two spans of its marks so that it moves
  // on without the reader ever being idle.
  struct Lent {
    base::Position current_lowest = ~0ULL, previous_lowest = ~0ULL;
    std::uint64_t current_end = 0, previous_end = 0;
  };

  Log(const LogOptions& options, Disk& disk, base::Arena& arena, RecoveryVisitor* observer);
  void on_batch(base::PartitionId id, base::Position position, const BatchView& batch) override;
  void on_damage(const base::PartitionId* id, base::Position first, base::Position last) override;
  void on_producer(const ProducerState& producer) override;
  void on_log_start(base::PartitionId id, base::Offset offset) override;
  void on_progress(std::uint64_t done, std::uint64_t total) override;
  void on_disk(std::uint64_t token, std::int32_t result) override;

  // Where bytes are read from, and how far a read may reach ahead.
  struct Source {
    bool of_journal = false;
    FileId file{};
    std::uint64_t end = 0;
  };

  base::Result<void> open_segments();
  void learn_from_segments();
  void settle_segments();
  void put_segment(Partition& partition, const Segment& segment);
  bool take(const SorterMessage& message);
  void note_lost(base::Position first, base::Position last);
  void drop_lost(base::Position to);
  void set_damage(Partition& partition, base::Offset first, base::Offset last);
  void mark(const Partition& partition);
  bool forget_file(FileId file);

  bool raise_log_start(Partition& partition, base::Offset offset);
  void apply_log_start(Partition& partition, base::Offset offset);
  base::Offset expired_before(const Partition& partition, std::int64_t wall_ms) const;
  base::Offset surplus_before(const Partition& partition) const;

  void settle_damage();
  void take_in(Partition& partition, base::Position position, base::Position durable_at,
               const BatchView& batch);
  ReadStatus read_journal(const Partition& partition, Cursor& cursor, std::uint32_t max_bytes,
                          Slice& slice);
  Cursor journal_cursor_at_time(const Partition& partition, std::int64_t timestamp_ms) const;
  Cursor later_cursor_at_time(const Partition& partition, base::Offset offset,
                              std::int64_t timestamp_ms) const;
  // Nothing: it has no record from the cursor on, which now stands behind it.
  std::optional<ReadStatus> read_segment(const Partition& partition, Cursor& cursor,
                                         std::uint32_t max_bytes, Slice& slice);
  static void jump(Cursor& cursor, base::Offset offset);
  ReadStatus look_up(const Segment& segment, Cursor& cursor);
  ReadStatus walk(const Segment& segment, Cursor& cursor);
  ReadStatus read_index(const Segment& segment, Cursor& cursor);
  const std::byte* fetch(const Source& source, std::uint64_t position, std::uint32_t bytes,
                         std::uint32_t& buffer, ReadStatus& status);
  bool gives_way() const;
  // window_bytes: how much to read if the source has it; 0: only the blocks of these bytes, after a
  // wider read failed.
  void start_read(const Source& source, std::uint64_t position, std::uint32_t bytes,
                  std::uint32_t window_bytes);
  void read_ahead(const Source& source, ReadBuffer& buffer, std::uint64_t position,
                  std::uint64_t end);
  bool is_sound(std::uint32_t buffer, const std::byte* batch, std::uint64_t position,
                std::uint32_t bytes);
  static bool is_plausible(const BatchView& batch, const Segment& segment, const Cursor& cursor);
  static void go_to_first(const Segment& segment, Cursor& cursor);
  static void fill(Slice& slice, const Cursor& cursor, const std::byte* batch,
                   std::uint32_t batch_bytes, std::uint32_t max_bytes);
  std::uint32_t hash_slot(base::PartitionId id) const;

  LogOptions options_;
  RecoveryVisitor* observer_;
  Disk& disk_;
  BatchIndex index_;
  SegmentTable segments_;
  std::span<Partition> partitions_;
  std::span<std::uint32_t> slot_table_;  // open addressing: slot + 1, 0 empty
  std::uint32_t slots_used_ = 0;
  std::uint32_t first_free_ = none;
  bool trim_wanted_ = false;
  std::uint32_t retain_at_ = 0;  // next slot to look at
  bool lost_ = false;            // the stretch being sorted has lost batches
  std::array<ReadBuffer, read_buffers_max> buffers_;
  std::array<std::uint64_t, readers_max> consumed_{};
  std::array<Lent, readers_max> lent_{};
  base::Position pinned_from_ = ~0ULL;  // the lowest of all of them
  std::uint64_t use_count_ = 0;
  std::uint64_t reads_started_ = 0;
  base::Position durable_at_read_ = 0;  // when the last one completed
  bool read_in_peace_ = false;          // nothing had become durable since the one before
  std::uint64_t reads_completed_ = 0;
  bool damage_seen_ = false;
  bool unknown_damage_ = false;  // any partition without later batches may have lost some
  base::Position damage_end_ = 0;
  bool overflowed_ = false;  // recovery found more than there are slots or index for
  std::unique_ptr<Journal> journal_;
  SorterLink link_;
  std::unique_ptr<SegmentStore> store_;  // housekeeping's, as all below
  Announcements announcements_{link_};
  std::unique_ptr<Sorter> sorter_;
  std::unique_ptr<Compactor> compactor_;
  std::unique_ptr<Scrubber> scrubber_;
};

}  // namespace millrace::storage

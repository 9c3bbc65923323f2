// RecordingDisk: passes everything on to another Disk and writes down, in order and with the bytes,
// all that may change what is at rest. For tests: power cuts are replayed from it.
// Core:  as the other disk's; a lock orders what the shard and housekeeping do.
// Owns:  the other disk and the recording, a file that is mapped at its largest size, so that
//        adding to it neither allocates nor calls the kernel.
//
//   recording  RecordingHeader | events. Host's byte order.
//   event      RecordedEvent | name | zeros to 8 bytes | bytes of a write | zeros to 8 bytes
//   name       of create, reserve, open and remove; "FROM/TO" of rename
//
// An operation is two events: what is asked, before the other disk hears of it, and its end, before
// its caller does. So where one operation ended before the other began, their order here is the
// true one. What there is no room for is not done either: nothing is at rest that is not here.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "dataplane/base/counter.h"
#include "storage/disk.h"

namespace millrace::storage {

inline constexpr std::uint64_t recording_magic = 0x4452'4f43'4552'4c4dULL;  // "MLRECORD"
inline constexpr std::uint32_t recording_version = 1;

struct RecordingHeader {
  std::uint64_t magic = recording_magic;
  std::uint32_t version = recording_version;
  std::uint32_t durability = 0;
  base::Counter used_bytes;  // of the file, this header included
};
static_assert(sizeof(RecordingHeader) == 24 && offsetof(RecordingHeader, used_bytes) == 16);

enum class RecordedKind : std::uint8_t {
  create = 1,
  reserve,
  open,
  close,  // has no end
  resize,
  remove,
  rename,
  write,  // blocking
  flush,
  write_durable,
  end,
};

struct RecordedEvent {
  std::uint32_t bytes = 0;  // name and bytes of a write included
  RecordedKind kind = RecordedKind::end;
  std::uint8_t failed = 0;  // of an end
  std::uint16_t name_bytes = 0;
  std::uint64_t time_ns = 0;    // see recording_now_ns
  std::uint64_t operation = 0;  // where in the recording its first event lies
  std::uint64_t at = 0;
  std::uint64_t count = 0;  // bytes of a write, or of a file
  std::uint32_t file = 0;   // id; of create, reserve and open only the end has it
  std::uint32_t reserved = 0;
};
static_assert(sizeof(RecordedEvent) == 48 && offsetof(RecordedEvent, time_ns) == 8);

// The kernel's monotonic clock: SystemClock is right only within its own process.
std::uint64_t recording_now_ns();

class Recording {
 public:
  struct Request {
    RecordedKind kind;
    std::string_view name{};
    FileId file{};
    std::uint64_t at = 0;
    std::uint64_t count = 0;
    std::span<const std::byte> bytes{};
  };

  // One that is there is continued: it then holds several lives of the same disk.
  static base::Result<std::unique_ptr<Recording>> open(const std::string& path,
                                                       std::uint64_t bytes_max,
                                                       Durability durability);
  ~Recording();
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  // The number of the operation, which is to end(); nothing when there is no room, and from then on
  // there is none.
  std::optional<std::uint64_t> begin(const Request& request);
  void end(std::uint64_t operation, bool failed, FileId file);
  void add_close(FileId file);
  const std::string& path() const { return path_; }

 private:
  Recording(std::string path, int fd, std::span<std::byte> memory)
      : path_(std::move(path)), fd_(fd), memory_(memory) {}

  RecordingHeader& header() { return *reinterpret_cast<RecordingHeader*>(memory_.data()); }
  void add(RecordedEvent event, const Request& request);

  std::string path_;
  int fd_;
  std::span<std::byte> memory_;
  std::mutex mutex_;
  std::uint64_t unended_ = 0;  // there is room for so many ends
  bool full_ = false;
};

class RecordingDisk final : public Disk, private DiskHandler {
 public:
  static constexpr std::uint32_t operations_max = 1024;  // started and not yet delivered
  static constexpr std::uint64_t recording_bytes_max = 256ULL << 20;

  static base::Result<std::unique_ptr<RecordingDisk>> open(
      std::unique_ptr<Disk> disk, const std::string& path,
      std::uint64_t bytes_max = recording_bytes_max);

  Durability durability() const override { return disk_->durability(); }
  std::string_view device() const override { return disk_->device(); }

  base::Result<FileId> create(std::string_view file_name, std::uint64_t bytes) override;
  base::Result<FileId> reserve(std::string_view file_name, std::uint64_t bytes) override;
  base::Result<FileId> open(std::string_view file_name) override;
  void close(FileId file) override;
  base::Result<std::uint64_t> size(FileId file) override { return disk_->size(file); }
  base::Result<void> resize(FileId file, std::uint64_t bytes) override;
  base::Result<void> remove(std::string_view file_name) override;
  base::Result<void> rename(std::string_view from, std::string_view to) override;
  base::Result<std::vector<std::string>> list() override { return disk_->list(); }
  base::Result<DiskSpace> space() override { return disk_->space(); }
  bool exists(std::string_view file_name) override { return disk_->exists(file_name); }
  base::Result<void> read_now(FileId file, std::uint64_t at, std::span<std::byte> into) override {
    return disk_->read_now(file, at, into);
  }
  base::Result<void> write_now(FileId file, std::uint64_t at,
                               std::span<const std::byte> from) override;
  base::Result<void> flush_now(FileId file) override;

  void write_durable(FileId file, std::uint64_t at, std::span<const std::byte> from,
                     DiskHandler& handler, std::uint64_t token) override;
  void read(FileId file, std::uint64_t at, std::span<std::byte> into, DiskHandler& handler,
            std::uint64_t token) override {
    disk_->read(file, at, into, handler, token);
  }
  void poll() override;
  void drain() override;

 private:
  struct Operation {
    DiskHandler* handler = nullptr;
    std::uint64_t token = 0;
    std::uint64_t number = 0;
    std::uint32_t bytes = 0;
    bool is_refused = false;
    std::uint16_t next_free = 0;
  };

  RecordingDisk(std::unique_ptr<Disk> disk, std::unique_ptr<Recording> recording);
  base::Error full() const;
  template <typename T, typename Carry>
  base::Result<T> record(const Recording::Request& request, Carry carry_out);
  void finish(std::uint64_t index, std::int32_t result);
  void deliver_refused();
  void on_disk(std::uint64_t token, std::int32_t result) override;

  std::unique_ptr<Recording> recording_;
  std::unique_ptr<Disk> disk_;
  std::array<Operation, operations_max> operations_;
  std::uint16_t first_free_ = 0;
  std::uint32_t refused_count_ = 0;
};

}  // namespace millrace::storage

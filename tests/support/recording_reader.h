// RecordingReader: the events of a recording (storage/recording_disk.h), in order.
// Owns: the mapping of the file; names and bytes of the events lie there.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/recording_disk.h"

namespace millrace::testing {

struct Event {
  storage::RecordedKind kind = storage::RecordedKind::end;
  bool failed = false;
  std::uint64_t time_ns = 0;
  std::uint64_t operation = 0;
  std::uint32_t file = 0;
  std::uint64_t at = 0;
  std::uint64_t count = 0;
  std::string_view name{};  // of a rename: what it was
  std::string_view to{};    // and what it becomes
  std::span<const std::byte> bytes{};
};

class RecordingReader {
 public:
  static base::Result<std::unique_ptr<RecordingReader>> open(const std::string& path);
  ~RecordingReader();
  RecordingReader(const RecordingReader&) = delete;
  RecordingReader& operator=(const RecordingReader&) = delete;

  storage::Durability durability() const { return durability_; }
  const std::vector<Event>& events() const { return events_; }

  // What a recording holds by now, of one that is being written; nothing when there is none yet.
  static std::optional<std::uint64_t> used_bytes(const std::string& path);

 private:
  explicit RecordingReader(std::span<const std::byte> memory) : memory_(memory) {}
  bool read(std::uint64_t used);

  std::span<const std::byte> memory_;
  storage::Durability durability_{};
  std::vector<Event> events_;
};

}  // namespace millrace::testing

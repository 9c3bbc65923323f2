// millrace-log: looks at the data folder of a node that is down, repairs it, or takes out of it
// what is intact. `millrace log` hands over to it.
//
// Exit codes: 0 sound, 1 damaged, 2 could not look or the command line is wrong.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>

#include "dataplane/base/clock.h"
#include "dataplane/base/progress.h"
#include "dataplane/base/uring.h"
#include "storage/identity.h"
#include "storage/tool/report.h"
#include "storage/tool/salvage.h"
#include "storage/tool/shard_repair.h"
#include "storage/uring_disk.h"

namespace millrace::storage {
namespace {

namespace fs = std::filesystem;
using base::Error;
using base::ErrorCode;
using base::Result;
using nlohmann::json;

constexpr std::uint32_t uring_entries = 64;
constexpr std::string_view usage =
    "usage: millrace log verify [--json] DIR...\n"
    "       millrace log repair [--json] [--accept-loss] DIR...\n"
    "       millrace log salvage --into DIR [--json] DIR\n"
    "DIR is the data folder of a node that is not running.\n"
    "verify   says what is there and all that is damaged, and changes nothing\n"
    "repair   writes bad copies again; where records are lost it only says which, until\n"
    "         --accept-loss gives them up: the partitions take appends again, readers pass over\n"
    "salvage  copies every intact batch into a plain file for each partition\n";

enum ExitCode : int { exit_sound = 0, exit_damaged = 1, exit_failed = 2 };

struct Command {
  std::string verb;
  bool as_json = false;
  bool accepts_loss = false;
  std::string into;
  std::vector<std::string> folders;
};

std::optional<Command> parse(const std::vector<std::string>& words) {
  Command command;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const bool has_value = i + 1 < words.size();
    if (word == "--json") {
      command.as_json = true;
    } else if (word == "--accept-loss") {
      command.accepts_loss = true;
    } else if (word == "--port-offset" && has_value) {
      ++i;  // which of several nodes is meant, DIR says
    } else if (word == "-o" && has_value) {
      command.as_json = words[++i] == "json";
    } else if (word == "--into" && has_value) {
      command.into = words[++i];
    } else if (word.starts_with("-")) {
      return {};
    } else if (command.verb.empty()) {
      command.verb = word;
    } else {
      command.folders.push_back(word);
    }
  }
  const bool salvages = command.verb == "salvage";
  const bool is_verb = salvages || command.verb == "verify" || command.verb == "repair";
  if (!is_verb || command.folders.empty() || salvages == command.into.empty() ||
      (salvages && command.folders.size() != 1) ||
      (command.accepts_loss && command.verb != "repair")) {
    return {};
  }
  return command;
}

// Held by `millrace up`; a data plane that was started by hand holds the shards' own.
class NodeLock {
 public:
  static Result<NodeLock> take(const std::string& folder) {
    const int fd = open((folder + "/up.lock").c_str(), O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
      std::array<char, 16> pid{};
      const ssize_t count = pread(fd, pid.data(), pid.size(), 0);
      std::string_view holder(pid.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
      if (holder.ends_with('\n')) holder.remove_suffix(1);
      close(fd);
      return Error(ErrorCode::unavailable,
                   "the node of {} is running, as process {}: stop it first", folder, holder);
    }
    return NodeLock(fd);
  }
  explicit NodeLock(int fd) : fd_(fd) {}
  NodeLock(NodeLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  NodeLock& operator=(NodeLock&&) = delete;
  ~NodeLock() {
    if (fd_ >= 0) close(fd_);
  }

 private:
  int fd_;
};

class ShardFolder {
 public:
  static Result<ShardFolder> open(const std::string& path, const ShardIdentity& identity) {
    auto uring = base::Uring::create(uring_entries);
    if (!uring) return uring.error();
    auto disk = UringDisk::open({.folder = path, .lock_wait_ns = 0}, **uring);
    if (!disk && disk.error().code() == ErrorCode::unavailable) {
      return Error(ErrorCode::unavailable, "the node is running: {}", disk.error().message());
    }
    if (!disk) return disk.error();
    return ShardFolder(path, identity, std::move(*uring), std::move(*disk));
  }

  const ShardIdentity& identity() const { return identity_; }
  Disk& disk() { return *disk_; }
  OverlayDisk& overlay() { return *overlay_; }
  Result<ShardSurvey> survey() {
    overlay_ = std::make_unique<OverlayDisk>(*disk_);
    base::SystemClock clock;
    base::Progress progress;
    return survey_shard(*overlay_, identity_, [&](std::uint64_t done, std::uint64_t total) {
      if (const auto line = progress.line(clock.monotonic_ns(), done, total)) {
        fmt::print(stderr, "millrace log: {}: {}\n", path_, *line);
      }
    });
  }

 private:
  ShardFolder(std::string path, const ShardIdentity& identity, std::unique_ptr<base::Uring> uring,
              std::unique_ptr<UringDisk> disk)
      : path_(std::move(path)),
        identity_(identity),
        uring_(std::move(uring)),
        disk_(std::move(disk)) {}

  std::string path_;
  ShardIdentity identity_;
  std::unique_ptr<base::Uring> uring_;
  std::unique_ptr<UringDisk> disk_;
  std::unique_ptr<OverlayDisk> overlay_;
};

Result<std::vector<ShardFolder>> open_shards(const std::string& folder) {
  const auto id = read_identity(fmt::format("{}/{}", folder, identity_file_name));
  if (!id) return id.error();
  constexpr std::string_view prefix = "shard-";
  std::vector<ShardFolder> shards;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    std::uint16_t number = 0;
    if (!name.starts_with(prefix)) continue;
    const char* end = name.data() + name.size();
    const auto parsed = std::from_chars(name.data() + prefix.size(), end, number);
    if (parsed.ec != std::errc() || parsed.ptr != end) continue;
    auto shard = ShardFolder::open(entry.path().string(),
                                   {.shard = base::ShardId{number}, .cluster_id = *id});
    if (!shard) return shard.error();
    shards.push_back(std::move(*shard));
  }
  if (error || shards.empty()) {
    return Error(ErrorCode::not_found, "{} holds no shards: is it a node's data folder?", folder);
  }
  std::ranges::sort(shards, {},
                    [](const ShardFolder& one) { return base::raw(one.identity().shard); });
  return shards;
}

// What is found is said, and afterwards what is left of it.
Result<ShardSurvey> repair(ShardFolder& shard, const Command& command) {
  auto found = shard.survey();
  if (!found || found->is_sound()) return found;
  if (found->loses() && !command.accepts_loss) return found;
  if (!command.as_json) fmt::print("found\n{}", text_of(*found));
  if (auto done = repair_copies(shard.disk(), shard.identity()); !done) return done.error();
  if (found->loses()) {
    if (auto accepted = accept_loss(shard.disk(), *found); !accepted) return accepted.error();
  }
  if (!command.as_json) fmt::print("repaired\n");
  return shard.survey();
}

Result<void> write_list(const std::string& folder, const json& list) {
  const std::string path = folder + "/salvage.json";
  std::ofstream file(path);
  file << list.dump(2) << '\n';
  file.close();
  if (!file) return Error(ErrorCode::io, "cannot write {}", path);
  return {};
}

// 0, 1 as the exit codes have it.
Result<int> run_folder(const Command& command, const std::string& folder, json& shards_json) {
  auto lock = NodeLock::take(folder);
  if (!lock) return lock.error();
  auto shards = open_shards(folder);
  if (!shards) return shards.error();
  if (!command.into.empty()) {
    std::error_code error;
    fs::create_directories(command.into, error);
    if (error) return Error(ErrorCode::io, "cannot make {}: {}", command.into, error.message());
  }
  int code = exit_sound;
  json salvaged = json::array();
  for (ShardFolder& shard : *shards) {
    const auto found = command.verb == "repair" ? repair(shard, command) : shard.survey();
    if (!found) return found.error();
    if (!found->is_sound()) code = exit_damaged;
    if (!command.into.empty()) {
      const auto taken = salvage_shard(shard.overlay(), *found, command.into);
      if (!taken) return taken.error();
      salvaged.push_back(json_of(*taken));
    }
    if (!command.as_json) fmt::print("{}", text_of(*found));
    shards_json.push_back(json_of(*found));
    const bool is_only_shown = command.verb == "repair" && found->loses() && !command.accepts_loss;
    if (is_only_shown && !command.as_json) {
      fmt::print("nothing was changed; --accept-loss gives up what is named here for good\n");
    }
  }
  if (!command.into.empty()) {
    if (auto written = write_list(command.into, salvaged); !written) return written.error();
  }
  return code;
}

int run(const std::vector<std::string>& words) {
  const auto command = parse(words);
  if (!command) return fmt::print(stderr, "{}", usage), exit_failed;
  json shards = json::array();
  int code = exit_sound;
  for (const std::string& folder : command->folders) {
    const auto ran = run_folder(*command, folder, shards);
    if (!ran) return fmt::print(stderr, "millrace log: {}\n", ran.error().message()), exit_failed;
    code = std::max(code, *ran);
  }
  if (command->as_json) {
    fmt::print("{}\n", json({{"sound", code == exit_sound}, {"shards", shards}}).dump(2));
  } else {
    fmt::print("{}\n", code == exit_sound ? "sound" : "damaged");
  }
  return code;
}

}  // namespace
}  // namespace millrace::storage

int main(int argc, char** argv) {
  return millrace::storage::run(std::vector<std::string>(argv + 1, argv + argc));
}

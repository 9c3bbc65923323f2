// The verb `consume`: records of a topic to standard output, a line each.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "control/catalog/topic.h"
#include "control/cli/node_access.h"
#include "control/cli/node_client.h"
#include "control/cli/verbs.h"
#include "control/config/parse.h"
#include "dataplane/base/units.h"

namespace millrace::cli {
namespace {

using nlohmann::json;

struct Start {
  mr_start kind = MR_FROM_LATEST;
  std::int64_t value = 0;
};

// "earliest", "latest", an offset, "@MS" since 1970, or "2026-11-22T17:30:00Z".
std::optional<Start> parse_start(std::string_view text) {
  if (text == "earliest") return Start{MR_FROM_EARLIEST, 0};
  if (text == "latest") return Start{MR_FROM_LATEST, 0};
  Start start{text.starts_with('@') ? MR_FROM_TIME : MR_FROM_OFFSET, 0};
  const std::string_view digits = text.starts_with('@') ? text.substr(1) : text;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), start.value);
  if (error == std::errc() && end == digits.data() + digits.size() && start.value >= 0)
    return start;
  std::tm time{};
  const std::string copy(text);
  const char* rest = strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &time);
  if (rest == nullptr || (std::strcmp(rest, "Z") != 0 && *rest != 0)) return std::nullopt;
  return Start{MR_FROM_TIME, timegm(&time) * 1000};
}

class Consume {
 public:
  Consume(const ConsumeOptions& options, const Globals& globals, mr_client* client, Start start)
      : options_(options),
        json_(globals.output == OutputFormat::json),
        client_(client),
        start_(start) {}

  int run() {
    if (const int status = subscribe_all(); status < 0) return say_status(status, options_.topic);
    while (!done()) {
      const std::uint64_t left =
          options_.count == 0 ? 1024 : std::min<std::uint64_t>(1024, options_.count - seen_);
      const int delivered =
          mr_poll(client_, &Consume::on_record, this, static_cast<std::uint32_t>(left));
      if (delivered < 0) return say_status(delivered, options_.topic);
      if (delivered > 0) last_ns_ = clock_ns();
      if (out_.size() >= 64 * 1024 || (delivered == 0 && !out_.empty())) {
        if (!write_out()) return exit_ok;  // whoever read us has enough
      }
      if (const int status = check(); status < 0) return say_status(status, options_.topic);
      if (delivered == 0 && !done()) mr_wait(client_, 10'000);
      if (options_.timeout_ns != 0 && clock_ns() - last_ns_ > options_.timeout_ns) {
        write_out();
        say_error(fmt::format("{}: nothing for {}", options_.topic, options_.timeout));
        return exit_timeout;
      }
    }
    write_out();
    if (clock_ns() - started_ns_ > base::second_ns) say_note(fmt::format("{} records", seen_));
    return exit_ok;
  }

 private:
  struct Partition {
    std::uint32_t index = 0;
    mr_subscription* subscription = nullptr;
    std::int64_t end = -1;  // the log's end when we came; -1 before it is known
    bool reached = false;
  };

  static void on_record(void* context, const mr_record* record) {
    static_cast<Consume*>(context)->print(*record);
  }

  void print(const mr_record& record) {
    const auto* partition =
        static_cast<const Partition*>(mr_subscription_context(record.subscription));
    // With --exit-at-end what came after us is not ours to wait for, and not ours to print.
    if (options_.exit_at_end && partition->end >= 0 && record.offset >= partition->end) return;
    if (options_.count != 0 && seen_ >= options_.count) return;
    ++seen_;
    const std::string_view value(static_cast<const char*>(record.value), record.value_bytes);
    const std::string_view key(static_cast<const char*>(record.key), record.key_bytes);
    if (json_) {
      json line = {{"partition", partition->index},
                   {"offset", record.offset},
                   {"timestamp_ms", record.timestamp_ms}};
      line["key"] = record.key == nullptr ? json(nullptr) : json(key);
      line["value"] = record.value == nullptr ? json(nullptr) : json(value);
      out_ += line.dump(-1, ' ', false, json::error_handler_t::replace);
    } else {
      if (!options_.key_delimiter.empty()) {
        out_ += key;
        out_ += options_.key_delimiter;
      }
      out_ += value;
    }
    out_ += '\n';
  }

  bool done() const {
    if (options_.count != 0 && seen_ >= options_.count) return true;
    if (!options_.exit_at_end || partitions_.empty()) return false;
    return std::all_of(partitions_.begin(), partitions_.end(),
                       [](const auto& p) { return p->reached; });
  }

  // The first answer tells how many partitions there are; the others are subscribed then.
  int subscribe_all() {
    const std::uint32_t first =
        options_.partition < 0 ? 0 : static_cast<std::uint32_t>(options_.partition);
    if (const int status = subscribe(first); status < 0) return status;
    const std::uint64_t give_up_ns = clock_ns() + 30 * base::second_ns;
    mr_position position{};
    for (;;) {
      mr_poll(client_, nullptr, nullptr, 0);
      const int status = mr_subscription_position(partitions_[0]->subscription, &position);
      if (status <= MR_INVALID) return status;
      if (position.partition_count > 0) break;
      if (clock_ns() > give_up_ns) return MR_TIMED_OUT;
      mr_wait(client_, 10'000);
    }
    if (options_.partition >= 0) return MR_OK;
    for (std::uint32_t index = 1; index < position.partition_count; ++index) {
      if (const int status = subscribe(index); status < 0) return status;
    }
    return MR_OK;
  }

  int subscribe(std::uint32_t index) {
    auto partition = std::make_unique<Partition>();
    partition->index = index;
    mr_subscription_options options;
    mr_subscription_options_init(&options);
    options.topic = options_.topic.c_str();
    options.partition = index;
    options.start = static_cast<std::uint8_t>(start_.kind);
    options.start_value = start_.value;
    options.context = partition.get();
    const int status = mr_subscribe(client_, &options, &partition->subscription);
    partitions_.push_back(std::move(partition));
    return status;
  }

  // Which partitions have been read to where they ended when we came, and whether any stopped.
  int check() {
    for (const auto& partition : partitions_) {
      mr_position position{};
      const int status = mr_subscription_position(partition->subscription, &position);
      if (status <= MR_INVALID) return status;
      if (position.next_offset < 0 || position.log_end < 0) continue;
      if (partition->end < 0) partition->end = position.log_end;
      partition->reached = position.next_offset >= partition->end;
    }
    return MR_OK;
  }

  bool write_out() {
    std::string_view left = out_;
    while (!left.empty()) {
      const ssize_t written = write(STDOUT_FILENO, left.data(), left.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return false;
      left.remove_prefix(static_cast<std::size_t>(written));
    }
    out_.clear();
    return true;
  }

  const ConsumeOptions& options_;
  bool json_;
  mr_client* client_;
  Start start_;
  std::vector<std::unique_ptr<Partition>> partitions_;
  std::string out_;
  std::uint64_t seen_ = 0;
  std::uint64_t started_ns_ = clock_ns();
  std::uint64_t last_ns_ = started_ns_;
};

}  // namespace

int run_consume(const ConsumeOptions& given, const Globals& globals) {
  ConsumeOptions options = given;
  if (const auto name = control::check_topic_name(options.topic); !name) {
    return say_error(name.error().message()), exit_usage;
  }
  const auto start = parse_start(options.from);
  if (!start) {
    say_error(fmt::format(
        "--from {}: earliest, latest, an offset, a time as 2026-11-22T17:30:00Z, or @MS since 1970",
        options.from));
    return exit_usage;
  }
  if (!options.timeout.empty()) {
    const auto timeout = control::parse_duration_ns(options.timeout);
    if (!timeout)
      return say_error(fmt::format("--timeout: {}", timeout.error().message())), exit_usage;
    options.timeout_ns = *timeout;
  }
  int code = exit_ok;
  const ClientPtr client = connect_client(options.address, globals, 5 * base::second_ns, code);
  if (client == nullptr) return code;
  return Consume(options, globals, client.get(), *start).run();
}

}  // namespace millrace::cli

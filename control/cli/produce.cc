// The verb `produce`: a record per line of standard input, or one whole file.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "control/catalog/topic.h"
#include "control/cli/line_reader.h"
#include "control/cli/node_access.h"
#include "control/cli/node_client.h"
#include "control/cli/verbs.h"
#include "control/config/parse.h"
#include "dataplane/base/units.h"

namespace millrace::cli {
namespace {

using nlohmann::json;

// Progress is shown for what takes over a second, once a second.
class Progress {
 public:
  void show(std::uint64_t sent, std::int64_t acknowledged) {
    const std::uint64_t now = clock_ns();
    if (now < next_ns_) return;
    next_ns_ = now + base::second_ns;
    say_note(fmt::format("{} records sent, {} acknowledged", sent, acknowledged));
  }

 private:
  std::uint64_t next_ns_ = clock_ns() + base::second_ns;
};

class Produce {
 public:
  Produce(const ProduceOptions& options, mr_client* client, mr_producer* producer)
      : options_(options), client_(client), producer_(producer) {}

  // Everything from the input is offered; a negative status when the producer stopped.
  int send_lines(int fd) {
    LineReader lines(fd);
    while (!lines.at_end()) {
      while (const auto line = lines.next()) {
        if (const int status = send_line(*line); status < 0) return status;
      }
      if (lines.failed()) return MR_INVALID;
      // With nothing to read what was gathered leaves at once; else it leaves as batches fill.
      if (const int status = turn(); status < 0) return status;
      lines.fill(idle_ ? 1 : 0);
    }
    return MR_OK;
  }

  int send_record(std::string_view value) { return offer(nullptr, 0, value); }

  int drain(std::uint64_t timeout_ns) {
    const std::uint64_t give_up_ns = clock_ns() + timeout_ns;
    int status = mr_flush(producer_);
    while (acknowledged() < static_cast<std::int64_t>(sent_)) {
      if (status < 0 && status > MR_INVALID) status = MR_OK;  // passing; the poll below works on it
      if (status < 0) return status;
      if (clock_ns() >= give_up_ns) return MR_TIMED_OUT;
      mr_wait(client_, 1000);
      status = turn();
    }
    return MR_OK;
  }

  std::int64_t acknowledged() {
    mr_acks acks{};
    mr_poll_acks(producer_, &acks);
    const std::int64_t end = options_.ack == "memory"       ? acks.memory
                             : options_.ack == "replicated" ? acks.replicated
                                                            : acks.durable;
    // A producer id of an earlier run numbers on where that one stopped.
    return std::max<std::int64_t>(0, end - first_sequence_);
  }
  std::uint64_t sent() const { return sent_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  int send_line(std::string_view line) {
    if (options_.key_delimiter.empty()) return offer(nullptr, 0, line);
    const auto at = line.find(options_.key_delimiter);
    if (at == std::string_view::npos) return offer(nullptr, 0, line);
    return offer(line.data(), at, line.substr(at + options_.key_delimiter.size()));
  }

  int offer(const void* key, std::size_t key_bytes, std::string_view value) {
    const bool is_tombstone = options_.tombstones && key != nullptr && value.empty();
    const char* bytes = is_tombstone ? nullptr : value.data() == nullptr ? "" : value.data();
    std::uint64_t give_up_ns = 0;
    for (;;) {
      const std::int64_t sequence = mr_offer(producer_, key, key_bytes, bytes, value.size());
      if (sequence >= 0) {
        if (sent_ == 0) first_sequence_ = sequence;
        break;
      }
      if (sequence <= MR_INVALID) return static_cast<int>(sequence);
      const std::uint64_t now_ns = clock_ns();
      if (give_up_ns == 0) give_up_ns = now_ns + options_.timeout_ns;
      if (now_ns >= give_up_ns) return MR_TIMED_OUT;
      mr_wait(client_, 1000);
      if (const int status = turn(); status < 0) return status;
    }
    ++sent_;
    bytes_ += value.size() + key_bytes;
    return sent_ % 256 == 0 ? turn() : MR_OK;
  }

  // Lets the library work; a negative status when the producer stopped.
  int turn() {
    mr_poll(client_, nullptr, nullptr, 0);
    idle_ = acknowledged() == static_cast<std::int64_t>(sent_);
    progress_.show(sent_, acknowledged());
    return mr_producer_status(producer_);
  }

  const ProduceOptions& options_;
  mr_client* client_;
  mr_producer* producer_;
  Progress progress_;
  std::uint64_t sent_ = 0;
  std::uint64_t bytes_ = 0;
  std::int64_t first_sequence_ = 0;
  bool idle_ = false;
};

// A topic that does not exist is made, as people expect who just want to send something.
int ensure_topic(const ProduceOptions& options, const Globals& globals) {
  if (!options.address.empty()) return exit_ok;
  auto client = admin_client(globals);
  auto reply = client.get("/v1/topics/" + options.topic);
  if (reply && reply->status == 404 && !options.no_create) {
    const json request = {{"name", options.topic}, {"partitions", 1}, {"durability", "durable"}};
    reply = client.post("/v1/topics", request.dump());
    if (reply && reply->status == 409) return exit_ok;  // somebody else was faster
    if (reply && reply->status < 300) {
      say_note(fmt::format("created topic {} with 1 partition, durable", options.topic));
      return exit_ok;
    }
  }
  json document;
  // Without its control plane a node still takes records for the topics it knows.
  if (!reply) return exit_ok;
  return take_document(reply, document);
}

base::Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return base::Error(base::ErrorCode::not_found, "cannot read {}; give --file a readable file",
                       path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void report(const ProduceOptions& options, Produce& produce, double seconds,
            const Globals& globals) {
  const auto acknowledged = produce.acknowledged();
  if (globals.output == OutputFormat::json) {
    print_json({{"topic", options.topic},
                {"records", produce.sent()},
                {"acknowledged", acknowledged},
                {"ack", options.ack},
                {"bytes", produce.bytes()},
                {"seconds", seconds}});
    return;
  }
  say_note(fmt::format("{} records to {}, {} acknowledged ({}), {:.3f} s", produce.sent(),
                       options.topic, acknowledged, options.ack, seconds));
}

}  // namespace

int run_produce(const ProduceOptions& given, const Globals& globals) {
  ProduceOptions options = given;
  const auto timeout = control::parse_duration_ns(options.timeout);
  if (!timeout)
    return say_error(fmt::format("--timeout: {}", timeout.error().message())), exit_usage;
  options.timeout_ns = *timeout;
  if (const auto name = control::check_topic_name(options.topic); !name) {
    return say_error(name.error().message()), exit_usage;
  }
  std::string content;
  if (!options.file.empty()) {
    auto read = read_file(options.file);
    if (!read) return say_error(read.error().message()), exit_not_found;
    content = std::move(*read);
  }
  int code = exit_ok;
  const ClientPtr client = connect_client(options.address, globals, options.timeout_ns, code);
  if (client == nullptr) return code;
  if (code = ensure_topic(options, globals); code != exit_ok) return code;

  mr_producer_options producer_options;
  mr_producer_options_init(&producer_options);
  producer_options.topic = options.topic.c_str();
  producer_options.partition = options.partition;
  producer_options.producer_id = options.producer_id;
  producer_options.ack = options.ack == "memory"       ? MR_ACK_MEMORY
                         : options.ack == "replicated" ? MR_ACK_REPLICATED
                                                       : MR_ACK_DURABLE;
  mr_producer* producer = nullptr;
  if (const int status = mr_producer_open(client.get(), &producer_options, &producer); status < 0) {
    return say_status(status, options.topic);
  }
  const std::uint64_t started_ns = clock_ns();
  Produce produce(options, client.get(), producer);
  int status =
      options.file.empty() ? produce.send_lines(STDIN_FILENO) : produce.send_record(content);
  if (status >= 0) status = produce.drain(options.timeout_ns);
  const double seconds = static_cast<double>(clock_ns() - started_ns) / 1e9;
  report(options, produce, seconds, globals);
  if (status >= 0) return exit_ok;
  return say_status(status, fmt::format("{}: {} of {} records acknowledged", options.topic,
                                        produce.acknowledged(), produce.sent()));
}

}  // namespace millrace::cli

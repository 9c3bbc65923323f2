#include "perf/loadgen/drivers/beanstalkd_driver.h"

#include <fmt/format.h>

#include <charconv>
#include <iterator>

namespace millrace::loadgen {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr std::size_t reader_count = 16;
constexpr int priority = 1024;
constexpr int seconds_to_run = 3600;  // longer than any run: no job is given out twice

Error refused(std::string_view text) {
  return Error(ErrorCode::unavailable, "beanstalkd: {}", text);
}

// Without its end; nothing: it is not all there.
std::optional<std::string_view> line_of(std::string_view bytes) {
  const std::size_t end = bytes.find("\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  return bytes.substr(0, end);
}

}  // namespace

Result<void> BeanstalkdDriver::prepare(const Workload& workload) {
  workload_ = workload;
  auto writer = TcpStream::connect(address_);
  if (!writer) return writer.error();
  writer_.emplace(std::move(*writer));
  for (std::size_t i = 0; workload.consumes && i < reader_count; ++i) {
    if (auto added = add_reader(); !added) return added;
  }
  return {};
}

Result<void> BeanstalkdDriver::add_reader() {
  auto connected = TcpStream::connect(address_);
  if (!connected) return connected.error();
  TcpStream& reader = readers_.emplace_back(std::move(*connected));
  for (std::uint32_t i = 0; i < workload_.partitions; ++i) {
    fmt::format_to(std::back_inserter(reader.out()), "watch {}\r\n", tube(i));
  }
  reader.out().append("ignore default\r\n");
  std::uint32_t watching = 0;
  const auto is_done = [&] {
    while (const auto line = line_of(reader.in())) {
      if (!line->starts_with("WATCHING ")) return true;
      ++watching;
      reader.take(line->size() + 2);
    }
    return watching == workload_.partitions + 1;
  };
  if (auto waited = reader.wait_until(is_done, "an answer to watch"); !waited) return waited;
  if (watching <= workload_.partitions) return refused(*line_of(reader.in()));
  reader.out().append("reserve\r\n");
  return {};
}

bool BeanstalkdDriver::offer(std::uint64_t number, std::span<const std::byte> payload) {
  if (writer_->is_full()) return false;
  auto out = std::back_inserter(writer_->out());
  const std::uint64_t partition = number % workload_.partitions;
  if (used_ != partition) fmt::format_to(out, "use {}\r\n", tube(partition));
  used_ = partition;
  fmt::format_to(out, "put {} 0 {} {}\r\n", priority, seconds_to_run, payload.size());
  writer_->out().append(reinterpret_cast<const char*>(payload.data()), payload.size());
  writer_->out().append("\r\n");
  return true;
}

Result<void> BeanstalkdDriver::poll(Events& events) {
  if (auto pumped = writer_->pump(); !pumped) return pumped;
  if (auto taken = take_answers(events); !taken) return taken;
  for (std::uint32_t i = 0; i < readers_.size(); ++i) {
    if (auto pumped = readers_[i].pump(); !pumped) return pumped;
    if (auto taken = take_jobs(i, events); !taken) return taken;
  }
  return {};
}

Result<void> BeanstalkdDriver::take_answers(Events& events) {
  while (const auto line = line_of(writer_->in())) {
    const bool is_inserted = line->starts_with("INSERTED ");
    if (!is_inserted && !line->starts_with("USING ")) return refused(*line);
    writer_->take(line->size() + 2);
    if (is_inserted) events.acknowledged(answered_++);
  }
  return {};
}

// RESERVED id bytes and the body, or DELETED.
Result<void> BeanstalkdDriver::take_jobs(std::uint32_t reader, Events& events) {
  constexpr std::string_view reserved = "RESERVED ";
  TcpStream& stream = readers_[reader];
  bool has_asked = false;
  while (const auto line = line_of(stream.in())) {
    if (!line->starts_with(reserved)) {
      if (*line != "DELETED") return refused(*line);
      stream.take(line->size() + 2);
      continue;
    }
    const std::string_view words = line->substr(reserved.size());
    const std::string_view id = words.substr(0, words.find(' '));
    const std::string_view digits = words.substr(words.find(' ') + 1);
    std::size_t bytes = 0;
    const auto read = std::from_chars(digits.begin(), digits.end(), bytes);
    if (read.ec != std::errc() || read.ptr != digits.end()) return refused(*line);
    if (stream.in().size() < line->size() + 2 + bytes + 2) break;
    const std::string_view body = stream.in().substr(line->size() + 2, bytes);
    stream.take(line->size() + 2 + bytes + 2);
    events.delivered(reader, std::as_bytes(std::span(body)));
    fmt::format_to(std::back_inserter(stream.out()), "delete {}\r\nreserve\r\n", id);
    has_asked = true;
  }
  return has_asked ? stream.pump() : Result<void>();
}

std::string BeanstalkdDriver::tube(std::uint64_t partition) const {
  return fmt::format("{}-{}", workload_.topic, partition);
}

}  // namespace millrace::loadgen

#include "perf/loadgen/drivers/redis_driver.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "perf/loadgen/drivers/bytes.h"

namespace millrace::loadgen {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr std::string_view messages_per_read = "256";
constexpr std::size_t keys_per_ask = 8;
constexpr std::size_t asks_max = 32;

Error refused(std::string_view text) { return Error(ErrorCode::unavailable, "redis: {}", text); }

Error unexpected() {
  return Error(ErrorCode::corrupt, "redis: an answer came that is not one to what was asked");
}

Error not_resp() { return Error(ErrorCode::corrupt, "redis: what came does not read as RESP"); }

}  // namespace

Result<void> RedisDriver::prepare(const Workload& workload) {
  workload_ = workload;
  for (std::uint32_t i = 0; i < workload.partitions; ++i) {
    keys_.push_back(fmt::format("{}-{}", workload.topic, i));
    last_ids_.emplace_back("0");
  }
  if (workload.publishes) {
    auto writer = TcpStream::connect(address_);
    if (!writer) return writer.error();
    writer_.emplace(std::move(*writer));
  }
  if (!workload.consumes) return {};
  auto reader = TcpStream::connect(address_);
  if (!reader) return reader.error();
  reader_.emplace(std::move(*reader));
  if (kind_ == RedisKind::channel) return subscribe();
  // An answer is of one list alone, so where there are many several are asked for.
  const std::size_t asked = kind_ == RedisKind::list ? keys_.size() / keys_per_ask : 1;
  for (std::size_t i = 0; i < std::clamp<std::size_t>(asked, 1, asks_max); ++i) ask();
  return {};
}

Result<void> RedisDriver::subscribe() {
  for (const std::string& key : keys_) {
    write_resp(reader_->out(), std::array<std::string_view, 2>{"SUBSCRIBE", key});
  }
  std::size_t subscribed = 0;
  Result<void> outcome;
  const auto is_done = [&] {
    for (; subscribed < keys_.size(); ++subscribed) {
      const std::int64_t bytes = read_resp(reader_->in(), nodes_);
      if (bytes == 0) return false;
      if (bytes < 0) outcome = not_resp();
      if (bytes > 0 && nodes_[0].type == '-') outcome = refused(nodes_[0].text);
      if (!outcome) return true;
      reader_->take(static_cast<std::size_t>(bytes));
    }
    return true;
  };
  if (auto waited = reader_->wait_until(is_done, "an answer to SUBSCRIBE"); !waited) return waited;
  return outcome;
}

// For what is there, or what comes next.
void RedisDriver::ask() {
  const std::string key_count = std::to_string(keys_.size());
  std::vector<std::string_view> words;
  if (kind_ == RedisKind::list) {
    words = {"BLMPOP", "0", key_count};
    words.insert(words.end(), keys_.begin(), keys_.end());
    words.insert(words.end(), {"LEFT", "COUNT", messages_per_read});
  } else {
    words = {"XREAD", "COUNT", messages_per_read, "BLOCK", "0", "STREAMS"};
    words.insert(words.end(), keys_.begin(), keys_.end());
    words.insert(words.end(), last_ids_.begin(), last_ids_.end());
  }
  write_resp(reader_->out(), words);
}

bool RedisDriver::offer(std::uint64_t number, std::span<const std::byte> payload) {
  if (writer_->is_full()) return false;
  const std::string& key = keys_[number % keys_.size()];
  const std::string_view text = text_of(payload);
  switch (kind_) {
    case RedisKind::list:
      write_resp(writer_->out(), std::array<std::string_view, 3>{"RPUSH", key, text});
      break;
    case RedisKind::stream:
      write_resp(writer_->out(), std::array<std::string_view, 5>{"XADD", key, "*", "m", text});
      break;
    case RedisKind::channel:
      write_resp(writer_->out(), std::array<std::string_view, 3>{"PUBLISH", key, text});
      break;
  }
  return true;
}

Result<void> RedisDriver::poll(Events& events) {
  if (auto taken = pump_and(writer_, [&] { return take_answers(events); }); !taken) return taken;
  return pump_and(reader_, [&] { return take_messages(events); });
}

Result<void> RedisDriver::take_answers(Events& events) {
  std::int64_t bytes = 0;
  while ((bytes = read_resp(writer_->in(), nodes_)) > 0) {
    if (nodes_[0].type == '-') return refused(nodes_[0].text);
    writer_->take(static_cast<std::size_t>(bytes));
    events.acknowledged(answered_++);
  }
  if (bytes < 0) return not_resp();
  return {};
}

Result<void> RedisDriver::take_messages(Events& events) {
  std::int64_t bytes = 0;
  while ((bytes = read_resp(reader_->in(), nodes_)) > 0) {
    if (nodes_[0].type == '-') return refused(nodes_[0].text);
    if (!take_reply(events)) return unexpected();
    reader_->take(static_cast<std::size_t>(bytes));
    if (kind_ != RedisKind::channel) ask();
  }
  if (bytes < 0) return not_resp();
  return reader_->pump();
}

bool RedisDriver::take_reply(Events& events) {
  switch (kind_) {
    case RedisKind::list:
      return take_list(events);
    case RedisKind::stream:
      return take_streams(events);
    case RedisKind::channel:
      return take_publication(events);
  }
  return false;
}

// [key, [payload, payload ...]]
bool RedisDriver::take_list(Events& events) {
  if (nodes_.size() < 3) return false;
  const auto source = partition_of(nodes_[1].text, '-', workload_.partitions);
  if (!source) return false;
  for (std::size_t i = 3; i < nodes_.size(); ++i) {
    events.delivered(*source, bytes_of(nodes_[i].text));
  }
  return true;
}

// [[key, [[id, ["m", payload]], ...]], ...]
bool RedisDriver::take_streams(Events& events) {
  std::size_t at = 1;
  for (std::int64_t streams = nodes_[0].count; streams > 0; --streams) {
    if (nodes_.size() - at < 3) return false;
    const auto source = partition_of(nodes_[at + 1].text, '-', workload_.partitions);
    std::int64_t entries = nodes_[at + 2].count;
    if (!source) return false;
    at += 3;
    for (; entries > 0; --entries, at += 5) {
      if (nodes_.size() - at < 5 || nodes_[at].type != '*') return false;
      if (entries == 1) last_ids_[*source] = nodes_[at + 1].text;
      events.delivered(*source, bytes_of(nodes_[at + 4].text));
    }
  }
  return true;
}

// ["message", channel, payload]
bool RedisDriver::take_publication(Events& events) {
  if (nodes_.size() != 4) return false;
  const auto source = partition_of(nodes_[2].text, '-', workload_.partitions);
  if (source) events.delivered(*source, bytes_of(nodes_[3].text));
  return source.has_value();
}

}  // namespace millrace::loadgen

#include "perf/loadgen/drivers/beanstalkd_reply.h"

#include <algorithm>

#include "perf/loadgen/drivers/bytes.h"

namespace millrace::loadgen {

namespace {

bool is_of_a_word(char c) { return (c >= 'A' && c <= 'Z') || c == '_'; }

// RESERVED id bytes
std::int64_t read_job(std::string_view bytes, BeanstalkdReply& reply) {
  const std::string_view rest =
      reply.line.substr(std::min(reply.word.size() + 1, reply.line.size()));
  const std::size_t id_bytes = rest.find(' ');
  if (id_bytes == std::string_view::npos) return -1;
  reply.id = rest.substr(0, id_bytes);
  const auto body_bytes = read_number<std::uint64_t>(rest.substr(id_bytes + 1));
  if (!read_number<std::uint64_t>(reply.id) || !body_bytes) return -1;
  const std::size_t body_at = reply.line.size() + 2;
  const std::int64_t all_bytes = counted_bytes(bytes, body_at, *body_bytes);
  if (all_bytes > 0) reply.body = bytes.substr(body_at, *body_bytes);
  return all_bytes;
}

}  // namespace

std::int64_t read_beanstalkd(std::string_view bytes, BeanstalkdReply& reply) {
  const std::int64_t first_bytes = line_bytes(bytes);
  if (first_bytes <= 0) return first_bytes;
  const std::string_view line = bytes.substr(0, static_cast<std::size_t>(first_bytes) - 2);
  const std::string_view word = line.substr(0, line.find(' '));
  if (word.empty() || !std::all_of(word.begin(), word.end(), is_of_a_word)) return -1;
  reply = {.line = line, .word = word};
  return word == "RESERVED" ? read_job(bytes, reply) : first_bytes;
}

}  // namespace millrace::loadgen

// What holds of every reader of a stream's bytes, which says how many bytes a whole message has: 0
// when it is not all there, -1 when it is none.
//
// - It stays inside the bytes, and so does all it points to.
// - What is refused stays refused and what is read is read the same, however many bytes follow: so
//   a stream that comes in pieces reads as one that comes at once.
// - No message is whole before its last byte.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::loadgen {

inline void require(bool holds) {
  if (!holds) std::abort();
}

// What was read before bytes ran out or were refused.
struct ReadStream {
  std::vector<std::string> fields;  // of all messages, in order
  std::size_t bytes = 0;            // of all messages
  bool is_refused = false;

  bool operator==(const ReadStream&) const = default;
};

// bytes: copied to a place of their own, so that a read past their end is seen.
// read(bytes, fields): reads one message and appends what it points to.
template <typename Read>
std::int64_t read_one(std::string_view bytes, Read read, std::vector<std::string>& fields) {
  const auto place = std::make_unique<char[]>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), place.get());
  const std::string_view copy(place.get(), bytes.size());
  std::vector<std::string_view> views;
  const std::int64_t count = read(copy, views);
  require(count >= -1 && count <= static_cast<std::int64_t>(bytes.size()));
  if (count <= 0) return count;
  const char* const end = copy.data() + count;
  for (const std::string_view view : views) {
    require(view.empty() || (view.data() >= copy.data() && view.data() + view.size() <= end));
    fields.emplace_back(view);
  }
  return count;
}

// As it comes in so many pieces; the last is read to the end.
template <typename Read>
ReadStream read_stream(std::string_view bytes, std::size_t pieces, Read read) {
  ReadStream stream;
  for (std::size_t piece = 1; piece <= pieces && !stream.is_refused; ++piece) {
    const std::string_view come = bytes.substr(0, bytes.size() * piece / pieces);
    std::int64_t count = 1;
    while (count > 0 && stream.bytes < come.size()) {
      count = read_one(come.substr(stream.bytes), read, stream.fields);
      if (count > 0) stream.bytes += static_cast<std::size_t>(count);
    }
    stream.is_refused = count < 0;
  }
  return stream;
}

template <typename Read>
void check_stream_codec(std::string_view bytes, Read read) {
  constexpr std::size_t pieces_max = 64;
  std::vector<std::string> fields;
  require(read_one({}, read, fields) == 0);
  const ReadStream whole = read_stream(bytes, 1, read);
  require(read_stream(bytes, std::min(bytes.size(), pieces_max), read) == whole || bytes.empty());
  if (const std::int64_t first = read_one(bytes, read, fields); first > 0) {
    const auto one = static_cast<std::size_t>(first);
    require(read_one(bytes.substr(0, one), read, fields) == first);
    for (std::size_t cut = 1; cut <= std::min(one, pieces_max); ++cut) {
      require(read_one(bytes.substr(0, one - cut), read, fields) == 0);
    }
  }
}

}  // namespace millrace::loadgen

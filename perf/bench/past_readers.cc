// PastReaders: see past_readers.h.
#include "perf/bench/past_readers.h"

#include <algorithm>

#include "perf/bench/interrupt.h"

namespace millrace::bench {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr std::uint64_t begin_wait_ns = 10 * base::second_ns;
constexpr std::uint32_t records_per_poll = 64;

bool has_begun(const Subscription& reader) {
  mr_position position{};
  return reader.position(position) == MR_OK && position.next_offset > 0;
}

bool is_at_end(const Subscription& reader) {
  mr_position position{};
  return reader.position(position) != MR_OK || position.next_offset >= position.log_end;
}

}  // namespace

Result<void> PastReaders::begin() {
  for (std::uint32_t i = 0; i < count_; ++i) {
    auto reader = client_.subscribe(topic_, i, MR_FROM_EARLIEST);
    if (!reader) return Error(ErrorCode::unavailable, "{}: {}", topic_, reader.error());
    readers_.push_back(std::move(*reader));
  }
  base::SystemClock clock;
  const std::uint64_t give_up_ns = clock.monotonic_ns() + begin_wait_ns;
  while (!std::ranges::all_of(readers_, has_begun)) {
    if (interrupted()) return Error(ErrorCode::unavailable, "interrupted");
    if (clock.monotonic_ns() >= give_up_ns) {
      return Error(ErrorCode::timeout, "the past of {} does not come", topic_);
    }
    poll();
  }
  bytes_ = 0;
  return {};
}

void PastReaders::poll() {
  client_.poll([this](const RecordView& record) { bytes_ += record.value().size(); },
               records_per_poll);
}

Result<void> PastReaders::end() {
  const bool ended = std::ranges::any_of(readers_, is_at_end);
  readers_.clear();
  client_.poll();
  if (!ended) return {};
  return Error(ErrorCode::invalid_argument,
               "a reader came to the end of the past within a round: give more --bytes, or a "
               "smaller --count");
}

Result<void> BesideReaders::measure(std::uint64_t count, Measured& into) {
  if (auto begun = readers_.begin(); !begun) return begun;
  const std::uint64_t start_ns = clock_.monotonic_ns();
  publisher_.set_readers(&readers_);
  auto measured = publisher_.measure(count, into);
  publisher_.set_readers(nullptr);
  read_.bytes += readers_.bytes();
  read_.elapsed_ns += clock_.monotonic_ns() - start_ns;
  auto ended = readers_.end();
  return measured ? ended : measured;
}

}  // namespace millrace::bench

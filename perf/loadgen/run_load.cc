#include "perf/loadgen/run_load.h"

#include <sched.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "dataplane/base/units.h"
#include "perf/loadgen/delivery_check.h"
#include "perf/loadgen/stamp.h"

namespace millrace::loadgen {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr std::uint64_t progress_every_ns = 100 * base::ms_ns;
constexpr int offers_per_poll = 256;
constexpr std::uint64_t backlog_window = 1U << 14;  // of it, not yet answered
constexpr std::uint64_t never_ns = ~0ULL;

class Load final : public Events {
 public:
  Load(const Workload& workload, Driver& driver, base::Clock& clock, const LoadOptions& options)
      : workload_(workload),
        driver_(driver),
        clock_(clock),
        options_(options),
        payload_(std::max(workload.payload_bytes, stamp_bytes), std::byte{'m'}),
        due_ns_(std::bit_ceil(options.in_flight_max)),
        consumes_(workload.consumes && workload.backlog == 0) {
    if (consumes_ && !driver.is_queue()) result_.copies = workload.subscribers;
    checks_.resize(result_.copies);
  }

  Result<LoadResult> run();

 private:
  void acknowledged(std::uint64_t number) override;
  void delivered(std::uint32_t source, std::span<const std::byte> payload) override;

  Result<void> send_ahead();
  Result<void> send_and_take();
  Result<void> drain();
  Result<void> read_back();
  Result<void> turn(bool sends);
  Result<void> poll(Driver& driver);
  void offer_some();
  bool tell_progress();
  std::uint64_t now_ns();
  std::uint64_t in_flight() const {
    std::uint64_t done = sent_;
    if (driver_.acknowledges()) done = std::min(done, acknowledged_);
    if (consumes_) done = std::min(done, delivered_ / result_.copies);
    return sent_ - done;
  }
  std::uint64_t in_flight_max() const;
  std::uint64_t next_due_ns(std::uint64_t now) const;
  std::uint64_t due_at_ns(std::uint64_t number) const;
  bool is_measured(std::uint64_t due_ns) const { return due_ns >= from_ns_ && due_ns < to_ns_; }
  bool is_within() const { return seen_ns_ >= from_ns_ && seen_ns_ < to_ns_; }

  const Workload& workload_;
  Driver& driver_;
  base::Clock& clock_;
  const LoadOptions& options_;
  std::vector<std::byte> payload_;
  std::vector<std::uint64_t> due_ns_;  // of those in flight, by the low bits of their number
  bool consumes_;                      // while it publishes
  std::vector<DeliveryCheck> checks_;  // one for each copy
  std::uint64_t delivered_ = 0;        // copies
  LoadResult result_;
  // Sent before the time begins: a backlog, or one over each connection to each partition. What
  // the first one brings with it (files, state of a producer) takes some systems seconds.
  std::uint64_t ahead_ = 0;
  bool is_ahead_ = false;  // that is going on
  std::uint64_t start_ns_ = 0;
  std::uint64_t from_ns_ = 0;  // the measured time
  std::uint64_t to_ns_ = 0;
  std::uint64_t seen_ns_ = 0;  // the time as of this turn's events; 0: not asked yet
  std::uint64_t told_ns_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t events_ = 0;
};

Result<LoadResult> Load::run() {
  if (auto sent = send_ahead(); !sent) return sent.error();
  start_ns_ = clock_.monotonic_ns();
  from_ns_ = start_ns_ + workload_.warm_up_ns;
  to_ns_ = from_ns_ + workload_.measured_ns;
  if (auto sent = send_and_take(); !sent) return sent.error();
  if (auto drained = drain(); !drained) return drained.error();
  result_.measured_ns = workload_.measured_ns;
  result_.due = result_.sent;
  if (workload_.rate != 0) {
    result_.due = static_cast<std::uint64_t>(static_cast<double>(workload_.rate) *
                                             static_cast<double>(workload_.measured_ns) /
                                             static_cast<double>(base::second_ns));
  }
  if (driver_.acknowledges()) result_.unacknowledged = sent_ - acknowledged_;
  if (consumes_) result_.lost = sent_ * result_.copies - delivered_;
  if (auto read = read_back(); !read) return read.error();
  for (const DeliveryCheck& check : checks_) {
    result_.duplicated += check.duplicated();
    result_.reordered += check.reordered();
  }
  return std::move(result_);
}

Result<void> Load::send_ahead() {
  const bool has_backlog = workload_.backlog != 0;
  ahead_ = has_backlog ? workload_.backlog : std::max(workload_.partitions, workload_.connections);
  start_ns_ = clock_.monotonic_ns();
  const std::uint64_t give_up_ns = start_ns_ + (has_backlog ? options_.fill_ns : options_.drain_ns);
  is_ahead_ = true;
  while (sent_ < ahead_ && clock_.monotonic_ns() < give_up_ns) {
    if (auto turned = turn(true); !turned) return turned;
  }
  if (auto drained = drain(); !drained) return drained;
  is_ahead_ = false;
  ahead_ = sent_;
  if (!has_backlog) return {};
  result_.backlog = sent_;
  result_.filled_ns = clock_.monotonic_ns() - start_ns_;
  return {};
}

Result<void> Load::read_back() {
  if (workload_.backlog == 0) return {};
  auto reader = options_.make_reader();
  if (!reader) return reader.error();
  const std::uint64_t from_ns = clock_.monotonic_ns();
  while (delivered_ < sent_ && result_.read_back_ns < options_.drain_ns) {
    if (auto polled = poll(**reader); !polled) return polled;
    result_.read_back_ns = clock_.monotonic_ns() - from_ns;
  }
  result_.read_back = delivered_;
  result_.left_behind = sent_ - delivered_;
  return {};
}

Result<void> Load::send_and_take() {
  while (clock_.monotonic_ns() < to_ns_) {
    if (auto turned = turn(true); !turned) return turned;
  }
  return {};
}

Result<void> Load::drain() {
  const std::uint64_t give_up_ns = clock_.monotonic_ns() + options_.drain_ns;
  while (in_flight() != 0 && clock_.monotonic_ns() < give_up_ns) {
    if (auto turned = turn(false); !turned) return turned;
  }
  return {};
}

Result<void> Load::turn(bool sends) {
  if (sends) offer_some();
  return poll(driver_);
}

Result<void> Load::poll(Driver& driver) {
  seen_ns_ = 0;
  events_ = 0;
  if (auto polled = driver.poll(*this); !polled) return polled;
  if (events_ == 0 && driver.yields()) sched_yield();
  if (!tell_progress()) return Error(ErrorCode::unavailable, "interrupted");
  return {};
}

void Load::offer_some() {
  const std::uint64_t now = clock_.monotonic_ns();
  const std::uint64_t most = in_flight_max();
  for (int i = 0; i < offers_per_poll && in_flight() < most; ++i) {
    const std::uint64_t due = next_due_ns(now);
    if (due > now) return;
    write_stamp({.number = sent_, .due_ns = due}, payload_);
    if (!driver_.offer(sent_, payload_)) return;
    due_ns_[sent_ & (due_ns_.size() - 1)] = due;
    ++sent_;
    if (now >= from_ns_ && now < to_ns_) ++result_.sent;
  }
}

std::uint64_t Load::in_flight_max() const {
  std::uint64_t wanted = options_.in_flight_max;
  if (workload_.rate == 0 || is_ahead_) wanted = workload_.window;
  if (is_ahead_ && workload_.backlog != 0) wanted = backlog_window;
  return std::min(wanted, options_.in_flight_max);
}

std::uint64_t Load::next_due_ns(std::uint64_t now) const {
  if (is_ahead_) return sent_ < ahead_ ? 0 : never_ns;
  const std::uint64_t due = workload_.rate == 0 ? now : due_at_ns(sent_ - ahead_);
  return due < to_ns_ ? due : never_ns;
}

std::uint64_t Load::due_at_ns(std::uint64_t number) const {
  return start_ns_ + static_cast<std::uint64_t>(static_cast<double>(number) *
                                                static_cast<double>(base::second_ns) /
                                                static_cast<double>(workload_.rate));
}

std::uint64_t Load::now_ns() {
  ++events_;
  if (seen_ns_ == 0) seen_ns_ = clock_.monotonic_ns();
  return seen_ns_;
}

void Load::acknowledged(std::uint64_t number) {
  const std::uint64_t now = now_ns();
  const std::uint64_t due = due_ns_[number & (due_ns_.size() - 1)];
  ++acknowledged_;
  if (is_measured(due)) result_.acknowledged_ns.record(now - std::min(now, due));
  if (is_within()) ++result_.acknowledged;
}

void Load::delivered(std::uint32_t source, std::span<const std::byte> payload) {
  const std::uint64_t now = now_ns();
  const auto stamp = read_stamp(payload);
  if (!stamp || stamp->number >= sent_) {
    ++result_.foreign;
    return;
  }
  // Order is each producer's own.
  const auto producer = static_cast<std::uint32_t>(stamp->number % workload_.connections);
  DeliveryCheck& check = checks_[checks_.size() == 1 ? 0 : source / workload_.partitions];
  if (!check.add(source * workload_.connections + producer, stamp->number)) return;
  ++delivered_;
  if (!consumes_) return;
  if (is_measured(stamp->due_ns)) {
    result_.delivered_ns.record(now - std::min(now, stamp->due_ns));
  }
  if (is_within()) ++result_.delivered;
}

bool Load::tell_progress() {
  const std::uint64_t now = clock_.monotonic_ns();
  if (now - told_ns_ < progress_every_ns) return true;
  told_ns_ = now;
  const auto passed = static_cast<double>(now - start_ns_);
  const double share = is_ahead_ ? static_cast<double>(sent_) / static_cast<double>(ahead_)
                                 : passed / static_cast<double>(to_ns_ - start_ns_);
  return options_.on_progress(
      {.is_warming_up = is_ahead_ || now < from_ns_, .share = std::min(1.0, share), .sent = sent_});
}

}  // namespace

Result<LoadResult> run_load(const Workload& workload, Driver& driver, base::Clock& clock,
                            const LoadOptions& options) {
  return Load(workload, driver, clock, options).run();
}

}  // namespace millrace::loadgen

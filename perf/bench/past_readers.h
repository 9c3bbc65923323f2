// PastReaders: subscriptions that read what was written long ago, each as fast as it gets it; and
// a publisher beside them.
// Thread: the publisher's: what they cost it is in its figures. Their client is their own, for what
//         one client gets comes in one order, and an acknowledgement would wait behind their data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/client/millrace.hpp"
#include "perf/bench/publisher.h"
#include "perf/bench/subject.h"

namespace millrace::bench {

class PastReaders {
 public:
  // One reader to each partition of the topic.
  PastReaders(Client& client, std::string topic, std::uint32_t count)
      : client_(client), topic_(std::move(topic)), count_(count) {}

  // From the beginning; each of them has had a record when this returns.
  base::Result<void> begin();
  // Takes what came.
  void poll();
  // An error when one of them came to the end, and so did not read the past all the time.
  base::Result<void> end();
  std::uint64_t bytes() const { return bytes_; }  // of values, since begin()

 private:
  Client& client_;
  std::string topic_;
  std::uint32_t count_;
  std::vector<Subscription> readers_;
  std::uint64_t bytes_ = 0;
};

class BesideReaders final : public Subject {
 public:
  BesideReaders(Publisher& publisher, PastReaders& readers)
      : publisher_(publisher), readers_(readers) {}

  void wake() override { publisher_.wake(); }
  void rest() override { publisher_.rest(); }
  base::Result<void> measure(std::uint64_t count, Measured& into) override;
  // What the readers had, in all rounds.
  const Measured& read() const { return read_; }

 private:
  Publisher& publisher_;
  PastReaders& readers_;
  base::SystemClock clock_;
  Measured read_;
};

}  // namespace millrace::bench

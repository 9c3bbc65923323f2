// Publisher: the node as a producer sees it, over the client library.
// Thread: the main one.
// Owns:  for each round a topic of its own, so that a journal need not hold more than one. The
//        client is lent: several publishers take turns with it.
//
//   one_by_one   offer a record, wait for its acknowledgement, offer the next
//   in_bulk      offer as fast as acknowledgements allow, or at a rate; one record in 1,024 is
//                timed, at a rate from when it was due
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/client/millrace.hpp"
#include "perf/bench/node_client.h"
#include "perf/bench/options.h"
#include "perf/bench/own_node.h"
#include "perf/bench/subject.h"

namespace millrace::bench {

struct PublisherOptions {
  std::string topics = "bench";  // what their names begin with
  int port_offset = 0;           // of the admin port
  Ack ack = Ack::durable;
  bool in_bulk = false;
  std::uint32_t size_bytes = 128;
  std::uint32_t partitions = 1;
  std::uint32_t batch_bytes = 0;
  std::uint64_t rate = 0;  // records a second, in bulk; 0: as many as acknowledgements allow
};

class PastReaders;

class Publisher final : public Subject {
 public:
  // node: paused while this subject rests; null for one that is not ours.
  Publisher(const PublisherOptions& options, Client& client, OwnNode* node);

  void wake() override;
  void rest() override;
  base::Result<void> measure(std::uint64_t count, Measured& into) override;
  // Instead: a topic that holds so many records and stays; its name.
  base::Result<std::string> fill(std::uint64_t count);
  // Whose records are taken while this publishes; may be null.
  void set_readers(PastReaders* readers) { readers_ = readers; }

 private:
  struct Timed {
    std::int64_t sequence;
    std::uint64_t offered_ns;
  };

  void poll();
  base::Result<void> create_topic();
  base::Result<void> open_producer();
  base::Result<void> publish(std::uint64_t count, Measured& into);
  base::Result<void> one_by_one(std::uint64_t count, Measured& into);
  base::Result<void> in_bulk(std::uint64_t count, Measured& into);
  base::Result<void> offer_some(std::uint64_t count, std::uint64_t& offered);
  void take_acks(std::int64_t& acked, Measured& into);
  // With a rate: how many records are due at a time, and when one is.
  std::uint64_t due(std::uint64_t now_ns) const {
    return 1 + static_cast<std::uint64_t>(static_cast<double>(now_ns - start_ns_) *
                                          static_cast<double>(options_.rate) /
                                          static_cast<double>(base::second_ns));
  }
  std::uint64_t due_ns(std::uint64_t record) const {
    return start_ns_ + static_cast<std::uint64_t>(static_cast<double>(record) *
                                                  static_cast<double>(base::second_ns) /
                                                  static_cast<double>(options_.rate));
  }

  PublisherOptions options_;
  Client& client_;
  OwnNode* node_;
  PastReaders* readers_ = nullptr;
  std::unique_ptr<Producer> producer_;
  base::SystemClock clock_;
  TopicOptions topic_;
  std::uint32_t topic_number_ = 0;
  std::vector<char> value_;
  std::vector<Timed> timed_;  // in_bulk: not acknowledged yet, from timed_head_ on
  std::size_t timed_head_ = 0;
  std::uint64_t start_ns_ = 0;  // of the publishing going on
};

}  // namespace millrace::bench

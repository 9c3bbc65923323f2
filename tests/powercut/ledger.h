// Ledger: what clients offered to a node, when they heard that it is durable, and where they found
// it afterwards. A text file; several runs and several writers may add to it.
//
//   producer ID TOPIC PARTITION OFFERED   its records 0 to OFFERED - 1 may be in the log
//   ack TIME ID COUNT                     its records 0 to COUNT - 1 are durable, said the node
//   seen TIME                             of the lines that follow
//   placed ID NUMBER OFFSET               a reader met the record there
//   retain TOPIC                          its oldest records may go
//   delete TIME TOPIC                     was about to be asked for
//
// Times are of recording_now_ns(): of ack after the answer had come, of seen before the reader
// asked, of delete before the question went.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "dataplane/base/result.h"

namespace millrace::powercut {

struct Ledger {
  struct Ack {
    std::uint64_t time_ns = 0;
    std::uint64_t count = 0;
  };
  struct Place {
    std::int64_t offset = -1;   // not known
    std::uint64_t seen_ns = 0;  // it was still there
  };
  struct Producer {
    std::string topic;
    std::uint32_t index = 0;      // of the partition, in its topic
    std::uint32_t partition = 0;  // among all of the ledger
    std::uint64_t offered = 0;
    std::vector<Ack> acks;      // rising
    std::vector<Place> places;  // by record
  };

  // Adds what the text says; the error names the line.
  base::Result<void> read(std::istream& text);
  void write(std::ostream& text) const;

  void place(std::uint64_t id, std::uint64_t number, const Place& place);
  // How many records of the producer were known to be durable before the time.
  static std::uint64_t durable_before(const Producer& producer, std::uint64_t time_ns);
  bool deleted_before(const Producer& producer, std::uint64_t time_ns) const;

  std::map<std::uint64_t, Producer> producers;
  std::set<std::string> retained;                   // topics
  std::map<std::string, std::uint64_t> deleted_ns;  // by topic

 private:
  bool read_line(const std::string& line, std::uint64_t& seen_ns);
};

}  // namespace millrace::powercut

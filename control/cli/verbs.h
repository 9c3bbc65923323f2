// Verbs: what each command of `millrace` takes and the function that carries it out.
//
// main.cc declares the options, once for all, and fills these structs; a verb's own file never sees
// the option parser, which is slow to compile. To add a verb: a struct and a function here, a file,
// and a declare_ function in main.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace millrace::cli {

enum class OutputFormat : std::uint8_t { table, json };

enum ExitCode : int {
  exit_ok = 0,
  exit_failed = 1,
  exit_usage = 2,
  exit_not_found = 3,
  exit_timeout = 4,
  exit_cannot_connect = 6,
};

struct Globals {
  int port_offset = 0;  // --port-offset or MILLRACE_PORT_OFFSET
  bool has_port_offset = false;
  OutputFormat output = OutputFormat::table;
  std::string program = {};  // argv[0], for the commands that `up` proposes
};

struct UpOptions {
  std::string data = {};
  bool memory_only = false;
  std::string config = {};
  std::vector<std::string> ports = {};
  std::vector<std::string> listeners = {};
  std::string bind = {};
  std::string profile = {};
  std::string cores = {};
  std::string journal_size = {};
  std::string tail_size = {};
  std::string data_max = {};
  std::string disk_reserve = {};
  std::string scrub_rate = {};
  std::optional<int> max_sessions = {};
  std::string programs =
      {};  // where millraced and millrace-control are; empty: beside this program
};
int run_up(const UpOptions& options, const Globals& globals);

struct TopicCreateOptions {
  std::string name = {};
  std::uint32_t partitions = 1;
  std::string durability = "durable";
  std::string retention = {};       // a duration or "unlimited"; empty: as it is, or unlimited
  std::string retention_size = {};  // a size or "unlimited"
  std::string compact = {};         // a duration or "off"
  bool if_not_exists = false;
};
int run_topic_create(const TopicCreateOptions& options, const Globals& globals);
int run_topic_alter(const TopicCreateOptions& options, const Globals& globals);

struct TopicTrimOptions {
  std::string name = {};
  std::uint32_t partition = 0;
  std::int64_t before = 0;
};
int run_topic_trim(const TopicTrimOptions& options, const Globals& globals);

struct TopicNameOptions {
  std::string name = {};
};
int run_topic_list(const Globals& globals);
int run_topic_describe(const TopicNameOptions& options, const Globals& globals);
int run_topic_delete(const TopicNameOptions& options, const Globals& globals);

int run_status(const Globals& globals);

struct WaitOptions {
  std::string timeout = "30s";
};
int run_wait(const WaitOptions& options, const Globals& globals);

struct ProduceOptions {
  std::string topic;
  std::string ack = "durable";  // memory, replicated or durable
  std::string key_delimiter;    // splits a line into key and value
  std::string file;             // one record: this whole file
  std::string timeout = "30s";  // of a record, from its first sending
  std::string address;          // of the node, instead of the one on this host
  std::int32_t partition = -1;  // -1: by key, or in turn
  std::int64_t producer_id = -1;
  bool no_create = false;
  bool tombstones = false;       // a key without a value deletes it
  std::uint64_t timeout_ns = 0;  // of `timeout`
};
int run_produce(const ProduceOptions& options, const Globals& globals);

struct ConsumeOptions {
  std::string topic;
  std::string from = "latest";
  std::string key_delimiter;  // prints the key and this before the value
  std::string timeout;        // gives up after so long without a record
  std::string address;
  std::uint64_t count = 0;  // 0: no limit
  std::int32_t partition = -1;
  bool exit_at_end = false;
  std::uint64_t timeout_ns = 0;
};
int run_consume(const ConsumeOptions& options, const Globals& globals);

// The measuring program beside this one; its arguments are passed on.
int run_bench(const std::vector<std::string>& arguments, const Globals& globals);
// The program that looks at and repairs data at rest, likewise.
int run_log(const std::vector<std::string>& arguments, const Globals& globals);

}  // namespace millrace::cli

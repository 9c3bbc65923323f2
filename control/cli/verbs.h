// Verbs: what each command of `millrace` takes and the function that carries it out.
//
// main.cc declares the options, once for all, and fills these structs; a verb's own file never sees
// the option parser, which is slow to compile. To add a verb: a struct and a function here, a file,
// and a declare_ function in main.cc.
#pragma once

#include <cstdint>
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
  std::string programs =
      {};  // where millraced and millrace-control are; empty: beside this program
};
int run_up(const UpOptions& options, const Globals& globals);

struct TopicCreateOptions {
  std::string name = {};
  std::uint32_t partitions = 1;
  std::string durability = "durable";
  bool if_not_exists = false;
};
int run_topic_create(const TopicCreateOptions& options, const Globals& globals);

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

}  // namespace millrace::cli

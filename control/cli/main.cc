// millrace: the command line. Every option is declared here, and CLI11 included nowhere else; each
// verb's work is in its own file (verbs.h).
//
// Data goes to standard output, messages to standard error. Exit codes: 0 ok, 1 failed, 2 usage,
// 3 not found, 4 timeout, 6 cannot connect.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <iostream>
#include <map>

#include "control/catalog/topic.h"
#include "control/cli/verbs.h"
#include "control/config/node_config.h"

namespace millrace::cli {
namespace {

using Run = std::function<int()>;

// Everything the parser writes into; the chosen verb leaves what is to be run.
struct CommandLine {
  Globals globals;
  UpOptions up;
  TopicCreateOptions topic_create;
  TopicNameOptions topic_name;
  TopicTrimOptions topic_trim;
  WaitOptions wait;
  ProduceOptions produce;
  ConsumeOptions consume;
  std::vector<std::string> bench;
  std::vector<std::string> log;
  Run run;
};

void declare_globals(CLI::App& app, CommandLine& line) {
  static const std::map<std::string, OutputFormat> formats = {{"table", OutputFormat::table},
                                                              {"json", OutputFormat::json}};
  app.add_option("--port-offset", line.globals.port_offset,
                 "Which node: all its ports are shifted by this much")
      ->envname("MILLRACE_PORT_OFFSET")
      ->check(CLI::Range(0, control::port_offset_max))
      ->type_name("N");
  app.add_option("-o,--output", line.globals.output, "table or json")
      ->transform(CLI::CheckedTransformer(formats).description(""))
      ->type_name("FORMAT");
}

// A verb that falls through to the global options, so they may stand before or after it.
CLI::App* add_verb(CLI::App& parent, const char* name, const char* description) {
  auto* verb = parent.add_subcommand(name, description);
  verb->fallthrough();
  return verb;
}

void declare_up(CLI::App& app, CommandLine& line) {
  auto* up = add_verb(app, "up", "Run a node until Ctrl-C");
  UpOptions& to = line.up;
  up->add_option("--data", to.data,
                 "Where the node keeps its data [/var/lib/millrace for root, else "
                 "~/.local/share/millrace]")
      ->type_name("DIR");
  up->add_flag("--memory-only", to.memory_only, "Keep nothing on disk");
  up->add_option("--config", to.config, "Settings in TOML; flags win over it")->type_name("FILE");
  up->add_option("--bind", to.bind, "IPv4 address of the native UDP port [127.0.0.1]")
      ->type_name("ADDRESS");
  up->add_option("--port", to.ports,
                 "A way in, instead of the native UDP port; repeatable: udp:ADDRESS:PORT, "
                 "memif:..., af_xdp:...")
      ->allow_extra_args(false)
      ->type_name("SPEC");
  up->add_option("--listen", to.listeners,
                 "A UDP port whose datagrams fill a topic; repeatable: 514=syslog[,framing="
                 "datagram|lines][,key=none|source|bytes:OFFSET:LENGTH][,partitions=N]")
      ->allow_extra_args(false)
      ->type_name("SPEC");
  up->add_option("--profile", to.profile, "laptop (sleeps when idle) or dedicated (never sleeps)")
      ->type_name("NAME");
  up->add_option("--cores", to.cores, "Processors to pin the data plane to, as in 0,1")
      ->type_name("LIST");
  up->add_option("--journal-size", to.journal_size, "Disk the journal takes, as in 1GiB")
      ->type_name("SIZE");
  up->add_option("--data-max", to.data_max,
                 "What segments may take; beyond it the oldest records go, as in 1TiB [no limit]");
  up->add_option("--disk-reserve", to.disk_reserve,
                 "Kept free on the disk: below it appends are refused, as in 10GiB [a twentieth]");
  up->add_option("--scrub-rate", to.scrub_rate,
                 "How much of the segments is read again each second to find what the disk has "
                 "lost, as in 8MiB; 0B: none [8MiB]");
  up->add_option("--tail-size", to.tail_size, "Memory for the newest bytes, as in 32MiB")
      ->type_name("SIZE");
  up->add_option("--max-sessions", to.max_sessions,
                 "Native clients on each core, 19 KiB of memory each [1024]")
      ->check(CLI::Range(1, control::sessions_limit));
  up->add_option("--programs", to.programs, "Where millraced and millrace-control are")
      ->type_name("DIR");
  up->callback([&line] { line.run = [&line] { return run_up(line.up, line.globals); }; });
}

void declare_retention(CLI::App& verb, TopicCreateOptions& to) {
  verb.add_option("--retention", to.retention,
                  "How long records are kept, as in 7d, or unlimited [unlimited]");
  verb.add_option("--retention-size", to.retention_size,
                  "How much of each partition is kept, as in 10GiB, or unlimited [unlimited]");
  verb.add_option("--compact", to.compact,
                  "Keep only the last record of each key, and one without a value (which deletes "
                  "its key) for this long, as in 24h, or off [off]");
}

void declare_topic(CLI::App& app, CommandLine& line) {
  auto* topic = add_verb(app, "topic", "Create, alter, list, describe, trim and delete topics");
  topic->require_subcommand(1);

  auto* create = add_verb(*topic, "create", "Create a topic");
  create->add_option("NAME", line.topic_create.name, "1 to 249 of a-z A-Z 0-9 . _ -")->required();
  create->add_option("--partitions,-p", line.topic_create.partitions, "How many [1]")
      ->check(CLI::Range(1U, control::partitions_per_topic_max))
      ->type_name("N");
  create
      ->add_option("--durability", line.topic_create.durability,
                   "What an acknowledgement means by default: durable or memory [durable]")
      ->check(CLI::IsMember({"durable", "memory"}).description(""))
      ->type_name("NAME");
  declare_retention(*create, line.topic_create);
  create->add_flag("--if-not-exists", line.topic_create.if_not_exists,
                   "An existing topic is no error");
  create->callback([&line] {
    line.run = [&line] { return run_topic_create(line.topic_create, line.globals); };
  });

  auto* alter = add_verb(*topic, "alter", "Change how long and what of a topic is kept");
  alter->add_option("NAME", line.topic_create.name)->required();
  declare_retention(*alter, line.topic_create);
  alter->callback(
      [&line] { line.run = [&line] { return run_topic_alter(line.topic_create, line.globals); }; });

  auto* trim = add_verb(*topic, "trim", "Delete the oldest records of a partition");
  trim->add_option("NAME", line.topic_trim.name)->required();
  trim->add_option("--partition", line.topic_trim.partition, "Which one [0]")
      ->check(CLI::Range(0U, control::partitions_per_topic_max - 1));
  trim->add_option("--before", line.topic_trim.before, "The first offset to keep")
      ->required()
      ->check(CLI::NonNegativeNumber);
  trim->callback(
      [&line] { line.run = [&line] { return run_topic_trim(line.topic_trim, line.globals); }; });

  auto* list = add_verb(*topic, "list", "List all topics");
  list->callback([&line] { line.run = [&line] { return run_topic_list(line.globals); }; });

  auto* describe = add_verb(*topic, "describe", "Show a topic and the offsets of its partitions");
  describe->add_option("NAME", line.topic_name.name)->required();
  describe->callback([&line] {
    line.run = [&line] { return run_topic_describe(line.topic_name, line.globals); };
  });

  auto* remove = add_verb(*topic, "delete", "Delete a topic and all its records");
  remove->add_option("NAME", line.topic_name.name)->required();
  remove->callback(
      [&line] { line.run = [&line] { return run_topic_delete(line.topic_name, line.globals); }; });
}

void declare_status(CLI::App& app, CommandLine& line) {
  auto* status = add_verb(app, "status", "Show ports, the packet ledger and durability");
  status->callback([&line] { line.run = [&line] { return run_status(line.globals); }; });
}

void declare_wait(CLI::App& app, CommandLine& line) {
  auto* wait = add_verb(app, "wait", "Return when the node is ready");
  wait->add_option("--timeout", line.wait.timeout, "How long at most, as in 30s [30s]")
      ->type_name("TIME");
  wait->callback([&line] { line.run = [&line] { return run_wait(line.wait, line.globals); }; });
}

void declare_produce(CLI::App& app, CommandLine& line) {
  auto* produce =
      add_verb(app, "produce", "Send records to a topic: one per line of standard input");
  ProduceOptions& to = line.produce;
  produce->add_option("TOPIC", to.topic, "Made when it does not exist")->required();
  produce
      ->add_option("--ack", to.ack,
                   "When a record counts as sent: memory, replicated or durable [durable]")
      ->check(CLI::IsMember({"memory", "replicated", "durable"}).description(""))
      ->type_name("LEVEL");
  produce
      ->add_option("--key-delimiter", to.key_delimiter,
                   "What stands between key and value of a line")
      ->type_name("TEXT");
  produce->add_flag("--tombstones", to.tombstones,
                    "A key with nothing behind it is a record without a value, which deletes the "
                    "key where a topic is compacted");
  produce->add_option("--file", to.file, "Send this whole file as one record")->type_name("FILE");
  produce->add_option("--partition", to.partition, "Instead of by key or in turn")
      ->check(CLI::Range(0, 9999))
      ->type_name("N");
  produce
      ->add_option("--producer-id", to.producer_id,
                   "Of this program over restarts, so that a repeat is known as one [random]")
      ->check(CLI::NonNegativeNumber)
      ->type_name("ID");
  produce->add_option("--timeout", to.timeout, "For a record to be acknowledged [30s]")
      ->type_name("TIME");
  produce->add_flag("--no-create", to.no_create, "An unknown topic is an error");
  produce->add_option("--address", to.address, "Of the node: IP:PORT, or memif:...")
      ->type_name("ADDRESS");
  produce->callback(
      [&line] { line.run = [&line] { return run_produce(line.produce, line.globals); }; });
}

void declare_consume(CLI::App& app, CommandLine& line) {
  auto* consume = add_verb(app, "consume", "Print a topic's records, a line each");
  ConsumeOptions& to = line.consume;
  consume->add_option("TOPIC", to.topic)->required();
  consume
      ->add_option("--from", to.from,
                   "earliest, latest, an offset, a time as 2026-11-22T17:30:00Z, or @MS [latest]")
      ->type_name("WHERE");
  consume->add_option("--count", to.count, "Stop after so many records")->type_name("N");
  consume->add_flag("--exit-at-end", to.exit_at_end, "Stop where the log ended at the start");
  consume->add_option("--partition", to.partition, "Only this one")
      ->check(CLI::Range(0, 9999))
      ->type_name("N");
  consume
      ->add_option("--key-delimiter", to.key_delimiter, "Print the key and this before the value")
      ->type_name("TEXT");
  consume->add_option("--timeout", to.timeout, "Give up after so long without a record, as in 10s")
      ->type_name("TIME");
  consume->add_option("--address", to.address, "Of the node: IP:PORT, or memif:...")
      ->type_name("ADDRESS");
  consume->callback(
      [&line] { line.run = [&line] { return run_consume(line.consume, line.globals); }; });
}

void declare_bench(CLI::App& app, CommandLine& line) {
  auto* bench = app.add_subcommand(
      "bench", "Measure: rtt, throughput or floor; 'millrace bench --help' tells more");
  bench->prefix_command();
  bench->set_help_flag();
  bench->callback([&line, bench] {
    line.bench = bench->remaining();
    line.run = [&line] { return run_bench(line.bench, line.globals); };
  });
}

void declare_log(CLI::App& app, CommandLine& line) {
  auto* log =
      app.add_subcommand("log", "Of a node that is down: verify, repair or salvage its data");
  log->prefix_command();
  log->set_help_flag();
  log->callback([&line, log] {
    line.log = log->remaining();
    line.run = [&line] { return run_log(line.log, line.globals); };
  });
}

int parse_and_run(int argc, char** argv) {
  CommandLine line;
  line.globals.program = argv[0];
  CLI::App app("Millrace: durable, ordered logs reached by kernel-bypass UDP", "millrace");
  app.set_version_flag("--version", std::string("millrace ") + MILLRACE_VERSION);
  app.require_subcommand(1);
  app.failure_message([](const CLI::App* from, const CLI::Error& error) {
    const auto unknown = from->remaining();
    const std::string what =
        unknown.empty() ? error.what() : "unknown command or option: " + unknown.front();
    return "millrace: error: " + what + "; see 'millrace --help'\n";
  });
  declare_globals(app, line);
  declare_up(app, line);
  declare_topic(app, line);
  declare_status(app, line);
  declare_wait(app, line);
  declare_produce(app, line);
  declare_consume(app, line);
  declare_bench(app, line);
  declare_log(app, line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, std::cout, std::cerr) == 0 ? exit_ok : exit_usage;
  }
  line.globals.has_port_offset = app.count("--port-offset") > 0;
  return line.run();
}

}  // namespace
}  // namespace millrace::cli

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  return millrace::cli::parse_and_run(argc, argv);
}

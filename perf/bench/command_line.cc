// CommandLine: see command_line.h.
#include "perf/bench/command_line.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <map>
#include <string>

namespace millrace::bench {
namespace {

constexpr std::uint32_t record_bytes_max = 1024 * 1024 - 256;

template <typename T>
void add_choice(CLI::App& app, const std::string& flag, T& to, std::map<std::string, T> names,
                const std::string& description) {
  app.add_option(flag, to, description)
      ->transform(CLI::CheckedTransformer(std::move(names)).description(""))
      ->type_name("NAME");
}

void add_common(CLI::App& verb, BenchOptions& to) {
  verb.add_option("--size", to.size_bytes, "Bytes of a record's value [128]")
      ->check(CLI::Range(1U, record_bytes_max))
      ->type_name("N");
  verb.add_option("--count", to.count, "In all rounds together [enough for a second or more]")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 40))
      ->type_name("N");
  verb.add_option("--rounds", to.rounds, "Rounds that are counted; one more goes before [5]")
      ->check(CLI::Range(1, 1000))
      ->type_name("N");
  verb.add_option("--client-cpu", to.client_cpu, "Processor of this side; -2: not pinned")
      ->check(CLI::Range(-2, 4095))
      ->type_name("CPU");
  verb.add_option("--node-cpu", to.node_cpu, "Processor of the other side; -2: not pinned")
      ->check(CLI::Range(-2, 4095))
      ->type_name("CPU");
  verb.add_option("--memif-options", to.memif_options,
                  "Of the memif of --self and the floor, as in bsize=9216,mtu=9000")
      ->type_name("LIST");
  verb.add_option("--write-bytes", to.write_bytes, "Of the disk floor's large writes [1048576]")
      ->check(CLI::Range(4096U, 64U << 20))
      ->type_name("N");
  verb.add_option("--port-offset", to.port_offset, "Which running node")
      ->envname("MILLRACE_PORT_OFFSET")
      ->check(CLI::Range(0, 50'000))
      ->type_name("N");
  verb.add_option_function<std::string>(
          "-o,--output", [&to](const std::string& format) { to.json = format == "json"; },
          "table or json")
      ->check(CLI::IsMember({"table", "json"}).description(""))
      ->type_name("FORMAT");
}

void add_node(CLI::App& verb, BenchOptions& to) {
  add_choice(verb, "--path", to.path, {{"memif", Path::memif}, {"udp", Path::udp}},
             "memif or udp [udp]");
  add_choice(verb, "--ack", to.ack, {{"memory", Ack::memory}, {"durable", Ack::durable}},
             "memory or durable [durable]");
  verb.add_flag("--self", to.self, "Start a node for this run and stop it afterwards");
  verb.add_flag("--with-floor", to.with_floor,
                "Take turns with what the machine itself can do, and print the ratio");
  verb.add_flag("--memory-only", to.memory_only, "With --self: a node that keeps nothing on disk");
  verb.add_flag("--laptop", to.laptop, "With --self: a node that sleeps when idle");
  verb.add_option("--address", to.address, "Of a running node: IP:PORT, or memif:socket=PATH")
      ->type_name("ADDRESS");
}

void declare_floor(CLI::App& app, BenchOptions& to) {
  auto* floor = app.add_subcommand("floor", "What this machine itself can do");
  floor
      ->add_option_function<std::string>(
          "--of",
          [&to](const std::string& of) {
            for (const auto one : {FloorOf::ring, FloorOf::memif, FloorOf::udp, FloorOf::disk}) {
              if (of == name(one)) to.floor_of = one;
            }
          },
          "ring, memif, udp: there and back; disk: a durable write")
      ->check(CLI::IsMember({"ring", "memif", "udp", "disk"}).description(""))
      ->required()
      ->type_name("WHAT");
  add_common(*floor, to);
  floor->callback([&to] { to.verb = Verb::floor; });
}

void declare_rtt(CLI::App& app, BenchOptions& to) {
  auto* rtt = app.add_subcommand(
      "rtt", "From a record's offer to its acknowledgement, one record at a time");
  add_node(*rtt, to);
  add_common(*rtt, to);
  rtt->callback([&to] { to.verb = Verb::rtt; });
}

void declare_throughput(CLI::App& app, BenchOptions& to) {
  auto* throughput =
      app.add_subcommand("throughput", "Records as fast as their acknowledgements allow");
  add_node(*throughput, to);
  add_common(*throughput, to);
  throughput->add_option("--partitions", to.partitions, "Of the topic; batches go in turn [1]")
      ->check(CLI::Range(1U, 10'000U))
      ->type_name("N");
  throughput->add_option("--batch-bytes", to.batch_bytes, "Of a batch; 0: one packet [0]")
      ->check(CLI::Range(0U, 1024U * 1024U))
      ->type_name("N");
  throughput->add_flag("--sorted", to.sorted,
                       "With --self: a node that sorts its journal all the time takes turns with "
                       "one that never does");
  throughput->add_option("--rate", to.rate, "Records a second; 0: as many as are acknowledged [0]")
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{1'000'000'000}))
      ->type_name("N");
  throughput
      ->add_option("--cold-readers", to.cold_readers,
                   "With --self and --rate: so many readers of the past in every other round")
      ->check(CLI::Range(1U, 64U))
      ->type_name("N");
  throughput->add_option("--bytes", to.bytes, "Of the past that --cold-readers read [4 GiB]")
      ->check(CLI::Range(std::uint64_t{1} << 26, std::uint64_t{1} << 40))
      ->type_name("N");
  throughput->callback([&to] { to.verb = Verb::throughput; });
}

void declare_at_rest(CLI::App& app, BenchOptions& to) {
  const auto declare = [&](const char* name, const char* description, Verb which) {
    auto* verb = app.add_subcommand(name, description);
    verb->add_option("--bytes", to.bytes, "At rest [4 GiB, 2 GiB or 100 GiB, as suits]")
        ->check(CLI::Range(std::uint64_t{1} << 26, std::uint64_t{1} << 44))
        ->type_name("N");
    verb->add_option("--rounds", to.rounds, "Rounds that are counted; one more goes before [5]")
        ->check(CLI::Range(1, 1000))
        ->type_name("N");
    verb->add_option_function<std::string>(
            "-o,--output", [&to](const std::string& format) { to.json = format == "json"; },
            "table or json")
        ->check(CLI::IsMember({"table", "json"}).description(""))
        ->type_name("FORMAT");
    verb->callback([&to, which] { to.verb = which; });
    return verb;
  };
  declare("recovery", "Start on a full journal, beside bare reads of its files", Verb::recovery);
  declare("cold-read", "Read a partition from its segments, beside bare reads of their files",
          Verb::cold_read);
  auto* start = declare("start", "Start with much in segments (holes take no disk)", Verb::start);
  start->add_option("--partitions", to.partitions, "That hold it [10000]")
      ->check(CLI::Range(1U, 32'768U))
      ->type_name("N");
}

// The other end of a floor; what EchoProcess starts.
void declare_echo(CLI::App& app, BenchOptions& to) {
  auto* echo = app.add_subcommand("echo", "");
  echo->group("");
  add_choice(*echo, "--path", to.path, {{"memif", Path::memif}, {"udp", Path::udp}}, "");
  echo->add_option("--socket", to.echo_socket);
  echo->add_option("--memif-options", to.memif_options);
  echo->add_option("--node-cpu", to.node_cpu);
  echo->callback([&to] { to.verb = Verb::echo; });
}

}  // namespace

int parse_command_line(int argc, const char* const* argv, BenchOptions& options) {
  CLI::App app("Measures a node, beside what the machine itself can do", "millrace bench");
  app.require_subcommand(1);
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return std::string("millrace: error: ") + error.what() + "; see 'millrace bench --help'\n";
  });
  declare_floor(app, options);
  declare_rtt(app, options);
  declare_throughput(app, options);
  declare_at_rest(app, options);
  declare_echo(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, std::cout, std::cerr) == 0 ? exit_ok : exit_usage;
  }
  return -1;
}

}  // namespace millrace::bench

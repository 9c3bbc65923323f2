// Echo: see echo.h.
#include "perf/bench/echo.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <immintrin.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "dataplane/port/eth_device.h"
#include "dataplane/port/kernel_udp_port.h"
#include "perf/bench/cpus.h"
#include "perf/bench/frame_floor.h"
#include "perf/bench/interrupt.h"

namespace millrace::bench {

using base::Error;
using base::ErrorCode;

namespace {

constexpr std::uint32_t mac_bytes = 6;

void say_ready(std::uint16_t udp_port) {
  fmt::print("ready {}\n", udp_port);
  std::fflush(stdout);
}

// The received buffer itself is sent back, as a NIC's own reflector would: nothing is copied.
void echo_ethernet(port::Port& port) {
  std::array<port::RxFrame, port::burst_max> received;
  std::array<port::TxFrame, port::burst_max> sent;
  while (!interrupted()) {
    const std::uint32_t count = port.receive_frames(received);
    for (std::uint32_t i = 0; i < count; ++i) {
      std::byte* data = received[i].data;
      std::swap_ranges(data, data + mac_bytes, data + mac_bytes);
      sent[i] = {};
      sent[i].data = data;
      sent[i].capacity = sent[i].bytes = received[i].bytes;
      sent[i].cookie = received[i].cookie;
    }
    if (count > 0) {
      port.send_frames(std::span(sent).first(count));
    } else {
      _mm_pause();
    }
  }
}

void echo_datagrams(port::Port& port) {
  std::array<port::RxFrame, port::burst_max> received;
  std::array<port::TxFrame, port::burst_max> sent;
  while (!interrupted()) {
    const std::uint32_t count = port.receive_frames(received);
    if (count == 0) {
      _mm_pause();
      continue;
    }
    const std::uint32_t room = port.allocate_frames(std::span(sent).first(count));
    for (std::uint32_t i = 0; i < room; ++i) {
      std::copy_n(received[i].data, received[i].bytes, sent[i].data);
      sent[i].bytes = received[i].bytes;
      sent[i].to = received[i].peer;
    }
    port.release_frames(std::span(received).first(count));
    port.send_frames(std::span(sent).first(room));
  }
}

base::Result<void> echo_memif(const BenchOptions& options) {
  const auto spec =
      port::parse_port_spec(memif_spec(options.echo_socket, "server", "", options.memif_options));
  if (!spec) return spec.error();
  auto env = port::DpdkEnv::start({});
  if (!env) return env.error();
  auto device = port::EthDevice::open(**env, *spec);
  if (!device) return device.error();
  pin_to(options.node_cpu);
  say_ready(0);
  echo_ethernet((*device)->port());
  return {};
}

base::Result<void> echo_udp(const BenchOptions& options) {
  pin_to(options.node_cpu);
  auto uring = base::Uring::create(uring_entries);
  if (!uring) return uring.error();
  port::KernelUdpOptions udp;
  udp.ipv4 = loopback_ipv4;
  udp.local_ports = {0};
  udp.payload_bytes_max = loopback_payload_bytes;
  auto port = port::KernelUdpPort::create(**uring, udp);
  if (!port) return port.error();
  say_ready((*port)->local_port());
  echo_datagrams(**port);
  return {};
}

[[noreturn]] void become_echo(char* const* argv, int output, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  setpgid(0, 0);  // Ctrl-C is for the parent, which ends this one
  dup2(output, STDOUT_FILENO);
  execv("/proc/self/exe", argv);
  _exit(127);
}

// The port from the line "ready PORT".
base::Result<std::uint16_t> read_ready(int fd) {
  std::string line;
  char c = 0;
  while (read(fd, &c, 1) == 1 && c != '\n') line += c;
  unsigned port = 0;
  if (std::sscanf(line.c_str(), "ready %u", &port) == 1) return static_cast<std::uint16_t>(port);
  return Error(ErrorCode::unavailable, "the echo process did not start; it says why above");
}

}  // namespace

std::string memif_spec(const std::string& socket, const char* role, const std::string& ip,
                       const std::string& memif_options) {
  std::string spec = fmt::format("memif:socket={},role={}", socket, role);
  if (!ip.empty()) spec += ",ip=" + ip;
  if (!memif_options.empty()) spec += "," + memif_options;
  return spec;
}

base::Result<void> run_echo(const BenchOptions& options) {
  return options.path == Path::memif ? echo_memif(options) : echo_udp(options);
}

base::Result<std::unique_ptr<EchoProcess>> EchoProcess::start(Path path, const std::string& socket,
                                                              const std::string& memif_options,
                                                              int cpu) {
  std::vector<std::string> words = {"millrace-bench", "echo",       "--path",
                                    name(path),       "--node-cpu", fmt::format("{}", cpu)};
  if (path == Path::memif) words.insert(words.end(), {"--socket", socket});
  if (!memif_options.empty()) words.insert(words.end(), {"--memif-options", memif_options});
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    return Error(ErrorCode::no_space, "cannot make a pipe: {}", std::strerror(errno));
  }
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) become_echo(argv.data(), ends[1], parent);
  close(ends[1]);
  if (pid < 0) {
    close(ends[0]);
    return Error(ErrorCode::no_space, "cannot fork: {}", std::strerror(errno));
  }
  std::unique_ptr<EchoProcess> process(new EchoProcess(pid));
  const auto port = read_ready(ends[0]);
  close(ends[0]);
  if (!port) return port.error();
  process->udp_port_ = *port;
  return process;
}

EchoProcess::~EchoProcess() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void EchoProcess::pause() { kill(pid_, SIGSTOP); }
void EchoProcess::resume() { kill(pid_, SIGCONT); }

}  // namespace millrace::bench

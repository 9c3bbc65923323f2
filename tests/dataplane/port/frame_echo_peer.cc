// frame_echo_peer SPEC: a process with one DPDK port that sends back every frame it gets, until it
// is killed. The other end of the port tests.
#include <cstdio>
#include <cstring>

#include "dataplane/port/eth_device.h"

using namespace millrace;

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const auto spec = port::parse_port_spec(argv[1]);
  auto env = port::DpdkEnv::start({.huge_pages = port::HugePages::never, .memory_mib = 64});
  if (!spec || !env) return 1;
  auto device = port::EthDevice::open(**env, *spec);
  if (!device) {
    const auto message = device.error().message();
    std::fprintf(stderr, "%.*s\n", static_cast<int>(message.size()), message.data());
    return 1;
  }
  port::DpdkPort& port = (*device)->port();
  while (true) {
    std::array<port::RxFrame, port::burst_max> in;
    std::array<port::TxFrame, port::burst_max> out;
    const auto got = port.receive_frames(in);
    const auto room = port.allocate_frames({out.data(), got});
    for (std::uint32_t i = 0; i < room; ++i) {
      std::memcpy(out[i].data, in[i].data, in[i].bytes);
      out[i].bytes = in[i].bytes;
    }
    port.send_frames({out.data(), room});
    port.release_frames({in.data(), got});
  }
}

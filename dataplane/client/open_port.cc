#include "dataplane/client/open_port.h"

#include <sys/random.h>

#include "dataplane/base/check.h"
#include "dataplane/port/dpdk_env.h"
#include "dataplane/port/port_spec.h"

namespace millrace::client {

namespace {

constexpr std::uint32_t uring_entries = 256;
constexpr std::uint32_t completions_max = 256;
// Loopback carries packets of this size as well as small ones, and fewer are needed.
constexpr std::uint32_t loopback_payload_bytes = 8952;
constexpr std::uint32_t loopback_net = 127;
// IANA's range for ports that are nobody's; on a device of our own we choose ourselves.
constexpr std::uint16_t dynamic_port_first = 49152;

std::uint16_t random_port() {
  std::uint16_t random = 0;
  CHECK(getrandom(&random, sizeof random, 0) == sizeof random);
  return static_cast<std::uint16_t>(dynamic_port_first + random % (65536 - dynamic_port_first));
}

}  // namespace

base::Result<OpenPort> OpenPort::open(const Address& address, std::uint32_t packet_buffers) {
  OpenPort opened;
  if (address.port_spec.empty()) {
    auto uring = base::Uring::create(uring_entries);
    if (!uring) return uring.error();
    opened.uring_ = std::move(*uring);
    port::KernelUdpOptions options;
    options.local_ports = {0};
    options.connect_to = address.server;
    if (packet_buffers != 0) options.rx_frames = options.tx_frames = packet_buffers;
    if (address.server.ipv4 >> 24 == loopback_net)
      options.payload_bytes_max = loopback_payload_bytes;
    auto port = port::KernelUdpPort::create(*opened.uring_, options);
    if (!port) return port.error();
    opened.kernel_ = std::move(*port);
    opened.local_port_ = opened.kernel_->local_port();
    return opened;
  }
  const auto spec = port::parse_port_spec(address.port_spec);
  if (!spec) return spec.error();
  port::DpdkEnvOptions env_options;
  if (!spec->pci_address.empty()) env_options.pci_addresses = {spec->pci_address};
  const auto env = port::DpdkEnv::start(env_options);
  if (!env) return env.error();
  auto device = port::EthDevice::open(**env, *spec);
  if (!device) return device.error();
  opened.device_ = std::move(*device);
  opened.local_port_ = random_port();
  return opened;
}

port::Port& OpenPort::port() const {
  if (kernel_ != nullptr) return *kernel_;
  return device_->port();
}

bool OpenPort::wait(std::uint64_t timeout_ns) {
  if (uring_ == nullptr) return false;
  uring_->wait(timeout_ns, completions_max);
  return true;
}

}  // namespace millrace::client

#include "dataplane/port/eth_device.h"

#include <fmt/format.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <rte_alarm.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>

#include "dataplane/base/check.h"
#include "dataplane/base/units.h"

namespace millrace::port {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::uint32_t ethernet_bytes = 14;
constexpr std::uint32_t vlan_bytes = 4;
constexpr std::uint32_t ip_udp_bytes = 28;
constexpr std::uint32_t mtu_default = 1500;
constexpr std::uint64_t reconnect_us = 100'000;
constexpr int greeting_wait_ms = 1000;
constexpr std::uint32_t memif_ring_log2 = 10;
constexpr std::uint16_t memif_ring_frames = 1 << memif_ring_log2;
constexpr std::uint16_t xdp_ring_frames = 2048;  // net_af_xdp's fill ring, fixed
constexpr std::uint32_t pool_cache_frames = 256;

// Clients whose server may come and go; the interrupt thread looks through them.
struct Reconnecting {
  std::mutex mutex;
  std::vector<EthDevice*> devices;
};
Reconnecting& reconnecting() {
  static Reconnecting* const instance = new Reconnecting;
  return *instance;
}

// 02: locally administered. From the address, so that a restarted node is found where it was.
std::array<std::uint8_t, 6> mac_of(const PortSpec& spec) {
  if (spec.mac) return *spec.mac;
  return {0x02,
          0x4d,
          static_cast<std::uint8_t>(spec.ipv4 >> 24),
          static_cast<std::uint8_t>(spec.ipv4 >> 16),
          static_cast<std::uint8_t>(spec.ipv4 >> 8),
          static_cast<std::uint8_t>(spec.ipv4)};
}

std::string format_mac(const std::array<std::uint8_t, 6>& mac) {
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", mac[0], mac[1], mac[2], mac[3],
                     mac[4], mac[5]);
}

// By the driver's own word, as 'ethtool -i' shows it.
bool is_veth(const std::string& interface) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  ethtool_drvinfo information{};
  information.cmd = ETHTOOL_GDRVINFO;
  ifreq request{};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&information);
  const bool veth =
      ioctl(fd, SIOCETHTOOL, &request) == 0 && std::strcmp(information.driver, "veth") == 0;
  close(fd);
  return veth;
}

// A server that was killed leaves its socket's file, and bind(2) then fails. One that nobody
// listens on is removed; one that answers is another server's.
Result<void> clear_stale_socket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0) return Error(ErrorCode::no_space, "memif socket: {}", std::strerror(errno));
  const int status = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int cause = status == 0 ? 0 : errno;
  // A DPDK server whose greeting finds nobody may panic: hear it out before leaving.
  pollfd greeting{.fd = fd, .events = POLLIN, .revents = 0};
  if (status == 0) poll(&greeting, 1, greeting_wait_ms);
  close(fd);
  if (cause == ENOENT) return {};
  if (cause == ECONNREFUSED && unlink(path.c_str()) == 0) return {};
  return Error(ErrorCode::already_exists,
               "memif socket {} is in use ({}); another server has it, or it is no memif socket: "
               "choose another path",
               path, cause == 0 ? "it answers" : std::strerror(cause));
}

}  // namespace

Result<std::unique_ptr<EthDevice>> EthDevice::open(DpdkEnv&, const PortSpec& spec,
                                                   const HostView& host) {
  std::unique_ptr<EthDevice> device(new EthDevice(spec));
  const std::uint64_t locked_bytes =
      std::uint64_t{spec.queue_count} * 4 * xdp_ring_frames * (device->frame_bytes_max() + 512);
  if (auto checked = check_port(host, spec, locked_bytes); !checked) return checked.error();
  if (auto probed = device->probe(); !probed) return probed.error();
  if (auto configured = device->configure(); !configured) return configured.error();
  if (auto queues = device->set_up_queues(); !queues) return queues.error();
  if (auto ports = device->make_ports(); !ports) return ports.error();
  if (auto started = device->start(); !started) return started.error();
  return device;
}

std::string EthDevice::device_arguments() const {
  switch (spec_.kind) {
    case DeviceKind::memif:
      return fmt::format("role={},id={},bsize={},rsize={},socket={},socket-abstract=no,mac={}",
                         spec_.role == MemifRole::server ? "server" : "client", spec_.memif_id,
                         spec_.buffer_bytes, memif_ring_log2, spec_.socket_path,
                         format_mac(mac_of(spec_)));
    case DeviceKind::af_xdp:
      return fmt::format("iface={},start_queue=0,queue_count={}", spec_.interface,
                         spec_.queue_count);
    case DeviceKind::tap:
      return fmt::format("iface={},mac={}", spec_.interface, format_mac(mac_of(spec_)));
    case DeviceKind::pcap:
      return spec_.tx_file.empty()
                 ? fmt::format("rx_pcap={}", spec_.rx_file)
                 : fmt::format("rx_pcap={},tx_pcap={}", spec_.rx_file, spec_.tx_file);
    case DeviceKind::pci:
    case DeviceKind::null:
      break;
  }
  return "";
}

std::string EthDevice::device_path() const {
  switch (spec_.kind) {
    case DeviceKind::memif:
      return fmt::format("dpdk {} (socket {})", driver_, spec_.socket_path);
    case DeviceKind::af_xdp:
    case DeviceKind::tap:
      return fmt::format("dpdk {} (interface {})", driver_, spec_.interface);
    case DeviceKind::pcap:
      return fmt::format("dpdk {} (file {})", driver_, spec_.rx_file);
    case DeviceKind::pci:
      return fmt::format("dpdk {} (pci {})", driver_, spec_.pci_address);
    case DeviceKind::null:
      break;
  }
  return fmt::format("dpdk {}", driver_);
}

Result<void> EthDevice::probe() {
  if (is_memif() && spec_.role == MemifRole::server) {
    if (auto cleared = clear_stale_socket(spec_.socket_path); !cleared) return cleared;
  }
  static std::uint32_t sequence = 0;  // devices are opened by one thread
  const bool is_pci = spec_.kind == DeviceKind::pci;
  name_ = is_pci ? spec_.pci_address : fmt::format("{}{}", driver_name(spec_.kind), sequence++);
  int status = 0;
  if (!is_pci || rte_eth_dev_get_port_by_name(name_.c_str(), &device_) != 0) {
    status =
        rte_eal_hotplug_add(is_pci ? "pci" : "vdev", name_.c_str(), device_arguments().c_str());
  }
  if (status == 0) status = rte_eth_dev_get_port_by_name(name_.c_str(), &device_);
  if (status != 0) {
    return Error(ErrorCode::unavailable,
                 "{}: DPDK could not make the device: {}; DPDK's own lines above say more", name_,
                 std::strerror(-status));
  }
  probed_ = true;
  return {};
}

// The biggest Ethernet frame that must fit one buffer.
std::uint32_t EthDevice::frame_bytes_max() const {
  const std::uint32_t mtu = std::max(spec_.mtu, mtu_default);
  const std::uint32_t bytes = mtu + ethernet_bytes + vlan_bytes;
  return is_memif() ? std::max(bytes, spec_.buffer_bytes) : std::max(bytes, 2048U);
}

Result<void> EthDevice::configure() {
  rte_eth_dev_info info{};
  int status = rte_eth_dev_info_get(device_, &info);
  if (status != 0) return Error(ErrorCode::io, "{}: {}", name_, std::strerror(-status));
  driver_ = info.driver_name;
  if (spec_.queue_count > info.max_rx_queues || spec_.queue_count > info.max_tx_queues) {
    return Error(ErrorCode::invalid_argument, "{}: queues={}: the device has {}", name_,
                 spec_.queue_count, std::min(info.max_rx_queues, info.max_tx_queues));
  }
  rte_eth_conf conf{};
  // memif has no MTU of its own: a frame is as large as the shared buffers.
  if (spec_.mtu != 0 && !is_memif()) {
    if (spec_.mtu > info.max_mtu) {
      return Error(ErrorCode::invalid_argument, "{}: mtu={}: the device carries at most {}", name_,
                   spec_.mtu, info.max_mtu);
    }
    conf.rxmode.mtu = spec_.mtu;
  }
  conf.rxmode.offloads =
      info.rx_offload_capa & (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM);
  // A queue's transmit frames come from one pool and are never shared.
  conf.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
  if (spec_.queue_count > 1) {
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf =
        info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP);
    if (conf.rx_adv_conf.rss_conf.rss_hf == 0) conf.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE;
  }
  status = rte_eth_dev_configure(device_, spec_.queue_count, spec_.queue_count, &conf);
  if (status != 0) {
    return Error(ErrorCode::invalid_argument, "{}: DPDK refuses the configuration: {}", name_,
                 std::strerror(-status));
  }
  if (spec_.kind == DeviceKind::af_xdp) rx_descriptors_ = tx_descriptors_ = xdp_ring_frames;
  rte_eth_dev_adjust_nb_rx_tx_desc(device_, &rx_descriptors_, &tx_descriptors_);
  if (is_memif()) rx_descriptors_ = tx_descriptors_ = memif_ring_frames;
  return {};
}

Result<void> EthDevice::set_up_queues() {
  const auto room_bytes =
      static_cast<std::uint16_t>(base::align_up(frame_bytes_max(), 64) + RTE_PKTMBUF_HEADROOM);
  // Every descriptor full, and as much again in hand: received and not released, allocated and not
  // sent, and in thread caches. 2^n - 1 uses the pool's ring best.
  const std::uint32_t frames =
      std::bit_ceil(2U * rx_descriptors_ + tx_descriptors_ + 4 * pool_cache_frames) - 1;
  for (std::uint16_t queue = 0; queue < spec_.queue_count; ++queue) {
    const std::string name = fmt::format("packets_{}_{}", device_, queue);
    rte_mempool* pool = rte_pktmbuf_pool_create(name.c_str(), frames, pool_cache_frames, 0,
                                                room_bytes, rte_eth_dev_socket_id(device_));
    if (pool == nullptr) {
      return Error(ErrorCode::no_space,
                   "{}: no room for {} packets of {} bytes ({} MiB): {}; give DPDK more memory",
                   name_, frames, room_bytes, frames * (room_bytes + 192ULL) / base::mib,
                   rte_strerror(rte_errno));
    }
    pools_.push_back(pool);
    const auto node = static_cast<unsigned>(rte_eth_dev_socket_id(device_));
    int status = rte_eth_rx_queue_setup(device_, queue, rx_descriptors_, node, nullptr, pool);
    if (status == 0) {
      status = rte_eth_tx_queue_setup(device_, queue, tx_descriptors_, node, nullptr);
    }
    if (status != 0) {
      return Error(ErrorCode::io, "{}: queue {}: {}", name_, queue, std::strerror(-status));
    }
  }
  return {};
}

Result<void> EthDevice::make_ports() {
  std::uint16_t device_mtu = mtu_default;
  rte_eth_dev_get_mtu(device_, &device_mtu);
  mtu_ = is_memif() ? spec_.buffer_bytes - ethernet_bytes : device_mtu;
  if (spec_.mtu != 0) mtu_ = std::min<std::uint32_t>(mtu_, spec_.mtu);
  mtu_ = std::min(mtu_, frame_bytes_max() - ethernet_bytes);
  rte_ether_addr mac{};
  if (const int status = rte_eth_macaddr_get(device_, &mac); status != 0) {
    return Error(ErrorCode::io, "{}: no MAC address: {}", name_, std::strerror(-status));
  }
  const bool never_on_a_wire = spec_.kind == DeviceKind::af_xdp && is_veth(spec_.interface);
  for (std::uint16_t queue = 0; queue < spec_.queue_count; ++queue) {
    DpdkPortOptions options;
    options.device = device_;
    options.queue = queue;
    options.pool = pools_[queue];
    options.path = device_path();
    if (spec_.queue_count > 1) options.path += fmt::format(" queue {}", queue);
    std::copy_n(mac.addr_bytes, 6, options.mac.begin());
    options.ipv4 = spec_.ipv4;
    options.payload_bytes_max = mtu_ - ip_udp_bytes;
    options.receive_descriptors = rx_descriptors_;
    options.checksum_never_needed = never_on_a_wire;
    ports_.push_back(std::make_unique<DpdkPort>(std::move(options)));
  }
  return {};
}

// A memif device's own handlers run on the interrupt thread, so there it is started too.
Result<void> EthDevice::start() {
  run_on_interrupt_thread([](void* at) { static_cast<EthDevice*>(at)->start_now(); }, this);
  if (started_) return {};
  if (!reconnects()) {
    return Error(ErrorCode::io, "{}: the device does not start: {}", name_,
                 std::strerror(-start_status_));
  }
  return {};
}

void EthDevice::start_now() {
  start_status_ = rte_eth_dev_start(device_);
  started_ = start_status_ == 0;
  for (auto& port : ports_) port->gate().set_running(started_);
  if (!reconnects()) return;
  const std::lock_guard lock(reconnecting().mutex);
  auto& devices = reconnecting().devices;
  if (std::find(devices.begin(), devices.end(), this) == devices.end()) devices.push_back(this);
  BurstGate::call_when_idle(&EthDevice::watch_links);
}

bool EthDevice::is_linked() const {
  rte_eth_link link{};
  return started_ && rte_eth_link_get_nowait(device_, &link) == 0 &&
         link.link_status == RTE_ETH_LINK_UP;
}

// Whatever woke the interrupt thread may have been a server that went away.
void EthDevice::watch_links() {
  const std::lock_guard lock(reconnecting().mutex);
  for (EthDevice* device : reconnecting().devices) {
    if (device->reconnect_set_ || device->is_linked()) continue;
    device->reconnect_set_ = rte_eal_alarm_set(reconnect_us, &EthDevice::on_alarm, device) == 0;
  }
}

void EthDevice::on_alarm(void* at) {
  auto* device = static_cast<EthDevice*>(at);
  device->reconnect_set_ = false;
  if (device->is_linked()) return;
  if (device->started_) rte_eth_dev_stop(device->device_);
  device->start_now();
}

void EthDevice::close_now() {
  for (auto& port : ports_) port->gate().set_running(false);
  rte_eal_alarm_cancel(&EthDevice::on_alarm, this);
  if (started_) rte_eth_dev_stop(device_);
  started_ = false;
  rte_eth_dev_close(device_);
}

EthDevice::~EthDevice() {
  if (probed_) {
    {
      const std::lock_guard lock(reconnecting().mutex);
      auto& devices = reconnecting().devices;
      devices.erase(std::remove(devices.begin(), devices.end(), this), devices.end());
    }
    run_on_interrupt_thread([](void* at) { static_cast<EthDevice*>(at)->close_now(); }, this);
    if (spec_.kind != DeviceKind::pci) rte_eal_hotplug_remove("vdev", name_.c_str());
  }
  for (rte_mempool* pool : pools_) rte_mempool_free(pool);
}

}  // namespace millrace::port

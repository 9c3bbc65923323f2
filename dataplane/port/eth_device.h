// EthDevice: one DPDK device, brought up from a PortSpec, with a DpdkPort for each of its queues.
// Core:  opened and closed by the thread that starts the process, while no core polls its ports.
// Owns:  the device, a packet pool per queue, the ports.
//
// A memif client whose server is not there (yet, or any more) opens all the same: it tries again
// ten times a second on EAL's interrupt thread, and its ports carry nothing meanwhile.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/port/dpdk_env.h"
#include "dataplane/port/dpdk_port.h"
#include "dataplane/port/port_spec.h"

namespace millrace::port {

class EthDevice {
 public:
  static base::Result<std::unique_ptr<EthDevice>> open(DpdkEnv& env, const PortSpec& spec,
                                                       const HostView& host = HostView());
  ~EthDevice();
  EthDevice(const EthDevice&) = delete;
  EthDevice& operator=(const EthDevice&) = delete;

  std::uint16_t queue_count() const { return static_cast<std::uint16_t>(ports_.size()); }
  DpdkPort& port(std::uint16_t queue = 0) { return *ports_[queue]; }
  const PortSpec& spec() const { return spec_; }

 private:
  explicit EthDevice(const PortSpec& spec) : spec_(spec) {}

  base::Result<void> probe();
  base::Result<void> configure();
  base::Result<void> set_up_queues();
  base::Result<void> make_ports();
  base::Result<void> start();
  std::string device_arguments() const;
  std::string device_path() const;
  std::uint32_t frame_bytes_max() const;
  bool is_memif() const { return spec_.kind == DeviceKind::memif; }
  bool reconnects() const { return is_memif() && spec_.role == MemifRole::client; }
  bool is_linked() const;

  // On the interrupt thread.
  void start_now();
  void close_now();
  static void on_alarm(void* device);  // tries to connect again
  static void watch_links();

  PortSpec spec_;
  std::string name_;          // DPDK's, of the device
  std::string driver_;        // "net_memif"
  std::uint16_t device_ = 0;  // DPDK's port id
  bool probed_ = false;
  bool started_ = false;
  bool reconnect_set_ = false;  // an alarm will try again
  int start_status_ = 0;
  std::uint32_t mtu_ = 0;
  std::uint16_t rx_descriptors_ = 1024;
  std::uint16_t tx_descriptors_ = 1024;
  std::vector<rte_mempool*> pools_;
  std::vector<std::unique_ptr<DpdkPort>> ports_;
};

}  // namespace millrace::port

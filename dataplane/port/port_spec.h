// PortSpec: what a port's configuration string says. Pure.
//
//   memif:socket=/run/millrace/memif.sock[,id=0][,role=server|client][,ip=A][,bsize=N][,mtu=N]
//   af_xdp:iface=veth0,ip=A[,mtu=N]
//   tap:name=millrace0,ip=A[,mtu=N]
//   pcap:rx=in.pcap[,tx=out.pcap],ip=A
//   pci:0000:00:05.0,ip=A[,mtu=N]
//   null:
// every kind also takes queues=N (one per core) and mac=xx:xx:xx:xx:xx:xx where the device lets it
// be chosen (memif, tap).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "dataplane/base/result.h"

namespace millrace::port {

enum class DeviceKind : std::uint8_t { memif, af_xdp, tap, pcap, pci, null };

std::string_view device_kind_name(DeviceKind kind);  // "memif", as in a spec
std::string_view driver_name(DeviceKind kind);       // "net_memif"; "pci" has one per card

enum class MemifRole : std::uint8_t { server, client };

struct PortSpec {
  DeviceKind kind = DeviceKind::null;
  std::uint32_t ipv4 = 0;  // ours on this port, host byte order
  std::uint32_t mtu = 0;   // IP packet bytes; 0 is the device's own
  std::uint16_t queue_count = 1;
  std::optional<std::array<std::uint8_t, 6>> mac = {};

  std::string socket_path = {};  // memif
  std::uint32_t memif_id = 0;
  MemifRole role = MemifRole::server;
  std::uint32_t buffer_bytes = 2048;  // memif: of a shared buffer, thus of the biggest frame

  std::string interface = {};    // af_xdp, tap
  std::string rx_file = {};      // pcap
  std::string tx_file = {};      // pcap
  std::string pci_address = {};  // pci
};

// Errors quote the word that is off and name what is allowed.
base::Result<PortSpec> parse_port_spec(std::string_view text);

// "192.168.77.1", in host byte order.
std::optional<std::uint32_t> parse_ipv4(std::string_view text);
std::string format_ipv4(std::uint32_t ipv4);

}  // namespace millrace::port

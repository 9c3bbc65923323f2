#include "dataplane/port/preflight.h"

#include <fmt/format.h>
#include <net/if.h>
#include <rte_build_config.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "dataplane/base/units.h"

namespace millrace::port {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
namespace fs = std::filesystem;

constexpr int cap_net_admin = 12;  // linux/capability.h
constexpr int cap_net_raw = 13;
constexpr int cap_ipc_lock = 14;
constexpr int cap_sys_admin = 21;
constexpr int cap_bpf = 39;

std::uint64_t parse_unsigned(std::string_view text, int radix = 10) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number, radix);
  return number;
}

// The words after `label` on its line.
std::string field_after(const std::string& text, std::string_view label) {
  const auto at = text.find(label);
  if (at == std::string::npos) return "";
  const auto from = text.find_first_not_of(" \t", at + label.size());
  return from == std::string::npos ? "" : text.substr(from, text.find('\n', from) - from);
}

bool has_capability(const HostView& host, int capability) {
  const auto status = host.read("/proc/self/status");
  if (!status) return false;
  return ((parse_unsigned(field_after(*status, "CapEff:"), 16) >> capability) & 1) != 0;
}

// The capabilities that a process has there count for the namespace only, not for BPF.
bool is_in_user_namespace(const HostView& host) {
  const auto map = host.read("/proc/self/uid_map");
  return map && map->find("4294967295") == std::string::npos;  // all ids: the host's own
}

Result<void> check_capability(const HostView& host, int capability, std::string_view name,
                              std::string_view purpose) {
  if (has_capability(host, capability)) return {};
  return Error(ErrorCode::permission,
               "{} needs {}; run as root, or 'setcap cap_net_admin,cap_net_raw,cap_bpf,"
               "cap_ipc_lock+ep' the program",
               purpose, name);
}

Result<void> check_driver(const HostView& host, DeviceKind kind) {
  if (kind == DeviceKind::pci) return {};  // which one the card needs, DPDK finds
  const std::string name(driver_name(kind));
  if (host.has_file(RTE_EAL_PMD_PATH, "librte_" + name + ".so")) return {};
  std::string package = "librte-" + name + "23";
  for (char& letter : package) {
    if (letter == '_') letter = '-';
  }
  return Error(ErrorCode::unavailable, "DPDK's {} driver is not in {}; 'apt install {}'", name,
               RTE_EAL_PMD_PATH, package);
}

Result<void> check_memif(const HostView& host, const PortSpec& spec) {
  constexpr std::size_t path_max = sizeof(sockaddr_un::sun_path) - 1;
  if (spec.socket_path.size() > path_max) {
    return Error(ErrorCode::invalid_argument,
                 "memif socket path of {} bytes: a Unix socket's path has at most {}; choose a "
                 "shorter directory",
                 spec.socket_path.size(), path_max);
  }
  std::string directory = fs::path(spec.socket_path).parent_path();
  if (directory.empty()) directory = ".";
  if (!host.is_directory(directory)) {
    return Error(ErrorCode::not_found, "memif socket {}: its directory is missing; 'mkdir -p {}'",
                 spec.socket_path, directory);
  }
  if (spec.role == MemifRole::server && !host.can_write(directory)) {
    return Error(ErrorCode::permission,
                 "memif socket {}: its directory is not writable; choose another or 'chown' it",
                 spec.socket_path);
  }
  return {};
}

Result<void> check_interface_name(std::string_view name) {
  if (name.size() < IFNAMSIZ) return {};
  return Error(ErrorCode::invalid_argument, "interface name '{}' is longer than {} letters", name,
               IFNAMSIZ - 1);
}

Result<void> check_af_xdp(const HostView& host, const PortSpec& spec, std::uint64_t locked_bytes) {
  if (auto name = check_interface_name(spec.interface); !name) return name;
  // Not /sys/class/net: that shows the namespace it was mounted in, not this thread's.
  const auto interfaces = host.read("/proc/thread-self/net/dev").value_or("");
  if (interfaces.find(" " + spec.interface + ":") == std::string::npos &&
      interfaces.find("\n" + spec.interface + ":") == std::string::npos) {
    return Error(ErrorCode::not_found,
                 "af_xdp: no interface '{}' in this network namespace; see 'ip link'",
                 spec.interface);
  }
  if (auto raw = check_capability(host, cap_net_raw, "CAP_NET_RAW", "af_xdp"); !raw) return raw;
  if (auto admin = check_capability(host, cap_net_admin, "CAP_NET_ADMIN", "af_xdp"); !admin) {
    return admin;
  }
  if (!has_capability(host, cap_sys_admin)) {
    if (auto bpf = check_capability(host, cap_bpf, "CAP_BPF", "af_xdp"); !bpf) return bpf;
  }
  if (is_in_user_namespace(host)) {
    return Error(ErrorCode::permission,
                 "af_xdp needs CAP_BPF on the host itself, and this is a user namespace (a "
                 "rootless container); run outside of it, or use kernel UDP or memif");
  }
  return check_memlock(host, locked_bytes, "af_xdp");
}

Result<void> check_tap(const HostView& host, const PortSpec& spec) {
  if (auto name = check_interface_name(spec.interface); !name) return name;
  if (!host.exists("/dev/net/tun")) {
    return Error(ErrorCode::unavailable,
                 "tap: /dev/net/tun is missing; 'modprobe tun', or pass --device /dev/net/tun to "
                 "the container");
  }
  return check_capability(host, cap_net_admin, "CAP_NET_ADMIN", "tap");
}

Result<void> check_pcap(const HostView& host, const PortSpec& spec) {
  if (!host.can_read(spec.rx_file)) {
    return Error(ErrorCode::not_found, "pcap: {} cannot be read; check the path and its mode",
                 spec.rx_file);
  }
  if (spec.tx_file.empty()) return {};
  std::string directory = fs::path(spec.tx_file).parent_path();
  if (directory.empty()) directory = ".";
  if (host.can_write(directory)) return {};
  return Error(ErrorCode::permission, "pcap: {} cannot be written; 'mkdir -p {}' or 'chown' it",
               spec.tx_file, directory);
}

Result<void> check_vfio(const HostView& host, const PortSpec& spec, std::uint64_t locked_bytes) {
  const std::string device = "/sys/bus/pci/devices/" + spec.pci_address;
  if (!host.exists("/dev/vfio/vfio")) {
    return Error(ErrorCode::unavailable, "pci {}: /dev/vfio/vfio is missing; 'modprobe vfio-pci'",
                 spec.pci_address);
  }
  const auto group = host.link_name(device + "/iommu_group");
  if (!group) {
    return Error(ErrorCode::unavailable,
                 "pci {}: it is in no IOMMU group; enable VT-d or AMD-Vi in the firmware and boot "
                 "with intel_iommu=on or amd_iommu=on; in a VM without one, 'echo 1 > "
                 "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode'",
                 spec.pci_address);
  }
  if (!host.can_write("/dev/vfio/" + *group) && !host.can_write("/dev/vfio/noiommu-" + *group)) {
    return Error(ErrorCode::permission,
                 "pci {}: /dev/vfio/{} cannot be opened; 'chown' it to this user, and bind every "
                 "device of the group to vfio-pci",
                 spec.pci_address, *group);
  }
  return check_memlock(host, locked_bytes, "vfio");
}

Result<void> check_pci(const HostView& host, const PortSpec& spec, std::uint64_t locked_bytes) {
  const std::string device = "/sys/bus/pci/devices/" + spec.pci_address;
  if (!host.exists(device)) {
    return Error(ErrorCode::not_found, "pci {}: no such device; see 'lspci -D'", spec.pci_address);
  }
  const auto driver = host.link_name(device + "/driver");
  if (driver == "mlx5_core" || driver == "mlx4_core") return {};  // shared with the kernel's driver
  if (driver == "vfio-pci") return check_vfio(host, spec, locked_bytes);
  if (driver == "uio_pci_generic" || driver == "igb_uio") return {};
  return Error(ErrorCode::unavailable,
               "pci {}: bound to {}, which the kernel keeps; 'dpdk-devbind.py -b vfio-pci {}' (its "
               "interface disappears), or use af_xdp on that interface",
               spec.pci_address, driver.value_or("no driver"), spec.pci_address);
}

}  // namespace

std::uint64_t free_huge_bytes(const HostView& host) {
  std::uint64_t bytes = 0;
  for (const std::uint64_t page_kib : {2048, 1048576}) {
    const auto count =
        host.read(fmt::format("/sys/kernel/mm/hugepages/hugepages-{}kB/free_hugepages", page_kib));
    if (count) bytes += parse_unsigned(*count) * page_kib * base::kib;
  }
  return bytes;
}

Result<void> check_huge_pages(const HostView& host, std::uint64_t bytes_needed) {
  const std::uint64_t bytes_free = free_huge_bytes(host);
  if (bytes_free >= bytes_needed) return {};
  return Error(ErrorCode::unavailable,
               "{} MiB of huge pages are needed and {} MiB are free; 'echo {} > "
               "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages' (as root), or run without",
               bytes_needed / base::mib, bytes_free / base::mib,
               (bytes_needed + 2 * base::mib - 1) / (2 * base::mib));
}

Result<void> check_memlock(const HostView& host, std::uint64_t bytes, std::string_view purpose) {
  if (has_capability(host, cap_ipc_lock)) return {};
  const auto limits = host.read("/proc/self/limits");
  if (!limits) return {};
  const std::string soft = field_after(*limits, "Max locked memory");
  if (soft.starts_with("unlimited")) return {};
  if (bytes != all_memory && parse_unsigned(soft) >= bytes) return {};
  const std::string pinned =
      bytes == all_memory ? "all its memory" : fmt::format("{} MiB", bytes / base::mib);
  return Error(ErrorCode::permission,
               "{} pins {}, but RLIMIT_MEMLOCK is {} KiB; set 'ulimit -l unlimited', "
               "LimitMEMLOCK=infinity in the unit, or give CAP_IPC_LOCK",
               purpose, pinned, parse_unsigned(soft) / base::kib);
}

Result<void> check_port(const HostView& host, const PortSpec& spec, std::uint64_t locked_bytes) {
  if (auto driver = check_driver(host, spec.kind); !driver) return driver;
  switch (spec.kind) {
    case DeviceKind::memif:
      return check_memif(host, spec);
    case DeviceKind::af_xdp:
      return check_af_xdp(host, spec, locked_bytes);
    case DeviceKind::tap:
      return check_tap(host, spec);
    case DeviceKind::pcap:
      return check_pcap(host, spec);
    case DeviceKind::pci:
      return check_pci(host, spec, locked_bytes);
    case DeviceKind::null:
      break;
  }
  return {};
}

std::optional<std::string> HostView::read(const std::string& path) const {
  std::ifstream file(root_ + path);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

bool HostView::exists(const std::string& path) const {
  std::error_code error;
  return fs::exists(fs::symlink_status(root_ + path, error));
}

bool HostView::is_directory(const std::string& path) const {
  std::error_code error;
  return fs::is_directory(root_ + path, error);
}

bool HostView::can_read(const std::string& path) const {
  return access((root_ + path).c_str(), R_OK) == 0;
}

bool HostView::can_write(const std::string& path) const {
  return access((root_ + path).c_str(), R_OK | W_OK) == 0;
}

std::optional<std::string> HostView::link_name(const std::string& path) const {
  std::error_code error;
  const fs::path target = fs::read_symlink(root_ + path, error);
  if (error) return std::nullopt;
  return target.filename().string();
}

bool HostView::has_file(const std::string& directory, const std::string& prefix) const {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(root_ + directory, error)) {
    if (entry.path().filename().string().starts_with(prefix)) return true;
  }
  return false;
}

}  // namespace millrace::port

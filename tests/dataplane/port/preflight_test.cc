#include "dataplane/port/preflight.h"

#include <gtest/gtest.h>
#include <rte_build_config.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "dataplane/base/units.h"

namespace millrace::port {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t locked_bytes = 16 * base::mib;
const std::string all_capabilities = "Name:\tx\nCapEff:\t000001ffffffffff\n";
const std::string interfaces =
    "Inter-|   Receive\n face |bytes    packets\n    lo:   0 0\n veth0:   0 0\n";
const std::string no_capabilities = "Name:\tx\nCapEff:\t0000000000000000\n";

// A host made of files.
class PreflightTest : public testing::Test {
 protected:
  PreflightTest() {
    std::string pattern = "/tmp/millrace-host-XXXXXX";
    root_ = mkdtemp(pattern.data());
    for (const char* driver : {"memif", "af_xdp", "tap", "pcap"}) {
      write(std::string(RTE_EAL_PMD_PATH) + "/librte_net_" + driver + ".so.23", "");
    }
    write("/proc/self/status", all_capabilities);
  }
  ~PreflightTest() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  void link(const std::string& path, const std::string& target) {
    fs::create_directories(fs::path(root_ + path).parent_path());
    fs::create_symlink(target, root_ + path);
  }
  // The error for this spec, or "" when nothing is missing.
  std::string trouble(const std::string& spec) {
    const auto parsed = parse_port_spec(spec);
    EXPECT_TRUE(parsed.has_value()) << parsed.error().message();
    const auto checked = check_port(HostView(root_), *parsed, locked_bytes);
    return checked ? "" : std::string(checked.error().message());
  }
  void expect_trouble(const std::string& spec, const std::string& cause, const std::string& fix) {
    const std::string message = trouble(spec);
    EXPECT_NE(message.find(cause), std::string::npos) << "'" << message << "'";
    EXPECT_NE(message.find(fix), std::string::npos) << "'" << message << "'";
  }

  std::string root_;
};

TEST_F(PreflightTest, free_huge_pages_of_both_sizes_are_summed) {
  EXPECT_EQ(free_huge_bytes(HostView(root_)), 0U);
  write("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "10\n");
  write("/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "1\n");
  EXPECT_EQ(free_huge_bytes(HostView(root_)), base::gib + 20 * base::mib);
}

TEST_F(PreflightTest, too_few_huge_pages_are_named_with_the_number_to_set) {
  write("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "10\n");
  EXPECT_TRUE(check_huge_pages(HostView(root_), 20 * base::mib).has_value());
  const auto checked = check_huge_pages(HostView(root_), 256 * base::mib);
  ASSERT_FALSE(checked.has_value());
  EXPECT_NE(checked.error().message().find("256 MiB of huge pages are needed and 20 MiB are free"),
            std::string_view::npos);
  EXPECT_NE(checked.error().message().find("echo 128 >"), std::string_view::npos);
}

TEST_F(PreflightTest, a_missing_driver_is_named_with_its_package) {
  fs::remove(root_ + RTE_EAL_PMD_PATH + "/librte_net_af_xdp.so.23");
  write("/proc/thread-self/net/dev", interfaces);
  expect_trouble("af_xdp:iface=veth0,ip=10.0.0.1", "net_af_xdp driver is not in",
                 "apt install librte-net-af-xdp23");
}

TEST_F(PreflightTest, a_memif_socket_needs_a_directory_and_a_path_that_fits) {
  expect_trouble("memif:socket=/run/m/s.sock", "its directory is missing", "mkdir -p /run/m");
  fs::create_directories(root_ + "/run/m");
  EXPECT_EQ(trouble("memif:socket=/run/m/s.sock"), "");
  const std::string longest = "/run/m/" + std::string(100, 's');
  EXPECT_EQ(trouble("memif:socket=" + longest), "");
  expect_trouble("memif:socket=" + longest + "s", "path of 108 bytes", "shorter directory");
}

TEST_F(PreflightTest, a_memif_server_needs_a_writable_directory) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write anywhere";
  fs::create_directories(root_ + "/run/m");
  fs::permissions(root_ + "/run/m", fs::perms::owner_read | fs::perms::owner_exec);
  expect_trouble("memif:socket=/run/m/s.sock", "not writable", "chown");
  fs::permissions(root_ + "/run/m", fs::perms::owner_all);
}

TEST_F(PreflightTest, af_xdp_needs_its_interface_and_capabilities) {
  const std::string spec = "af_xdp:iface=veth0,ip=10.0.0.1";
  expect_trouble(spec, "no interface 'veth0'", "ip link");
  write("/proc/thread-self/net/dev", " face |bytes\n veth01: 0\nveth0.5: 0\n");
  expect_trouble(spec, "no interface 'veth0'", "ip link");
  write("/proc/thread-self/net/dev", interfaces);
  EXPECT_EQ(trouble(spec), "");
  write("/proc/self/status", no_capabilities);
  expect_trouble(spec, "af_xdp needs CAP_NET_RAW", "setcap");
  write("/proc/self/status", "CapEff:\t0000000000002000\n");  // net_raw
  expect_trouble(spec, "af_xdp needs CAP_NET_ADMIN", "setcap");
  write("/proc/self/status", "CapEff:\t0000000000003000\n");  // net_raw, net_admin
  expect_trouble(spec, "af_xdp needs CAP_BPF", "setcap");
  expect_trouble("af_xdp:iface=a_name_of_16_lett,ip=10.0.0.1", "longer than 15", "interface name");
}

TEST_F(PreflightTest, af_xdp_in_a_user_namespace_is_refused_whatever_its_capabilities) {
  write("/proc/thread-self/net/dev", interfaces);
  write("/proc/self/uid_map", "         0          0 4294967295\n");
  EXPECT_EQ(trouble("af_xdp:iface=veth0,ip=10.0.0.1"), "");
  write("/proc/self/uid_map", "         0       1000          1\n");
  expect_trouble("af_xdp:iface=veth0,ip=10.0.0.1", "this is a user namespace", "kernel UDP");
}

TEST_F(PreflightTest, memory_that_may_not_be_locked_is_named_with_three_ways_out) {
  const std::string spec = "af_xdp:iface=veth0,ip=10.0.0.1";
  write("/proc/thread-self/net/dev", interfaces);
  write("/proc/self/status", "CapEff:\t0000008000003000\n");  // bpf, net_raw, net_admin
  const std::string before = "Limit                     Soft Limit           Hard Limit\n";
  write("/proc/self/limits", before + "Max locked memory         8388608    8388608    bytes\n");
  expect_trouble(spec, "pins 16 MiB, but RLIMIT_MEMLOCK is 8192 KiB", "ulimit -l unlimited");
  write("/proc/self/limits", before + "Max locked memory         unlimited  unlimited  bytes\n");
  EXPECT_EQ(trouble(spec), "");
  write("/proc/self/limits", before + "Max locked memory         16777216   16777216   bytes\n");
  EXPECT_EQ(trouble(spec), "");
}

TEST_F(PreflightTest, all_memory_may_be_locked_without_a_limit_or_by_who_is_above_it) {
  const auto trouble_with_all = [&] {
    const auto checked = check_memlock(HostView(root_), all_memory, "it");
    return checked ? "" : std::string(checked.error().message());
  };
  write("/proc/self/status", no_capabilities);
  write("/proc/self/limits", "Max locked memory         1073741824 1073741824 bytes\n");
  EXPECT_NE(trouble_with_all().find("it pins all its memory, but RLIMIT_MEMLOCK is 1048576 KiB"),
            std::string::npos);
  write("/proc/self/limits", "Max locked memory         unlimited  unlimited  bytes\n");
  EXPECT_EQ(trouble_with_all(), "");
  write("/proc/self/limits", "Max locked memory         65536      65536      bytes\n");
  write("/proc/self/status", all_capabilities);
  EXPECT_EQ(trouble_with_all(), "");
}

TEST_F(PreflightTest, a_tap_needs_the_tun_device_and_a_capability) {
  expect_trouble("tap:name=m0,ip=10.0.0.1", "/dev/net/tun is missing", "modprobe tun");
  write("/dev/net/tun", "");
  EXPECT_EQ(trouble("tap:name=m0,ip=10.0.0.1"), "");
  write("/proc/self/status", no_capabilities);
  expect_trouble("tap:name=m0,ip=10.0.0.1", "tap needs CAP_NET_ADMIN", "setcap");
}

TEST_F(PreflightTest, a_pcap_needs_a_file_to_read_and_a_directory_to_write) {
  expect_trouble("pcap:rx=/in.pcap,ip=10.0.0.1", "/in.pcap cannot be read", "check the path");
  write("/in.pcap", "");
  EXPECT_EQ(trouble("pcap:rx=/in.pcap,ip=10.0.0.1"), "");
  expect_trouble("pcap:rx=/in.pcap,tx=/none/out.pcap,ip=10.0.0.1",
                 "/none/out.pcap cannot be written", "mkdir -p /none");
}

TEST_F(PreflightTest, a_pci_device_is_followed_to_its_vfio_group) {
  const std::string spec = "pci:0000:00:05.0,ip=10.0.0.1";
  const std::string device = "/sys/bus/pci/devices/0000:00:05.0";
  expect_trouble(spec, "no such device", "lspci -D");
  write(device + "/vendor", "0x8086");
  expect_trouble(spec, "bound to no driver", "dpdk-devbind.py -b vfio-pci 0000:00:05.0");
  link(device + "/driver", "../../../../bus/pci/drivers/ixgbe");
  expect_trouble(spec, "bound to ixgbe", "or use af_xdp");
  fs::remove(root_ + device + "/driver");
  link(device + "/driver", "../../../../bus/pci/drivers/vfio-pci");
  expect_trouble(spec, "/dev/vfio/vfio is missing", "modprobe vfio-pci");
  write("/dev/vfio/vfio", "");
  expect_trouble(spec, "in no IOMMU group", "intel_iommu=on");
  link(device + "/iommu_group", "../../../kernel/iommu_groups/42");
  expect_trouble(spec, "/dev/vfio/42 cannot be opened", "chown");
  write("/dev/vfio/42", "");
  EXPECT_EQ(trouble(spec), "");
}

TEST_F(PreflightTest, a_card_whose_driver_shares_it_with_the_kernel_needs_no_vfio) {
  link("/sys/bus/pci/devices/0000:00:05.0/driver", "../../../../bus/pci/drivers/mlx5_core");
  EXPECT_EQ(trouble("pci:0000:00:05.0,ip=10.0.0.1"), "");
}

}  // namespace
}  // namespace millrace::port

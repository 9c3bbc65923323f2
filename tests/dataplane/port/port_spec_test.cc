#include "dataplane/port/port_spec.h"

#include <gtest/gtest.h>

#include <string>

namespace millrace::port {
namespace {

PortSpec good(std::string_view text) {
  const auto spec = parse_port_spec(text);
  EXPECT_TRUE(spec.has_value()) << text << ": " << spec.error().message();
  return spec ? *spec : PortSpec{};
}

TEST(PortSpec, a_memif_needs_only_its_socket) {
  const PortSpec spec = good("memif:socket=/run/m.sock");
  EXPECT_EQ(spec.kind, DeviceKind::memif);
  EXPECT_EQ(spec.socket_path, "/run/m.sock");
  EXPECT_EQ(spec.role, MemifRole::server);
  EXPECT_EQ(format_ipv4(spec.ipv4), "192.168.77.1");
  EXPECT_EQ(spec.buffer_bytes, 2048U);
  EXPECT_EQ(format_ipv4(good("memif:socket=/m,role=client").ipv4), "192.168.77.2");
}

TEST(PortSpec, every_kind_and_key_is_read) {
  const PortSpec memif = good(
      "memif:socket=/m,id=7,role=client,ip=10.1.2.3,bsize=9216,mtu=9000,queues=2,"
      "mac=02:00:00:00:00:0a");
  EXPECT_EQ(memif.memif_id, 7U);
  EXPECT_EQ(memif.ipv4, 0x0a010203U);
  EXPECT_EQ(memif.buffer_bytes, 9216U);
  EXPECT_EQ(memif.mtu, 9000U);
  EXPECT_EQ(memif.queue_count, 2);
  EXPECT_EQ(memif.mac, (std::array<std::uint8_t, 6>{2, 0, 0, 0, 0, 10}));
  EXPECT_EQ(good("af_xdp:iface=veth0,ip=10.0.0.1").interface, "veth0");
  EXPECT_EQ(good("tap:name=m0,ip=10.0.0.1").interface, "m0");
  const PortSpec pcap = good("pcap:rx=in.pcap,tx=out.pcap,ip=10.0.0.1");
  EXPECT_EQ(pcap.rx_file, "in.pcap");
  EXPECT_EQ(pcap.tx_file, "out.pcap");
  EXPECT_EQ(good("pci:0000:00:05.0,ip=10.0.0.1").pci_address, "0000:00:05.0");
  EXPECT_EQ(good("null:").kind, DeviceKind::null);
}

TEST(PortSpec, what_is_off_is_quoted) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "none of memif:"},
      {"memif", "none of memif:"},
      {"ethernet:iface=x", "none of memif:"},
      {"memif:", "needs socket="},
      {"memif:socket=", "socket= has no value"},
      {"memif:socket=/m,iface=x", "'iface=x' is no part of memif:"},
      {"memif:socket=/m,server", "'server' is no part of memif:"},
      {"memif:socket=/m,role=master", "role=master"},
      {"memif:socket=/m,bsize=100", "bsize=100"},
      {"memif:socket=/m,bsize=2k", "bsize=2k"},
      {"memif:socket=/m,ip=10.0.0", "ip=10.0.0"},
      {"memif:socket=/m,ip=10.0.0.256", "ip=10.0.0.256"},
      {"memif:socket=/m,mac=01:00:00:00:00:00", "mac=01:00:00:00:00:00"},
      {"memif:socket=/m,queues=0", "queues=0"},
      {"af_xdp:iface=veth0", "needs ip="},
      {"af_xdp:ip=10.0.0.1", "needs iface="},
      {"tap:ip=10.0.0.1", "needs name="},
      {"pcap:ip=10.0.0.1", "needs rx="},
      {"pci:00:05.0,ip=10.0.0.1", "not a PCI address"},
      {"pci:0000:00:05.0,mtu=9000", "needs ip="},
  };
  for (const auto& [text, words] : cases) {
    const auto spec = parse_port_spec(text);
    ASSERT_FALSE(spec.has_value()) << text;
    EXPECT_EQ(spec.error().code(), base::ErrorCode::invalid_argument) << text;
    EXPECT_NE(spec.error().message().find(words), std::string_view::npos)
        << text << ": " << spec.error().message();
  }
}

TEST(PortSpec, addresses_survive_a_round_trip) {
  for (const char* text : {"0.0.0.0", "127.0.0.1", "255.255.255.255", "192.168.77.1"}) {
    ASSERT_TRUE(parse_ipv4(text).has_value()) << text;
    EXPECT_EQ(format_ipv4(*parse_ipv4(text)), text);
  }
  for (const char* text : {"", "1.2.3", "1.2.3.4.5", "1.2.3.4 ", "1..3.4", "a.b.c.d", "-1.2.3.4"}) {
    EXPECT_FALSE(parse_ipv4(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace millrace::port

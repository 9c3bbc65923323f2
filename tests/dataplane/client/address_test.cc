#include "dataplane/client/address.h"

#include <gtest/gtest.h>

namespace millrace::client {
namespace {

TEST(Address, is_a_host_and_a_port_over_kernel_udp) {
  for (const char* text : {"127.0.0.1:7070", "udp:127.0.0.1:7070", "localhost:7070"}) {
    const auto address = parse_address(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->server.ipv4, 0x7f000001U);
    EXPECT_EQ(address->server.udp_port, 7070);
    EXPECT_TRUE(address->port_spec.empty());
  }
}

TEST(Address, of_a_device_keeps_the_ports_settings_and_takes_the_server_out) {
  const auto address = parse_address("memif:socket=/run/m.sock,server=192.168.77.9:7071,id=3");
  ASSERT_TRUE(address);
  EXPECT_EQ(address->port_spec, "memif:socket=/run/m.sock,id=3,role=client");
  EXPECT_EQ(address->server.ipv4, 0xc0a84d09U);
  EXPECT_EQ(address->server.udp_port, 7071);
}

TEST(Address, of_a_memif_without_a_server_is_the_nodes_default) {
  const auto address = parse_address("memif:socket=/run/m.sock");
  ASSERT_TRUE(address);
  EXPECT_EQ(address->server.ipv4, 0xc0a84d01U);
  EXPECT_EQ(address->server.udp_port, 7070);
}

TEST(Address, that_does_not_read_is_refused_with_the_word_that_is_off) {
  for (const char* text :
       {"", "7070", ":7070", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:70700",
        "127.0.0.1:x", "pci:0000:00:05.0,ip=10.0.0.1", "memif:socket=/s,server=here"}) {
    EXPECT_FALSE(parse_address(text)) << text;
  }
  EXPECT_NE(parse_address("127.0.0.1:x").error().message().find("'x'"), std::string_view::npos);
}

}  // namespace
}  // namespace millrace::client

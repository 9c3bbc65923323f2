// Specs of ports and listeners, and limits that the file and the flags share.
#include <gtest/gtest.h>

#include "control/config/node_config.h"

namespace millrace::control {
namespace {

TEST(Listener, is_read_from_a_flag_with_defaults) {
  const auto listener = parse_listener("514=syslog");
  ASSERT_TRUE(listener) << listener.error().message();
  EXPECT_EQ(listener->port, 514);
  EXPECT_EQ(listener->topic, "syslog");
  EXPECT_EQ(listener_flag(*listener, 0), "514=syslog,framing=datagram,key=none");
}

TEST(Listener, carries_framing_key_and_partitions_and_shifts_its_port) {
  const auto listener = parse_listener("8125=stats,framing=lines,key=bytes:4:16,partitions=3");
  ASSERT_TRUE(listener) << listener.error().message();
  EXPECT_EQ(listener->partition_count, 3U);
  EXPECT_EQ(listener_flag(*listener, 100), "8225=stats,framing=lines,key=bytes:4:16");
}

TEST(Listener, is_refused_when_any_part_is_off) {
  for (const char* text :
       {"", "syslog", "0=syslog", "65536=syslog", "x=syslog", "514=", "514=a/b", "514=..",
        "514=a,framing=json", "514=a,key=bytes:1", "514=a,key=bytes:1:0", "514=a,key=bytes:-1:2",
        "514=a,partitions=0", "514=a,partitions=10001", "514=a,color=red", "514=a,"}) {
    EXPECT_FALSE(parse_listener(text)) << text;
  }
}

TEST(PortSpec, shifts_udp_ports_and_leaves_device_specs_alone) {
  EXPECT_EQ(*shifted_port_spec("udp:127.0.0.1:7070", 30), "udp:127.0.0.1:7100");
  EXPECT_EQ(*shifted_port_spec("memif:socket=/run/m.sock,ip=10.0.0.1", 30),
            "memif:socket=/run/m.sock,ip=10.0.0.1");
  EXPECT_FALSE(shifted_port_spec("udp:127.0.0.1:65500", 100));
}

TEST(PortSpec, is_refused_with_a_kind_or_address_that_cannot_be) {
  EXPECT_TRUE(check_port_spec("udp:0.0.0.0:7070"));
  EXPECT_TRUE(check_port_spec("af_xdp:iface=eth1,ip=10.0.0.1"));
  for (const char* spec : {"", "udp", "tcp:0.0.0.0:1", "udp:localhost:7070", "udp:0.0.0.0:0",
                           "udp:0.0.0.0", "udp:1.2.3:5", "udp:0.0.0.0:70700"}) {
    EXPECT_FALSE(check_port_spec(spec)) << spec;
  }
}

TEST(Limits, hold_at_their_edges) {
  EXPECT_TRUE(check_journal_bytes(journal_bytes_min));
  EXPECT_FALSE(check_journal_bytes(journal_bytes_min - 1));
  EXPECT_TRUE(check_journal_bytes(journal_bytes_max));
  EXPECT_FALSE(check_journal_bytes(journal_bytes_max + 1));
  EXPECT_FALSE(check_tail_bytes(tail_bytes_min - 1));
  EXPECT_TRUE(check_profile("dedicated"));
  EXPECT_FALSE(check_profile("server"));
}

}  // namespace
}  // namespace millrace::control

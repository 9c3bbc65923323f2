#include "dataplane/base/endpoint.h"

#include <gtest/gtest.h>

namespace millrace::base {
namespace {

TEST(Endpoint, is_the_same_peer_by_address_and_port_whatever_its_next_hop) {
  const Endpoint peer{.ipv4 = 0x0a000001, .udp_port = 7070, .port_index = 1, .mac = {}};
  Endpoint other = peer;
  other.mac = {2, 0, 0, 0, 0, 1};
  EXPECT_EQ(peer, other);

  other = peer;
  other.ipv4 ^= 1;
  EXPECT_FALSE(peer == other);
  other = peer;
  other.udp_port ^= 1;
  EXPECT_FALSE(peer == other);
  other = peer;
  other.port_index ^= 1;
  EXPECT_FALSE(peer == other);
}

}  // namespace
}  // namespace millrace::base

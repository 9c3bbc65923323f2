// Address: where a node is and how to get there, from mr_options::address.
#pragma once

#include <string>
#include <string_view>

#include "dataplane/base/endpoint.h"
#include "dataplane/base/result.h"

namespace millrace::client {

struct Address {
  base::Endpoint server;
  std::string port_spec;  // of a DPDK port (port/port_spec.h); empty: kernel UDP
};

// Errors quote the word that is off. Blocks while a host name is looked up.
base::Result<Address> parse_address(std::string_view text);

}  // namespace millrace::client

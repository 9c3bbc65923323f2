#include "dataplane/net/arp_resolver.h"

#include <algorithm>

namespace millrace::net {

bool ArpResolver::poll(std::uint64_t now_ns) {
  if (!asking_ || now_ns < deadline_ns_) return false;
  deadline_ns_ = now_ns + wait_ns_;
  wait_ns_ = std::min(wait_ns_ * 2, retry_ns_ * 32);
  return true;
}

bool ArpResolver::learn(const Parsed& parsed) {
  if (parsed.kind != FrameKind::arp_reply && parsed.kind != FrameKind::arp_request) return false;
  if (parsed.peer.ipv4 != target_ipv4_) return false;
  mac_ = parsed.peer.mac;
  asking_ = false;
  return true;
}

void ArpResolver::ask_again() {
  if (asking_) return;
  asking_ = true;
  wait_ns_ = retry_ns_;
  deadline_ns_ = 0;
}

}  // namespace millrace::net

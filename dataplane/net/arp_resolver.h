// ArpResolver: finds the MAC of one IPv4 address by asking until it is answered.
// Core:  the one whose port asks. Pure: frames are the caller's to build and send.
//
// On each turn: when poll(now_ns) is true, send write_arp_request for target_ipv4(). Hand every
// arp_reply that parse_frame finds, and every arp_request too (RFC 826 lets its sender be learnt),
// to learn(). A known MAC stays in use while ask_again() looks whether it still holds.
#pragma once

#include <cstdint>
#include <optional>

#include "dataplane/net/parse.h"

namespace millrace::net {

class ArpResolver {
 public:
  // Asks every retry_ns, doubling up to 32 times that while nobody answers.
  explicit ArpResolver(std::uint32_t target_ipv4, std::uint64_t retry_ns = 10'000'000)
      : target_ipv4_(target_ipv4), retry_ns_(retry_ns), wait_ns_(retry_ns) {}

  // True when a request must be sent now.
  bool poll(std::uint64_t now_ns);
  // True when this was the answer; mac() then has it.
  bool learn(const Parsed& parsed);
  // The peer has been silent for long: ask anew, and keep the old answer meanwhile.
  void ask_again();

  const std::optional<Mac>& mac() const { return mac_; }
  std::uint32_t target_ipv4() const { return target_ipv4_; }
  bool asking() const { return asking_; }
  // When poll() has something to do next; nothing is due while not asking.
  std::uint64_t deadline_ns() const { return deadline_ns_; }

 private:
  std::uint32_t target_ipv4_;
  std::uint64_t retry_ns_;
  std::uint64_t wait_ns_;
  std::uint64_t deadline_ns_ = 0;
  bool asking_ = true;
  std::optional<Mac> mac_;
};

}  // namespace millrace::net

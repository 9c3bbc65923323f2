// CookieMaker: what a client must echo before the server keeps anything about it.
// Core:  the sessions'.
//
// A cookie is the minute it was made in and SipHash-2-4 (Aumasson and Bernstein, 2012) over the
// source address, the nonce and that minute under a secret of this process. It is good for its own
// minute and the next.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/base/endpoint.h"
#include "dataplane/protocol/native/codec.h"

namespace millrace::native {

using Secret = std::array<std::uint64_t, 2>;

// SipHash-2-4 of whole little-endian words (8 * words.size() bytes).
std::uint64_t siphash(const Secret& key, std::span<const std::uint64_t> words);

class CookieMaker {
 public:
  explicit CookieMaker(const Secret& secret) : secret_(secret) {}

  Cookie make(const base::Endpoint& peer, const Nonce& nonce, std::uint64_t now_ns) const;
  bool valid(const Cookie& cookie, const base::Endpoint& peer, const Nonce& nonce,
             std::uint64_t now_ns) const;

 private:
  Cookie make_for_minute(const base::Endpoint& peer, const Nonce& nonce,
                         std::uint64_t minute) const;

  Secret secret_;
};

}  // namespace millrace::native
